// What a customer sees of their usage.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { filled } from "../month.mjs";
import { SIZES, Scrip, browser, eventually, live, sound, tab } from "../scrip.mjs";

let scrip, chrome;
before(async () => {
  scrip = await Scrip.start();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

test("a new account sees its free credits, and no card is asked for", async () => {
  await scrip.account("newcomer");
  const page = await tab(chrome);
  await page.goto(await scrip.link("newcomer"));
  assert.equal(new URL(page.url()).pathname, "/settings/usage", "the link is left behind");
  await page.getByText("Nothing has been used yet").waitFor();
  assert.match(await page.locator("#balance").innerText(), /900\.00/);
  assert.match(await page.locator("#sources").innerText(), /Free credits/);
  assert.match(await page.locator("#sources").innerText(), /for servers only/);
  assert.equal(await page.getByText(/card number/i).count(), 0);
  await sound(page, "the page of a new account");
});

test("usage appears live while a charge is made, and two tabs agree", async () => {
  await scrip.account("live");
  const [one, other] = [await tab(chrome), await tab(chrome)];
  await one.goto(await scrip.link("live"));
  await other.goto(await scrip.link("live", "member"));
  await other.goto(`${scrip.url}/settings/activity`);
  for (const page of [one, other]) await live(page);
  await scrip.chat("live", 80_000);
  for (const page of [one, other]) {
    await page.waitForFunction(() => document.querySelector("[data-live=available]").textContent === "890.00");
    await page.locator("summary", { hasText: "AI chat message" }).waitFor();
  }
  assert.match(await one.locator("#used").innerText(), /AI conversations[\s\S]*10\.00/, "the chart and its parts follow");
  await scrip.chat("live", 8_000);
  await other.locator("summary", { hasText: "AI chat message" }).nth(1).waitFor();
  await sound(one, "a page that changed while it was looked at");
});

test("a page keeps up with an account that never rests", async () => {
  await scrip.account("restless");
  const page = await tab(chrome);
  await page.goto(await scrip.link("restless"));
  await live(page);
  let isShown = false;
  const entry = page.locator("#latest summary", { hasText: "AI chat message" }).first();
  const shown = entry.waitFor().finally(() => (isShown = true));
  // One after another, faster than anybody could look, until the page shows them.
  while (!isShown) await scrip.chat("restless", 8);
  await shown;
  await sound(page, "a page of a busy account");
});

test("a charge opens into its receipt: quantity × rate = amount, and who paid", async () => {
  await scrip.account("receipts");
  await scrip.chat("receipts", 12_000, { dimensions: { model: "gpt-6.1-terra", outcome: "failed" } });
  await scrip.chat("receipts", 16_000);
  const page = await tab(chrome);
  await page.goto(await scrip.link("receipts"));
  const row = page.locator("#latest li").first();
  await row.locator("summary").click();
  const receipt = await row.innerText();
  for (const said of ["16,000 tokens", "125 per million tokens", "Charged", "of Free credits", "grant_"]) assert.ok(receipt.includes(said), said);
  assert.match(await page.locator("#latest li").nth(1).innerText(), /Failed – not charged/);
  await sound(page, "an open receipt");
});

test("a day opens into its hours, filters are in the address, and the export is what is shown", async () => {
  await scrip.account("filters");
  await scrip.chat("filters", 80_000);
  await scrip.chat("filters", 8_000, { project: "docs", dimensions: { model: "mistral-medium-3.5" } });
  const page = await tab(chrome);
  await page.goto(await scrip.link("filters"));
  await page.getByRole("link", { name: "storefront", exact: true }).click();
  await page.waitForURL(/project=storefront/);
  assert.match(await page.locator(".total").innerText(), /10\.00/);
  await page.locator(".bars a").last().click();
  await page.waitForURL(/by=hour/);
  assert.equal(await page.locator(".bars li").count(), 24);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Export as CSV").click()]);
  const stream = await download.createReadStream();
  const sheet = (await stream.toArray()).join("");
  assert.match(sheet, /\nall,,Europe\/Vilnius,.*,10,0,0,0,10,0,1,,,\n$/);
  await page.getByText("Back to the whole range").click();
  await page.waitForURL((it) => !it.search.includes("by=hour"));
  await page.getByRole("link", { name: "Clear filters" }).click();
  await page.waitForURL((it) => !it.search.includes("project"));
});

test("a date can be typed, and what is chosen by hand takes effect at once", async () => {
  await scrip.account("typed");
  const page = await tab(chrome);
  await page.goto(await scrip.link("typed"));
  await page.getByText("Dates and filters").click();
  let asked = 0;
  page.on("request", (it) => (asked += it.isNavigationRequest()));
  const from = page.getByLabel("From");
  const first = await from.inputValue();
  for (let step = 0; step < 3; step++) await from.press("ArrowDown");
  const typed = await from.inputValue();
  assert.notEqual(typed, first);
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.waitForURL(new RegExp(`from=${typed}`));
  assert.equal(asked, 1, "not for each step");
  await page.getByText("Dates and filters").click();
  await page.getByLabel("Category").selectOption("Code analysis");
  await page.waitForURL(/category=Code/);
});

test("a table that was scrolled to its side stays so, and the focus where it is, while the page follows its account", async () => {
  await scrip.account("scrolled");
  await scrip.chat("scrolled", 8_000);
  const page = await tab(chrome, { viewport: SIZES.phone });
  await page.goto(await scrip.link("scrolled"));
  await live(page);
  await page.getByText("Show as a table").click();
  const days = page.getByRole("region", { name: "Credits by day, as a table" });
  await days.focus();
  await days.evaluate((it) => (it.scrollLeft = 150));
  await scrip.chat("scrolled", 16_000);
  await days.filter({ hasText: "3.00" }).waitFor();
  assert.equal(await days.evaluate((it) => it.scrollLeft), 150);
  assert.equal(await days.evaluate((it) => it === document.activeElement), true);
});

test("on a phone nothing of projects, servers and ranges is out of sight", async () => {
  await scrip.account("pocket");
  await scrip.chat("pocket", 8_000);
  await scrip.ask("PUT", "/v1/accounts/pocket/servers/web-1", { project: "storefront", tier: "entry-level" });
  await scrip.ask("POST", "/v1/accounts/pocket/servers/web-1/start", {});
  const page = await tab(chrome, { viewport: SIZES.phone });
  await page.goto(await scrip.link("pocket"));
  for (const name of ["Projects, table", "Servers, table"]) {
    const region = page.getByRole("region", { name });
    assert.equal(await region.evaluate((it) => it.scrollWidth - it.clientWidth), 0, name);
  }
  assert.match(await page.getByRole("region", { name: "Projects, table" }).innerText(), /storefront[\s\S]*30\d\.\d\d[\s\S]*100%[\s\S]*1\.00/);
  const label = await page.locator(".stacked td[data-label=Share]").first().evaluate((it) => getComputedStyle(it, "::before").content);
  assert.equal(label, '"Share"', "each number has its name beside it");
  for (const it of await page.locator(".presets a").all()) {
    const { x, width } = await it.boundingBox();
    assert.ok(0 <= x && x + width <= SIZES.phone.width, await it.innerText());
  }
  await sound(page, "usage on a phone");
});

test("of many projects the largest are shown, and all are found, sorted and turned over without a script", async () => {
  await scrip.account("many");
  const charge = (n) => ({ account: "many", meter: "ai_chat", dimensions: { model: "gpt-6.1-terra" }, project: `p${n}`, quantities: { input_tokens: 80 * n }, idempotency_key: `many-${n}` });
  await scrip.ask("POST", "/v1/charges/batch", Array.from({ length: 120 }, (_, n) => charge(n + 100)));
  const page = await tab(chrome, { javaScriptEnabled: false });
  await page.goto(await scrip.link("many"));
  const projects = page.getByRole("region", { name: "Projects, table" });
  assert.equal(await projects.getByRole("row").count(), 12, "the names, ten, and the rest");
  await projects.getByRole("link", { name: "110 more" }).click();
  await page.getByText("1–50 of 120").waitFor();
  await page.getByRole("link", { name: "Further →" }).click();
  await page.getByText("51–100 of 120").waitFor();
  await page.getByLabel("Find a project").fill("p10");
  await page.getByLabel("Sorted by").selectOption("name");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("1–10 of 10").waitFor();
  assert.match(await projects.getByRole("row").nth(1).innerText(), /^p100/);
  await page.getByRole("link", { name: "p100", exact: true }).click();
  await page.getByRole("heading", { name: "Project p100" }).waitFor();
});

test("a server shows what setting it up and running it cost apart, and how it stands", async () => {
  await scrip.account("fleet");
  await scrip.ask("POST", "/v1/accounts/fleet/grants", { credits: "5000", source: "purchase", reason: "Servers" });
  await scrip.ask("PUT", "/v1/accounts/fleet/servers/web-1", { project: "storefront", tier: "entry-level" });
  // The clock is moved beyond the session: its stream is refused then.
  const page = await tab(chrome, { expected: ["401"] });
  await page.goto(await scrip.link("fleet"));
  const servers = page.getByRole("region", { name: "Servers, table" });
  assert.match(await servers.innerText(), /web-1[\s\S]*entry-level · storefront[\s\S]*being set up/);
  await live(page);
  await scrip.ask("POST", "/v1/accounts/fleet/servers/web-1/start", {});
  await servers.filter({ hasText: "running" }).waitFor();
  await page.locator("#figures").filter({ hasText: "by 1 server" }).waitFor();
  await scrip.advance("fleet", 10 * 3_600);
  await scrip.ask("POST", "/v1/accounts/fleet/servers/web-1/release", {});
  await page.goto(await scrip.link("fleet"));
  const cells = servers.getByRole("row").nth(1).getByRole("cell");
  await eventually(page, async () => (await cells.nth(2).innerText()) === "40.00");
  assert.match(await servers.innerText(), /released/);
  assert.deepEqual((await cells.allInnerTexts()).slice(0, 4), ["340.00", "300.00", "40.00", "10.0 h"]);
  await sound(page, "usage with a server that runs");
});

test("the month is foretold, from where to where and how; of a new account nothing is", async () => {
  await filled(scrip);
  const page = await tab(chrome);
  await page.goto(await scrip.link("acme"));
  const outlook = page.locator("#outlook");
  assert.match(await outlook.innerText(), /credits expected by \d+ \w+[\s\S]*spent so far[\s\S]*between [\d,.]+ and [\d,.]+/);
  await outlook.getByText("How this comes about").click();
  assert.match(await outlook.innerText(), /AI conversations[\s\S]*Total/);
  await sound(page, "usage with a forecast");
  await scrip.account("unforetold");
  const other = await tab(chrome);
  await other.goto(await scrip.link("unforetold"));
  assert.match(await other.locator("#outlook").innerText(), /0\.00 credits spent so far/);
});

test("everything can be read, filtered and estimated without a script", async () => {
  await scrip.account("plain");
  await scrip.chat("plain", 80_000);
  const page = await tab(chrome, { javaScriptEnabled: false });
  await page.goto(await scrip.link("plain"));
  await page.locator("summary", { hasText: "AI chat message" }).click();
  assert.match(await page.locator("#latest").innerText(), /80,000 tokens/);
  await page.getByText("Dates and filters").click();
  await page.getByLabel("Category").selectOption("Code analysis");
  await page.getByRole("button", { name: "Show" }).click();
  assert.match(await page.locator(".total").innerText(), /0\.00/);
  await page.getByRole("link", { name: "Estimate" }).click();
  await page.getByLabel("Tier").selectOption("business");
  await page.getByRole("button", { name: "Estimate the server" }).click();
  assert.match(await page.locator(".outcome").innerText(), /8,100\.00/);
});

test("a message, a plan and an archive are priced before the work", async () => {
  await scrip.account("estimates");
  const page = await tab(chrome);
  await page.goto(await scrip.link("estimates", "member", { page: "estimate" }));
  await page.getByLabel("Your message").fill("How do I put an index on this table?");
  await page.getByLabel("Model").selectOption("gpt-6.1-terra");
  await page.getByRole("button", { name: "Estimate the message" }).click();
  await page.getByText("A usual reply, about 500 tokens").waitFor();
  await sound(page, "an estimate");
  const file = { name: "compose.yaml", mimeType: "text/yaml", buffer: Buffer.from("services:\n  web:\n    image: nginx\n") };
  await page.locator("input[type=file]").setInputFiles(file);
  await page.getByRole("button", { name: "Estimate the file" }).click();
  await page.getByText("Planning compose.yaml").waitFor();
  await page.locator("input[type=file]").setInputFiles({ ...file, buffer: Buffer.from("{not a plan") });
  await page.getByRole("button", { name: "Estimate the file" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal((await scrip.ask("GET", "/v1/accounts/estimates/balance")).available, "900", "nothing was charged");
});

test("the time before is a line over the bars, and the same numbers leave as CSV and as NDJSON", async () => {
  await scrip.account("compared");
  const ago = (days) => new Date(Date.now() - days * 86_400_000).toISOString();
  await scrip.chat("compared", 16_000, { at: ago(9) });
  await scrip.chat("compared", 80_000, { at: ago(2) });
  const page = await tab(chrome);
  await page.goto(await scrip.link("compared"));
  await page.getByRole("link", { name: "7 days" }).click();
  await page.waitForURL(/range=7d/);
  await page.locator("svg.line polyline").waitFor({ state: "attached" });
  await page.getByText("Show as a table").click();
  assert.match(await page.locator(".as-table table").first().innerText(), /As long before[\s\S]*10\.00\s+2\.00/);
  await sound(page, "usage beside the time before");
  const taken = async (name) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#used").getByRole("link", { name }).click()]);
    return [download.suggestedFilename(), (await (await download.createReadStream()).toArray()).join("")];
  };
  const [csv, sheet] = await taken("Export as CSV");
  const [ndjson, lines] = await taken("as NDJSON");
  assert.match(csv, /^usage-.*\.csv$/);
  assert.match(ndjson, /^usage-.*\.ndjson$/);
  const rows = lines.trim().split("\n").map((it) => JSON.parse(it));
  assert.equal(rows.length, sheet.trim().split("\n").length - 1, "a line each");
  const [all] = rows.slice(-1);
  assert.deepEqual([all.table, all.total, all.as_long_before, all.charges], ["all", "10", "2", "1"]);
});

test("activity leaves out what only keeps house, tells a server's life, and its export has every receipt", async () => {
  await scrip.account("housekept");
  await scrip.ask("POST", "/v1/accounts/housekept/grants", { credits: "5000", source: "purchase", reason: "Servers" });
  await scrip.ask("PUT", "/v1/accounts/housekept/budgets/all", { period: "month", credits: "500", action: "notify" });
  await scrip.chat("housekept", 16_000);
  const plan = { account: "housekept", meter: "infra_plan", input: "services:\n  web:\n    image: nginx\n", idempotency_key: "plan" };
  await scrip.ask("POST", "/v1/charges", plan);
  await scrip.ask("PUT", "/v1/accounts/housekept/servers/web-1", { tier: "entry-level" });
  await scrip.ask("POST", "/v1/accounts/housekept/servers/web-1/start", {});
  const page = await tab(chrome);
  await page.goto(await scrip.link("housekept"));
  await page.goto(`${scrip.url}/settings/activity`);
  const entries = await page.locator("#entries").innerText();
  assert.match(entries, /Budget all set/);
  assert.doesNotMatch(entries, /counted up|Terms of|A notice/);
  await page.locator("summary", { hasText: "Infrastructure plan" }).click();
  assert.match(await page.locator(".entries details[open]").innerText(), /Score[\s\S]*Paid by[\s\S]*of Free credits/);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "as NDJSON" }).click()]);
  const lines = (await (await download.createReadStream()).toArray()).join("").trim().split("\n").map((it) => JSON.parse(it));
  const charge = lines.find((it) => it.meter === "ai_chat");
  assert.match(charge.paid_by, /^grant_\S+=2$/);
  assert.match(charge.price_lines, /16000 × 125 \/ 1000000 = 2/);
  assert.equal(lines.some((it) => /counted up/.test(it.what)), false, "the file has what the page has");
  await page.goto(`${scrip.url}/settings/activity?server=web-1`);
  assert.match(await page.locator("#entries").innerText(), /Server web-1 started[\s\S]*Server web-1 ordered/);
});

test("a way to spend less is said with what it saves, and is dismissed for good", async () => {
  await filled(scrip);
  // Soon a plan made of a template has a price of its own.
  const card = await scrip.ask("GET", "/v1/rate-card");
  const bands = [{ name: "T", up_to: 100, fee: "5" }, { name: "TX", fee: "5", price: "30" }];
  card.meters.infra_plan.rates.push({ when: { kind: ["template"] }, points: { per: 50, started: true, bands } });
  const { as_of } = await scrip.ask("GET", "/v1/accounts/acme/balance");
  const effective_at = new Date(Date.parse(as_of) + 3_000).toISOString();
  await scrip.ask("POST", "/v1/rate-cards", { ...card, version: card.version + 1, effective_at });
  const page = await tab(chrome);
  await page.goto(await scrip.link("acme"));
  const tips = page.locator("#tips li");
  for (let tries = 0; tries < 200 && (await tips.count()) === 0; tries++) await page.reload();
  const title = await tips.first().getByRole("heading").innerText();
  assert.match(await tips.first().innerText(), /save [\d,.]+ credits a month \(€[\d,.]+\)/);
  await tips.first().getByRole("button", { name: "Dismiss" }).click();
  await page.waitForURL(/#tips/);
  await page.reload();
  assert.equal(await page.getByRole("heading", { name: title }).count(), 0);
  const member = await tab(chrome);
  await member.goto(await scrip.link("acme", "member"));
  assert.equal(await member.getByRole("button", { name: "Dismiss" }).count(), 0);
});

test("a card number is refused wherever somebody types it, and nothing of it is kept", async () => {
  await scrip.account("careless");
  const page = await tab(chrome, { expected: ["422"] });
  await page.goto(await scrip.link("careless"));
  await page.getByRole("link", { name: "Set a budget" }).click();
  await page.getByLabel("Name").fill("4242-4242-4242-4242");
  await page.getByLabel("Credits").fill("20");
  await page.getByRole("button", { name: "Set the budget" }).click();
  await page.getByRole("heading", { name: "No card numbers here" }).waitFor();
  await sound(page, "a card number that was refused");
  await page.goto(`${scrip.url}/settings/estimate`);
  await page.getByLabel("Your message").fill("My card is 4242 4242 4242 4242, is that enough?");
  await page.getByRole("button", { name: "Estimate the message" }).click();
  await page.getByRole("alert").filter({ hasText: "looks like the number of a card" }).waitFor();
  assert.equal((await page.goto(`${scrip.url}/settings/usage?project=4242424242424242`)).status(), 422);
  assert.deepEqual((await scrip.ask("GET", "/v1/accounts/careless/budgets")).data, []);
});
