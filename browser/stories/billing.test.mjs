// Buying credits, against the simulator of Stripe: its hosted page, 3-D Secure, declines, saved cards.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, eventually, live, sound, tab, SCHEMES, SIZES } from "../scrip.mjs";
import { buy, choose, saveCard, type } from "../shop.mjs";

const REFUSED = "Failed to load resource";
let scrip, chrome;
before(async () => {
  scrip = await Scrip.start({ stripe: true });
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

async function billing(account, role = "owner", options = {}) {
  await scrip.account(account);
  const page = await tab(chrome, { expected: [REFUSED], ...options });
  await page.goto(await scrip.link(account, role, { page: role === "member" ? "usage" : "billing" }));
  return page;
}

const added = (page) => page.getByRole("heading", { name: "Credits added" }).waitFor({ timeout: 20_000 });

test("credits are bought on the hosted page, and are there without a reload; the invoice opens", async () => {
  const page = await billing("buyer");
  await sound(page, "the billing page");
  await buy(page, "Builder", "4242424242424242");
  await added(page);
  assert.match(await page.locator("#payment").innerText(), /5,250/);
  await page.waitForFunction(() => document.querySelector("#pill").textContent.includes("6,150.00"));
  await sound(page, "a payment that came in");
  await page.getByRole("link", { name: "Invoice" }).click();
  assert.match(await page.locator("body").innerText(), /INV-20\d\d-/);
  await page.goto(`${scrip.url}/settings/billing`);
  assert.match(await page.locator("#history").innerText(), /Purchase[\s\S]*5,250\.00[\s\S]*paid[\s\S]*INV-/);
});

test("invoices and statements are taken away as files: PDF, XML, CSV, and all of a period at once", async () => {
  const page = await billing("bookkeeper");
  await buy(page, "Starter", "4242424242424242");
  await added(page);
  await scrip.chat("bookkeeper", 80_000);
  await page.goto(`${scrip.url}/settings/billing`);
  const taken = async (button) => {
    const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
    const chunks = await (await download.createReadStream()).toArray();
    return [download.suggestedFilename(), Buffer.concat(chunks)];
  };
  const [pdf, printed] = await taken(page.getByRole("link", { name: /^PDF of INV/ }));
  assert.match(pdf, /^INV-20\d\d-\d+\.pdf$/);
  assert.equal(printed.subarray(0, 5).toString(), "%PDF-");
  const [, structured] = await taken(page.getByRole("link", { name: /^XML of INV/ }));
  assert.match(structured.toString(), /<Invoice[\s\S]*10\.00/);
  const [zip, packed] = await taken(page.getByRole("button", { name: "Download as a ZIP" }));
  assert.match(zip, /^invoices-.*\.zip$/);
  assert.equal(packed.subarray(0, 2).toString(), "PK");
  const statements = page.locator("#statements");
  const [, sheet] = await taken(statements.getByRole("button", { name: "CSV" }));
  assert.match(sheet.toString(), /ai_chat,storefront/);
  await statements.getByLabel("Of").selectOption("storefront");
  const [of, part] = await taken(statements.getByRole("button", { name: "CSV" }));
  assert.match(of, /^statement-20\d\d-\d\d-storefront\.csv$/);
  assert.match(part.toString(), /storefront[\s\S]*10/);
  const [statement, paper] = await taken(statements.getByRole("button", { name: "PDF" }));
  assert.match(statement, /^statement-20\d\d-\d\d-storefront\.pdf$/);
  assert.equal(paper.subarray(0, 5).toString(), "%PDF-");
  await sound(page, "billing with an invoice");
});

test("a bank that asks who one is gets its answer, and then the credits are there", async () => {
  const page = await billing("proven");
  await buy(page, "Starter", "4000002760003184");
  await page.getByRole("button", { name: "It is me" }).click();
  await added(page);
});

test("a payment that was left is gone on with, or cancelled, from the page one comes back to", async () => {
  const page = await billing("left");
  await choose(page, "Starter");
  await page.getByRole("button", { name: /^Go on and pay/ }).click();
  await page.getByRole("heading", { name: /^Pay / }).waitFor();
  await page.goto(`${scrip.url}/settings/billing`);
  assert.match(await page.locator("#waiting").innerText(), /Not paid yet: 1,000 credits \(Starter\), €10\.00/);
  await sound(page, "a payment that was left");
  await page.getByRole("link", { name: "Continue paying", exact: true }).click();
  await page.getByRole("heading", { name: /^Pay / }).waitFor();
  await page.goto(`${scrip.url}/settings/billing`);
  await page.locator("#waiting").getByRole("button", { name: "Cancel the payment" }).click();
  await page.getByRole("heading", { name: "The payment was cancelled" }).waitFor();
  await sound(page, "a payment that was cancelled");
  await page.getByRole("link", { name: "Back to billing" }).click();
  assert.equal(await page.locator("#waiting").innerText(), "");
  assert.match(await page.locator("#history").innerText(), /cancelled[\s\S]*It was cancelled before it was paid/);
});

test("the same purchase at once again is asked about, and whoever means it has it", async () => {
  const page = await billing("again");
  await saveCard(page, "4242424242424242");
  const card = await page.locator("select[name=method] option").first().getAttribute("value");
  assert.equal(await page.getByLabel("Remember the card").isVisible(), false, "a saved card is remembered");
  await choose(page, "Starter", { method: card });
  await page.getByRole("button", { name: /^Pay €/ }).click();
  await added(page);
  await page.goBack();
  await page.getByRole("heading", { name: "Buy again?" }).waitFor();
  assert.match(await page.getByRole("alert").innerText(), /You bought 1,000 credits a moment ago/);
  await sound(page, "the question before the same is bought again");
  await page.getByRole("button", { name: /^Buy again for €10\.00/ }).click();
  await added(page);
  assert.equal((await scrip.ask("GET", "/v1/accounts/again/payments")).data.length, 2);
});

test("what was done is said where it was done, and has the focus", async () => {
  const page = await billing("told");
  await page.getByLabel("VAT number").fill("lt 12");
  await page.getByLabel("Country").selectOption("LT");
  await page.getByRole("button", { name: "Save details" }).click();
  assert.match(await page.getByRole("alert").innerText(), /is not in the form of one of Lithuania, such as LT123456789/);
  assert.equal(await page.getByLabel(/^VAT number/).inputValue(), "lt 12");
  assert.equal(await page.getByLabel(/^VAT number/).evaluate((it) => it === document.activeElement), true);
  await sound(page, "details that were refused");
  await page.getByLabel(/^VAT number/).fill("lt 123456789");
  await page.getByRole("button", { name: "Save details" }).click();
  const said = page.getByText("Your billing details are saved.");
  await said.waitFor();
  assert.equal(await said.evaluate((it) => it === document.activeElement), true, "it is read out");
  assert.equal(await page.getByLabel("VAT number").inputValue(), "LT123456789");
  await saveCard(page, "4242424242424242");
  assert.match(await page.locator("#cards").innerText(), /The card is saved\./);
});

test("a declined card is said in plain words, and another one works", async () => {
  const page = await billing("declined");
  await buy(page, "Starter", "4000000000009995");
  await page.getByRole("alert").waitFor();
  await type(page, "4242424242424242");
  await added(page);
});

test("auto-topup is agreed to in one sentence, and fires when credits run low", async () => {
  const page = await billing("topped");
  await buy(page, "Starter", "4242424242424242", true);
  await added(page);
  await page.goto(`${scrip.url}/settings/billing`);
  await page.getByLabel("When fewer credits are available than").fill("1500");
  await page.getByLabel("Add credits").fill("1000");
  await page.getByLabel(/At most, a month/).fill("50");
  await page.getByRole("button", { name: "Turn on …" }).click();
  const sentence = await page.locator(".sentence").innerText();
  assert.match(sentence, /^When fewer than 1,500\.00 credits are available, Visa ••4242 is charged €10\.00 .* at most €50\.00 a month\.$/);
  await sound(page, "the consent");
  await page.getByRole("button", { name: "Agree and turn on" }).click();
  await page.locator("#auto-topup .badge", { hasText: "on" }).waitFor();
  await page.goto(`${scrip.url}/settings/usage`);
  await live(page);
  await scrip.chat("topped", 3_600_000);
  await page.locator("summary", { hasText: "Auto-topup added" }).waitFor({ timeout: 20_000 });
  await page.goto(`${scrip.url}/settings/billing`);
  assert.match(await page.locator("#auto-topup").innerText(), /Last: €10\.00 for 1,000 credits[\s\S]*Next: when[\s\S]*€10\.00 of at most €50\.00 this month so far/);
  await page.getByRole("link", { name: /^Remove/ }).click();
  await page.getByRole("alert").waitFor();
  assert.match(await page.getByRole("alert").innerText(), /auto-topup/, "the only card of a rule stays, and it is said why");
  await page.getByRole("button", { name: "Turn off" }).click();
  await page.locator("#auto-topup .badge", { hasText: "off" }).waitFor();
});

test("a card is added on the provider's page and removed again", async () => {
  const page = await billing("cards");
  await saveCard(page, "4242424242424242");
  assert.equal(await page.locator(".cards .name").innerText(), "Visa ••4242");
  await page.getByRole("link", { name: /^Remove/ }).click();
  await page.getByRole("heading", { name: "Remove Visa ••4242?" }).waitFor();
  await page.getByRole("link", { name: "Keep it" }).click();
  assert.equal(await page.locator(".cards .name").innerText(), "Visa ••4242", "one click removes nothing");
  await page.getByRole("link", { name: /^Remove/ }).click();
  await sound(page, "the question before a card is removed");
  await page.getByRole("button", { name: /^Remove/ }).click();
  await page.getByText("No card is saved").waitFor();
});

test("an amount that cannot be bought is said beside its field, which keeps what was typed", async () => {
  const page = await billing("mistaken");
  await page.getByText("Another amount").click();
  await page.getByLabel("Credits", { exact: true }).fill("12");
  await page.getByRole("button", { name: "Purchase credits" }).click();
  assert.match(await page.getByRole("alert").innerText(), /From 500 to 1,000,000 credits can be bought at once: €5\.00 to €10,000\.00 before tax/);
  assert.equal(await page.getByLabel("Credits", { exact: true }).inputValue(), "12");
  await sound(page, "an amount that was refused");
  await page.getByLabel("Credits", { exact: true }).fill("2,500");
  await page.getByRole("button", { name: "Purchase credits" }).click();
  assert.match(await page.locator(".bill").innerText(), /2,500 credits\s+€25\.00[\s\S]*To pay now\s+€25\.00/);
  assert.match(await page.locator(".agree").innerText(), /That is about [\d,]+ messages/);
  await sound(page, "what a purchase costs");
});

test("a number that is typed is what is bought, and a package that is chosen takes it away", async () => {
  const page = await billing("either");
  const [amount, another] = [page.getByLabel("Credits", { exact: true }), page.locator("input[name=package][value=custom]")];
  await amount.fill("3000");
  assert.equal(await another.isChecked(), true);
  await page.locator("label.package", { hasText: "Starter" }).click();
  assert.deepEqual([await amount.inputValue(), await another.isChecked()], ["", false]);
  await page.getByText("Another amount").click();
  assert.equal(await amount.evaluate((it) => it === document.activeElement), true, "one types at once");
  await amount.fill("3000");
  await amount.press("Enter");
  assert.match(await page.locator(".bill").innerText(), /3,000 credits/);
});

test("a price that changed meanwhile is shown again before anybody pays", async () => {
  const page = await billing("repriced");
  const put = (amount) => scrip.ask("PUT", "/v1/packages/mini", { name: "Mini", credits: "600", bonus: "0", price: { amount, currency: "eur" } });
  await put(600);
  await page.reload();
  await choose(page, "Mini");
  await put(700);
  await page.getByRole("button", { name: /^Go on and pay €6\.00/ }).click();
  await page.getByRole("alert").filter({ hasText: "The price has changed" }).waitFor();
  await page.getByRole("button", { name: /^Go on and pay €7\.00/ }).waitFor();
  assert.equal((await scrip.ask("GET", "/v1/accounts/repriced/payments")).data.length, 0);
  await scrip.ask("DELETE", "/v1/packages/mini");
});

test("credits are bought without a script, too", async () => {
  const page = await billing("plain", "owner", { javaScriptEnabled: false });
  await choose(page, "Starter");
  await page.getByRole("button", { name: /^Go on and pay/ }).click();
  await page.getByRole("heading", { name: /^Pay / }).waitFor();
  await type(page, "4242424242424242");
  const heading = page.getByRole("heading", { name: "Credits added" });
  await eventually(page, async () => (await heading.count()) > 0);
  await heading.waitFor();
});

test("details, a card, an auto-topup and a budget are set without a script", async () => {
  const page = await billing("scriptless", "owner", { javaScriptEnabled: false });
  await page.getByLabel("Name or company").fill("Plain & Sons");
  await page.getByRole("button", { name: "Save details" }).click();
  await page.waitForURL(/#details/);
  assert.equal(await page.getByLabel("Name or company").inputValue(), "Plain & Sons");
  await saveCard(page, "4242424242424242");
  await page.getByLabel("When fewer credits are available than").fill("200");
  await page.getByLabel(/At most, a month/).fill("5");
  await page.getByRole("button", { name: "Turn on …" }).click();
  assert.match(await page.getByRole("alert").innerText(), /must be at least €10\.00, what one top-up costs/);
  assert.equal(await page.getByLabel("When fewer credits are available than").inputValue(), "200", "what was typed is kept");
  await page.getByLabel(/At most, a month/).fill("50");
  await page.getByRole("button", { name: "Turn on …" }).click();
  await page.getByRole("button", { name: "Agree and turn on" }).click();
  await page.locator("#auto-topup .badge", { hasText: /^on$/ }).waitFor();
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Usage" }).click();
  await page.getByText("when below 200.00").waitFor();
  await page.getByRole("link", { name: "Set a budget" }).click();
  await page.getByLabel("Name").fill("all");
  await page.getByLabel("Credits").fill("500");
  await page.getByRole("button", { name: "Set the budget" }).click();
  await page.locator("#budget-rows").filter({ hasText: "0.00 of 500.00" }).waitFor();
});

test("credits are bought by keyboard alone", async () => {
  const page = await billing("typist");
  await saveCard(page, "4242424242424242");
  const reach = async (what, key) => {
    for (let step = 0; step < 150; step++) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => {
        const it = document.activeElement;
        return it === document.body ? "" : `${it.name ?? ""} ${(it.labels?.[0]?.textContent ?? it.textContent).trim()}`.trim();
      });
      if (focused.startsWith(what)) return page.keyboard.press(key);
    }
    assert.fail(`no way to ${what} by keyboard`);
  };
  await reach("package", "ArrowDown");
  assert.equal(await page.locator("input[name=package]:checked").inputValue(), "builder");
  await reach("Purchase credits", "Enter");
  await page.locator(".bill").waitFor();
  await reach("Pay €", "Enter");
  await added(page);
});

test("who lacks credits is led to the smallest package that brings them, and back to the app", async () => {
  await scrip.account("lacking");
  const page = await tab(chrome, { expected: [REFUSED] });
  await page.goto(await scrip.link("lacking", "owner", { page: "billing", needed_credits: "1200.5", return_url: "https://app.example.com/chat" }));
  assert.equal(await page.locator("input[name=package]:checked").inputValue(), "builder");
  await buy(page, "Builder", "4242424242424242");
  await added(page);
  assert.equal(await page.locator(".payment").getByRole("link", { name: "Back to the app" }).getAttribute("href"), "https://app.example.com/chat");
});

test("a bank that wants to be asked pauses auto-topup, and its answer lets it go on", async () => {
  const page = await billing("asked");
  await saveCard(page, "4000002760003184");
  await page.getByLabel("When fewer credits are available than").fill("500");
  await page.getByRole("button", { name: "Turn on …" }).click();
  await page.getByRole("button", { name: "Agree and turn on" }).click();
  await page.locator("#auto-topup .badge", { hasText: "on" }).waitFor();
  await scrip.chat("asked", 800_000 * 5);
  await page.locator("#auto-topup .badge", { hasText: "paused" }).waitFor();
  assert.match(await page.locator("#auto-topup").innerText(), /paused[\s\S]*Confirm the payment with your bank; it goes on by itself/);
  await sound(page, "an auto-topup that waits for the bank");
  await page.getByRole("link", { name: "Confirm with your bank" }).click();
  await page.getByRole("button", { name: "Confirm with the bank" }).click();
  await page.getByRole("button", { name: "It is me" }).click();
  await added(page);
  await page.getByRole("link", { name: "Back to billing" }).click();
  await page.locator("#auto-topup .badge", { hasText: /^on$/ }).waitFor();
});

test("a member sees no billing, and a viewer changes nothing", async () => {
  const member = await billing("roles", "member");
  assert.equal(await member.getByRole("link", { name: "Billing" }).count(), 0);
  assert.equal((await member.goto(`${scrip.url}/settings/billing`)).status(), 403);
  const viewer = await billing("roles", "viewer");
  assert.equal(await viewer.getByRole("button", { name: "Purchase credits" }).count(), 0);
  const mark = await viewer.locator("input[name=mark]").first().inputValue();
  const sent = await viewer.request.post(`${scrip.url}/settings/billing/buy`, { form: { mark, package: "starter", key: "k" } });
  assert.equal(sent.status(), 403);
});

test("billing details go onto the next invoice", async () => {
  const page = await billing("company");
  await page.getByLabel("Name or company").fill("Acme Robotics, UAB");
  await page.getByLabel("City", { exact: true }).fill("Vilnius");
  await page.getByLabel("Country").selectOption({ label: "Lithuania" });
  await page.getByRole("button", { name: "Save details" }).click();
  await page.waitForURL(/#details/);
  await page.getByText("Your billing details are saved").waitFor();
  assert.equal(await page.getByLabel("Country").inputValue(), "LT");
  await buy(page, "Starter", "4242424242424242");
  await added(page);
  await page.getByRole("link", { name: "Invoice" }).click();
  assert.match(await page.locator("body").innerText(), /Acme Robotics, UAB[\s\S]*Vilnius/);
});

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of SCHEMES) {
    test(`the billing page is sound on a ${size} in ${colorScheme}`, async () => {
      const page = await billing("buyer", "owner", { viewport, colorScheme, deviceScaleFactor: size === "phone" ? 2 : 1 });
      await sound(page, `billing, ${size}, ${colorScheme}`);
      const path = process.env.PICTURES && `${process.env.PICTURES}/billing-${size}-${colorScheme}.png`;
      if (path) await page.screenshot({ path, fullPage: true });
    });
  }
}
