// A subscription from beginning to end, and back: against the simulator of Stripe, with a clock that is moved.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, eventually, sound, tab, SCHEMES, SIZES } from "../scrip.mjs";
import { saveCard } from "../shop.mjs";

const REFUSED = "Failed to load resource";
const DAY = 86_400;
let scrip, chrome;
before(async () => {
  scrip = await Scrip.start({ stripe: true });
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

/** The billing page of an account that has saved a card. */
async function carded(account, number = "4242424242424242", options = {}) {
  await scrip.account(account);
  const page = await tab(chrome, { expected: [REFUSED], ...options });
  await page.goto(await scrip.link(account, "owner", { page: "billing" }));
  await saveCard(page, number);
  return page;
}

async function subscribe(page, plan) {
  await page.getByRole("link", { name: `Subscribe: ${plan}`, exact: true }).click();
  await page.getByRole("button", { name: /^Subscribe and pay/ }).click();
  await page.getByRole("heading", { name: "Credits added" }).waitFor({ timeout: 20_000 });
  await page.getByRole("link", { name: "Back to billing" }).click();
}

const section = (page) => page.locator("#subscription");
/** Looks again until it is there: what the clock brings about, the worker does a moment later. */
async function comes(page, text) {
  await eventually(page, async () => (await section(page).innerText()).includes(text));
  await says(page, text);
}

const says = (page, text) => section(page).filter({ hasText: text }).waitFor();

test("one subscribes, cancels in two clicks, and takes it back", async () => {
  const page = await carded("regular");
  assert.match(await section(page).innerText(), /save 10%[\s\S]*1,000 credits for €9\.00 instead of €10\.00/);
  await page.getByRole("link", { name: "Subscribe: Monthly", exact: true }).click();
  assert.match(await page.locator(".agree").innerText(), /Visa ••4242 is charged €18\.00 now, and again each month until you cancel/);
  await sound(page, "the agreement to a subscription");
  await page.getByRole("button", { name: "Subscribe and pay €18.00" }).click();
  await page.getByRole("heading", { name: "Credits added" }).waitFor({ timeout: 20_000 });
  await page.waitForFunction(() => document.querySelector("#pill").textContent.includes("2,900.00"));
  await page.getByRole("link", { name: "Back to billing" }).click();
  await says(page, /Next: €18\.00 on \d+ \w+ 20\d\d, from Visa ••4242/);
  await says(page, "2,000.00 credits from subscriptions are unused. They carry over");
  await page.getByRole("link", { name: "Cancel subscription" }).click();
  assert.match(await page.locator(".agree").innerText(), /All your credits stay/);
  await sound(page, "the question before cancelling");
  await page.getByRole("button", { name: /^Cancel on/ }).click();
  await says(page, "nothing more is charged");
  await sound(page, "billing with a subscription that ends");
  await page.getByRole("button", { name: "Keep the subscription" }).click();
  await says(page, "Next: €18.00");
  await page.getByRole("link", { name: /^Remove/ }).click();
  assert.match(await page.getByRole("alert").innerText(), /the subscription/, "its only card stays, and it is said why");
});

test("an upgrade costs the difference now, a downgrade waits for the renewal and can be taken back", async () => {
  const page = await carded("growing");
  await subscribe(page, "Monthly");
  await page.getByRole("link", { name: "Upgrade: Monthly Plus" }).click();
  assert.match(await page.locator(".agree").innerText(), /credits are added now[\s\S]*The difference between the plans[\s\S]*To pay now/);
  await page.getByRole("button", { name: /^Upgrade and pay/ }).click();
  await page.getByRole("heading", { name: "Credits added" }).waitFor({ timeout: 20_000 });
  await page.getByRole("link", { name: "Back to billing" }).click();
  await says(page, "Monthly Plus: 10,000 credits each month");
  await page.getByRole("link", { name: "Change at renewal: Monthly", exact: true }).click();
  assert.match(await page.locator(".agree").innerText(), /Nothing is charged now/);
  await page.getByRole("button", { name: "Change at renewal" }).click();
  await says(page, /From \d+ \w+ 20\d\d on: Monthly: 2,000 credits each month, for €18\.00/);
  await page.getByRole("link", { name: "Stay on this plan: Monthly Plus" }).click();
  await page.getByRole("button", { name: "Stay on this plan" }).click();
  await says(page, "Next: €85.00");
});

test("a renewal that is declined says why, when it is tried again, and what to do", async () => {
  const page = await carded("late");
  await subscribe(page, "Monthly");
  await saveCard(page, "4000000000000341");
  await page.getByRole("button", { name: "Make default Visa ••0341" }).click();
  await page.getByRole("link", { name: "Remove Visa ••4242" }).click();
  await page.getByRole("button", { name: "Remove Visa ••4242" }).click();
  await scrip.advance("late", 32 * DAY);
  await page.goto(await scrip.link("late", "owner", { page: "billing" }));
  await comes(page, "payment declined");
  await says(page, /The bank declined the payment.*It is tried again on/);
  await sound(page, "billing with a renewal that was declined");
  await saveCard(page, "4242424242424242");
  await page.getByRole("button", { name: "Make default Visa ••4242" }).click();
  await comes(page, "Next: €18.00");
});

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of SCHEMES) {
    test(`the billing page of a subscriber is sound on a ${size} in ${colorScheme}`, async () => {
      const page = await tab(chrome, { viewport, colorScheme, deviceScaleFactor: size === "phone" ? 2 : 1 });
      await page.goto(await scrip.link("regular", "owner", { page: "billing" }));
      await says(page, "Next: €18.00");
      await sound(page, `a subscriber's billing, ${size}, ${colorScheme}`);
      const path = process.env.PICTURES && `${process.env.PICTURES}/subscriber-${size}-${colorScheme}.png`;
      if (path) await page.screenshot({ path, fullPage: true });
    });
  }
}
