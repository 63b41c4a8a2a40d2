// Buying credits, against the simulator of Stripe: its hosted page, 3-D Secure, declines, saved cards.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, sound, tab, SCHEMES, SIZES } from "../scrip.mjs";

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

/** Types a card into the simulator's page. */
async function type(page, number) {
  await page.getByLabel("Card number").fill(number);
  await page.getByLabel("Expiry").fill("12 / 39");
  await page.getByLabel("Security code").fill("123");
  await page.getByRole("button", { name: /^(Pay|Save)/ }).click();
}

async function buy(page, name, number, save = false) {
  await page.getByText(name, { exact: true }).click();
  await page.getByLabel("Pay with").selectOption("hosted");
  if (save) await page.getByLabel("Remember the card for auto-topup").check();
  await page.getByRole("button", { name: "Purchase credits" }).click();
  await page.getByRole("heading", { name: /^Pay / }).waitFor();
  await type(page, number);
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

test("a bank that asks who one is gets its answer, and then the credits are there", async () => {
  const page = await billing("proven");
  await buy(page, "Starter", "4000002760003184");
  await page.getByRole("button", { name: "It is me" }).click();
  await added(page);
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
  await page.waitForFunction(() => document.documentElement.dataset.stream === "live");
  await scrip.chat("topped", 3_600_000);
  await page.locator("summary", { hasText: "Auto-topup added" }).waitFor({ timeout: 20_000 });
  await page.goto(`${scrip.url}/settings/billing`);
  assert.match(await page.locator("#auto-topup").innerText(), /€10\.00 this month so far/);
  await page.getByRole("button", { name: /^Remove/ }).click();
  await page.getByRole("heading", { name: "That did not work" }).waitFor();
  assert.match(await page.locator("main").innerText(), /auto-topup/, "the only card of a rule stays, and it is said why");
  await page.goto(`${scrip.url}/settings/billing`);
  await page.getByRole("button", { name: "Turn off" }).click();
  await page.locator("#auto-topup .badge", { hasText: "off" }).waitFor();
});

test("a card is added on the provider's page and removed again", async () => {
  const page = await billing("cards");
  await page.getByRole("button", { name: "Add a card" }).click();
  await page.getByRole("heading", { name: "Save a card" }).waitFor();
  await type(page, "4242424242424242");
  await page.waitForURL(/settings\/billing/);
  // The provider's word may come a moment after the customer does.
  for (let looks = 0; looks < 20 && (await page.locator(".cards .name").count()) === 0; looks++) await page.reload();
  assert.equal(await page.locator(".cards .name").innerText(), "Visa ••4242");
  await page.getByRole("button", { name: /^Remove/ }).click();
  await page.getByText("No card is saved.").waitFor();
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
  await page.getByLabel("City").fill("Vilnius");
  await page.getByLabel("Country, two letters").fill("lt");
  await page.getByRole("button", { name: "Save details" }).click();
  await page.waitForURL(/#details/);
  assert.equal(await page.getByLabel("Country, two letters").inputValue(), "LT");
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
