// Budgets: set, explained, used up, changed and taken away; the stop is real.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, live, sound, tab, SCHEMES, SIZES } from "../scrip.mjs";

let scrip, chrome;
before(async () => {
  scrip = await Scrip.start();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

test("a budget is set in plain words, fills up while one looks, and stops what would pass it", async () => {
  await scrip.account("careful");
  await scrip.chat("careful", 80_000);
  const page = await tab(chrome, { expected: ["422"] });
  await page.goto(await scrip.link("careful"));
  await page.getByText("No budget is set").waitFor();
  await page.getByRole("link", { name: "Set a budget" }).click();
  await sound(page, "the form of a budget");
  await page.getByLabel("Name").fill("ai monthly");
  await page.getByLabel("Credits").fill("many");
  await page.locator("select[name=kind]").selectOption("ai");
  await page.getByText("Stop", { exact: true }).click();
  await page.getByRole("button", { name: "Set the budget" }).click();
  assert.match(await page.getByRole("alert").innerText(), /The number of credits/);
  assert.equal(await page.getByLabel("Name").inputValue(), "ai monthly", "what was typed is kept");
  await page.getByLabel("Credits").fill("20");
  await page.getByRole("button", { name: "Set the budget" }).click();
  const budgets = page.locator("#budget-rows");
  assert.match(await budgets.innerText(), /ai-monthly AI work, each month[\s\S]*10\.00 of 20\.00[\s\S]*50%[\s\S]*Work that would pass it is refused/);
  await live(page);
  await scrip.chat("careful", 64_000);
  await budgets.filter({ hasText: "18.00 of 20.00" }).waitFor();
  await assert.rejects(scrip.chat("careful", 64_000), /budget_exceeded/);
  await sound(page, "usage with a budget");
  await page.getByRole("link", { name: "ai-monthly" }).click();
  await page.getByLabel("Credits").fill("100");
  await page.getByText("Tell us", { exact: true }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await budgets.filter({ hasText: "It tells, and stops nothing" }).waitFor();
  await page.getByRole("link", { name: "ai-monthly" }).click();
  await page.getByRole("button", { name: "Take it away" }).click();
  await page.getByText("No budget is set").waitFor();
});

test("a member sees budgets and sets none", async () => {
  await scrip.account("watched");
  await scrip.ask("PUT", "/v1/accounts/watched/budgets/all", { period: "month", credits: "500", action: "notify" });
  const page = await tab(chrome, { expected: ["403"] });
  await page.goto(await scrip.link("watched", "member"));
  assert.match(await page.locator("#budget-rows").innerText(), /all Everything, each month[\s\S]*0\.00 of 500\.00/);
  assert.equal(await page.getByRole("link", { name: "Set a budget" }).count(), 0);
  assert.equal((await page.goto(`${scrip.url}/settings/usage/budget`)).status(), 403);
});

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of SCHEMES) {
    test(`the form of a budget is sound on a ${size} in ${colorScheme}`, async () => {
      const page = await tab(chrome, { viewport, colorScheme });
      await page.goto(await scrip.link("watched"));
      await page.goto(`${scrip.url}/settings/usage/budget?budget=all`);
      await sound(page, `a budget, ${size}, ${colorScheme}`);
    });
  }
}
