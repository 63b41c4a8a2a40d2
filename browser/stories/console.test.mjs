// What operators do at the console: each act says what it will do, is done once, and is written down.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, sound, tab } from "../scrip.mjs";

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

/** A tab in which an operator is signed in. */
async function operator(options = {}) {
  const page = await tab(chrome, { expected: [REFUSED], ...options });
  await page.goto(`${scrip.url}/console/sign-in`);
  await page.getByLabel("Secret").fill(scrip.key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(/console$/);
  return page;
}

/** Leaves the question as it is for a moment: it must be sound, and nothing is done yet. */
async function asked(page, title) {
  await page.getByRole("heading", { name: title }).waitFor();
  await sound(page, title);
}

test("an operator signs in, finds an account, gives credits and is written down", async () => {
  await scrip.account("customer", { name: "Grace Hopper" });
  const page = await tab(chrome, { expected: [REFUSED] });
  await page.goto(`${scrip.url}/console`);
  await sound(page, "the sign-in");
  await page.getByLabel("Secret").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Secret").fill(scrip.key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByPlaceholder("Id, name or e-mail").fill("hopper");
  await page.getByRole("button", { name: "Search" }).click();
  await sound(page, "the accounts");
  await page.getByRole("link", { name: "customer" }).click();
  await page.getByLabel("Credits", { exact: true }).fill("25");
  await page.getByLabel("Reason, which the customer reads").last().fill("Sorry for the trouble");
  await page.getByRole("button", { name: "Give …" }).click();
  await asked(page, "Give credits?");
  await page.getByText("customer is given 25.00 credits").waitFor();
  await page.getByRole("button", { name: "Give the credits" }).dblclick();
  await page.getByText("The credits were given.").waitFor();
  await page.getByText("925.00").first().waitFor();
  await sound(page, "an account at the console");
  await page.getByRole("link", { name: "Audit log" }).click();
  await page.getByLabel("What was done").fill("grant.make");
  await page.getByRole("button", { name: "Show" }).click();
  assert.equal(await page.locator("tbody tr").count(), 1, "pressed twice, done once");
  await sound(page, "the audit log");
});

test("a charge is given back from its receipt, and what is set aside is released", async () => {
  await scrip.account("wronged");
  await scrip.chat("wronged", 80_000);
  const hold = { account: "wronged", meter: "ai_chat", dimensions: { model: "gpt-6.1-terra" }, credits: "5", expires_in_seconds: 600, idempotency_key: "h" };
  await scrip.ask("POST", "/v1/holds", hold);
  const page = await operator();
  await page.goto(`${scrip.url}/console/accounts/wronged`);
  await page.locator("summary", { hasText: "AI chat message" }).last().click();
  await page.getByRole("link", { name: /Give credits back/ }).first().click();
  await page.getByLabel(/Credits, at most 10/).fill("4");
  await page.getByLabel("Reason, which the customer reads").fill("Half of it was wrong");
  await sound(page, "a charge at the console");
  await page.getByRole("button", { name: "Give back …" }).click();
  await asked(page, "Give credits back?");
  await page.getByRole("button", { name: "Give them back" }).click();
  await page.getByText("Given back so far: 4.00 credits").waitFor();
  await page.getByRole("link", { name: "wronged" }).click();
  await page.getByRole("button", { name: /Release …/ }).click();
  await asked(page, "Release the hold?");
  await page.getByRole("button", { name: "Release it" }).click();
  await page.getByText("The hold was released").waitFor();
  await page.getByText("894.00").first().waitFor();
});

test("a note is for colleagues, and a question can be left", async () => {
  await scrip.account("quiet");
  const page = await operator({ javaScriptEnabled: false });
  await page.goto(`${scrip.url}/console/accounts/quiet`);
  await page.getByLabel("A note for your colleagues").fill("Pays by bank transfer,\nasks for Grace.");
  await page.getByRole("button", { name: "Write it down" }).click();
  await page.getByText("Pays by bank transfer").waitFor();
  await page.getByRole("button", { name: "Close the account …" }).click();
  await page.getByRole("heading", { name: "Close the account for good?" }).waitFor();
  await page.getByRole("link", { name: "Not now" }).click();
  await page.getByText("Pays by bank transfer").waitFor();
  assert.equal((await scrip.ask("GET", "/v1/accounts/quiet")).closed_at, null);
});

test("a payment is refunded, with what that does said before", async () => {
  await scrip.account("buyer");
  const { setup_url } = await scrip.ask("POST", "/v1/accounts/buyer/payment-methods/setup", { return_url: `${scrip.url}/docs` });
  const pay = await tab(chrome, { expected: [REFUSED] });
  await pay.goto(setup_url);
  await pay.getByLabel("Card number").fill("4242424242424242");
  await pay.getByLabel("Expiry").fill("12 / 39");
  await pay.getByLabel("Security code").fill("123");
  await pay.getByRole("button", { name: /^Save/ }).click();
  await pay.waitForURL(/docs/);
  const saved = async () => (await scrip.ask("GET", "/v1/accounts/buyer/payment-methods")).data[0]?.id;
  let method;
  while (!(method = await saved())) await pay.reload();
  await scrip.ask("POST", "/v1/accounts/buyer/purchases", { credits: "1000", payment_method: method });
  const page = await operator();
  await page.getByRole("link", { name: "Payments" }).click();
  await page.getByText("None of the latest payments is like that.").waitFor();
  await page.getByRole("link", { name: /^All/ }).click();
  await sound(page, "payments");
  await page.getByRole("link", { name: /1000 credits|1,000 credits/ }).first().click();
  await sound(page, "a payment");
  await page.getByLabel("Credits", { exact: true }).fill("400");
  await page.getByLabel("Reason, which the customer reads").fill("Bought too many");
  await page.getByRole("button", { name: "Refund …" }).click();
  await asked(page, "Refund?");
  await page.getByText("€4.00 go back").waitFor();
  await page.getByRole("button", { name: "Refund", exact: true }).click();
  await page.getByText("The refund is on its way.").waitFor();
  await page.getByText("400.00 credits").first().waitFor();
});

test("a key is rotated, a package put on sale, a webhook added", async () => {
  const page = await operator();
  await page.getByRole("link", { name: "API keys" }).click();
  await page.getByLabel("Name, which the ledger shows").fill("backend");
  await page.getByRole("checkbox", { name: /^charge/ }).check();
  await page.getByRole("button", { name: "Make the key" }).click();
  const secret = await page.locator(".secret").innerText();
  await page.getByRole("button", { name: "Rotate … backend" }).click();
  await asked(page, "Rotate the key?");
  await page.getByRole("button", { name: "Make the new key" }).click();
  assert.notEqual(await page.locator(".secret").innerText(), secret);
  await sound(page, "the keys");
  await page.getByRole("link", { name: "Offers" }).click();
  const form = page.locator("form[action='/console/offers/package']");
  await form.getByLabel("Id").fill("huge");
  await form.getByLabel("Name").fill("Huge");
  await form.getByLabel("Credits").fill("100000");
  await form.getByLabel("Price, EUR").fill("800");
  await form.getByRole("button").click();
  await asked(page, "Put the package on sale?");
  await page.getByText("20% off").waitFor();
  await page.getByRole("button", { name: "Put it on sale" }).click();
  await page.getByRole("rowheader", { name: /Huge/ }).waitFor();
  await sound(page, "the offers");
  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByLabel("Address, https").fill("https://api.example.com/scrip");
  await page.getByLabel("balance.low").check();
  await page.getByRole("button", { name: "Add the endpoint" }).click();
  await page.getByText("shown this once").waitFor();
  await sound(page, "the webhooks");
  await page.getByRole("link", { name: "https://api.example.com/scrip" }).click();
  await sound(page, "a webhook");
});

test("an account can be helped by keyboard alone", async () => {
  await scrip.account("typed");
  const page = await operator();
  await page.goto(`${scrip.url}/console/accounts/typed`);
  const press = async (name) => {
    for (let step = 0; step < 120; step++) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => {
        const it = document.activeElement;
        return it === document.body ? "" : (it.labels?.[0]?.textContent ?? it.textContent).trim();
      });
      if (focused.startsWith(name)) return;
    }
    assert.fail(`no way to ${name} by keyboard`);
  };
  await page.locator("h3", { hasText: "Give credits" }).waitFor();
  await press("Credits");
  await page.keyboard.type("7");
  await press("Reason");
  await page.keyboard.type("By keyboard");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Give credits?" }).waitFor();
  await press("Give the credits");
  await page.keyboard.press("Enter");
  await page.getByText("907.00").first().waitFor();
});
