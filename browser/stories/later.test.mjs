// What a customer sees when days have gone by. The clock is moved here by weeks, on a server of its own.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, live, sound, tab } from "../scrip.mjs";

let scrip, chrome;
before(async () => {
  scrip = await Scrip.start();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

test("who is in debt is told so by a word and a colour, beside the balance and above every page", async () => {
  await scrip.account("owes");
  await scrip.ask("PUT", "/v1/accounts/owes/servers/web-1", { tier: "entry-level" });
  await scrip.ask("POST", "/v1/accounts/owes/servers/web-1/start", {});
  await scrip.chat("owes", 8_000 * 499);
  await scrip.advance("owes", 40 * 3_600);
  const page = await tab(chrome);
  await page.goto(await scrip.link("owes"));
  await live(page);
  assert.match(await page.locator("#pill").innerText(), /in debt/);
  assert.match(await page.locator("#balance .word").innerText(), /in debt/);
  const colours = await page.evaluate(() => {
    const of = (it, what) => getComputedStyle(document.querySelector(it))[what];
    return [of(".debt b", "color"), of("#pill .dot", "backgroundColor"), of("#fresh .dot", "backgroundColor")];
  });
  assert.equal(new Set(colours).size, 1, `all of them are the colour of danger: ${colours}`);
});

test("a project that nobody needs is removed after a question, from its page and from its tip, and comes back", async () => {
  await scrip.account("tidy");
  await scrip.ask("POST", "/v1/accounts/tidy/grants", { credits: "9000", source: "purchase", reason: "Servers" });
  await scrip.chat("tidy", 80_000, { project: "old-site" });
  await scrip.ask("PUT", "/v1/accounts/tidy/servers/web-1", { project: "old-site", tier: "entry-level" });
  await scrip.ask("POST", "/v1/accounts/tidy/servers/web-1/start", {});
  const page = await tab(chrome);
  await page.goto(await scrip.link("tidy"));
  await page.getByRole("link", { name: "old-site", exact: true }).click();
  await page.getByRole("link", { name: "Remove this project …" }).click();
  await page.getByRole("heading", { name: "Remove the project old-site?" }).waitFor();
  const question = await page.locator("main").innerText();
  for (const said of ["Its history stays and still adds up", "web-1 still runs in it"]) assert.ok(question.includes(said), said);
  await sound(page, "the question before a project is removed");
  await page.getByRole("link", { name: "Keep it" }).click();
  await page.getByRole("heading", { name: "Project old-site", exact: true }).waitFor();
  await page.getByRole("link", { name: "Remove this project …" }).click();
  await page.getByRole("button", { name: "Remove old-site" }).click();
  await page.getByRole("heading", { name: "Removed project old-site" }).waitFor();
  assert.match(await page.locator(".total").innerText(), /credits/, "what was used in it is still there");
  await sound(page, "a project that was removed");
  await page.getByRole("button", { name: "Bring it back" }).click();
  await page.getByRole("heading", { name: "Project old-site", exact: true }).waitFor();
  await scrip.advance("tidy", 31 * 86_400);
  // The clock was moved beyond the session: another link, and a tab that never heard of the first.
  const later = await tab(chrome);
  await later.goto(await scrip.link("tidy"));
  const tip = later.locator("#tips li", { hasText: "old-site has been quiet for 30 days" });
  await tip.getByRole("link", { name: "Remove the project …" }).click();
  await later.getByRole("button", { name: "Remove old-site" }).click();
  await later.getByRole("heading", { name: "Removed project old-site" }).waitFor();
});
