// What operators do at the console: each act says what it will do, is done once, and is written down.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, eventually, sound, tab } from "../scrip.mjs";

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
  await page.getByRole("link", { name: "Audit log", exact: true }).click();
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
  await eventually(pay, async () => (method = await saved()));
  await scrip.ask("POST", "/v1/accounts/buyer/purchases", { credits: "1000", payment_method: method });
  const page = await operator();
  await page.getByRole("link", { name: "Payments" }).click();
  await page.getByText("None of the payments is like that.").waitFor();
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

test("other prices are tried against last month's real work, account by account, before they hold; without a script", async () => {
  await scrip.account("frugal");
  await scrip.account("busy");
  await scrip.chat("frugal", 8_000);
  await scrip.chat("busy", 80_000);
  const page = await operator({ javaScriptEnabled: false });
  await page.getByRole("link", { name: "Prices" }).click();
  const card = page.locator("textarea[name=card]");
  const before = JSON.parse(await card.inputValue());
  await card.fill("{ not a card");
  await page.getByRole("button", { name: "Show what would change …" }).click();
  await page.getByRole("heading", { name: "This card cannot be put in force" }).waitFor();
  // Every price of an input token twice what it was.
  const dearer = JSON.stringify(before).replace(/"input_tokens":\{[^}]*\}/g, (it) => it.replace(/"(\d+(?:\.\d+)?)"/g, (_, price) => `"${Number(price) * 2}"`));
  assert.notEqual(dearer, JSON.stringify(before));
  await card.fill(dearer);
  const tomorrow = new Date(Date.now() + 45 * 86_400_000).toISOString().slice(0, 16);
  await page.getByLabel(/In force from/).fill(tomorrow);
  await page.getByRole("button", { name: "Show what would change …" }).click();
  await page.getByRole("heading", { name: /What version \d+ would change/ }).waitFor();
  const changes = page.getByRole("region", { name: "Changes, table" });
  assert.match(await changes.innerText(), /input_tokens/);
  const accounts = page.getByRole("region", { name: "Accounts that would pay differently, table" });
  assert.match(await accounts.innerText(), /busy\s+1\s+10\.00\s+20\.00\s+\+10\.00[\s\S]*frugal\s+1\s+1\.00\s+2\.00\s+\+1\.00/);
  await page.getByRole("button", { name: "Add it, to be in force from its time" }).click();
  await page.getByText("The card was added.").waitFor();
});

test("a month's reports say what came in, what was used and what is owed, and are taken away as sheets", async () => {
  const page = await operator();
  await page.getByRole("link", { name: "Reports" }).click();
  await page.getByRole("rowheader", { name: "Together" }).waitFor();
  const credits = page.getByRole("region", { name: "Credits, table" });
  assert.match(await credits.innerText(), /Issued Welcome[\s\S]*Used/);
  await sound(page, "the reports");
  const ledger = page.getByRole("region", { name: "Trial balance, table" });
  assert.match(await ledger.innerText(), /Together\s+0\.00/);
  const sheets = { "Month as CSV": /^revenue-20\d\d-\d\d\.csv$/, "As CSV": /^liability-/ };
  for (const [name, file] of Object.entries(sheets)) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).first().click()]);
    assert.match(download.suggestedFilename(), file);
    const sheet = (await (await download.createReadStream()).toArray()).join("");
    assert.ok(sheet.split("\n").length > 2, sheet);
  }
  await page.getByLabel("Month of UTC").selectOption({ index: 1 });
  await page.waitForURL(/month=/);
  await page.getByText("Nothing was invoiced in this month.").waitFor();
});

test("what is sold is changed with what it was filled in, and a withdrawn offer is gone", async () => {
  const page = await operator();
  await page.goto(`${scrip.url}/console/offers`);
  await page.getByRole("link", { name: "Change Starter" }).click();
  const form = page.locator("form[action='/console/offers/package']");
  assert.equal(await form.getByLabel("Id").inputValue(), "starter");
  await form.getByLabel("On top, free").fill("25");
  await form.getByRole("button", { name: "Change it …" }).click();
  await asked(page, "Change the package?");
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByRole("row", { name: /Starter/ }).filter({ hasText: "25.00" }).waitFor();
  const plan = page.locator("form[action='/console/offers/plan']");
  await plan.getByLabel("Id").fill("weekly-ish");
  await plan.getByLabel("Name").fill("Trial plan");
  await plan.getByLabel("Credits a period").fill("1000");
  await plan.getByLabel("Unused credits last, periods").fill("1");
  await plan.getByLabel("Price, EUR").fill("8.50");
  await plan.getByRole("button", { name: "Put on sale …" }).click();
  await asked(page, "Put the plan on sale?");
  await page.getByText("Of this plan, unused credits last for one more month.").waitFor();
  await page.getByRole("button", { name: "Put it on sale" }).click();
  await page.getByRole("button", { name: "Withdraw … Trial plan" }).click();
  await asked(page, "Sell weekly-ish no longer?");
  await page.getByRole("button", { name: "Withdraw it" }).click();
  await page.getByText("It is no longer sold.").waitFor();
  assert.equal(await page.getByRole("rowheader", { name: /Trial plan/ }).count(), 0);
});

test("a card number is refused in a note, and nothing of it is kept", async () => {
  await scrip.account("leaky");
  const page = await operator();
  await page.goto(`${scrip.url}/console/accounts/leaky`);
  await page.getByLabel("A note for your colleagues").fill("Pays with 4242 4242 4242 4242");
  await page.getByRole("button", { name: "Write it down" }).click();
  await page.getByRole("heading", { name: "No card numbers here" }).waitFor();
  await page.goto(`${scrip.url}/console/accounts/leaky`);
  await page.getByText("Nobody has noted anything").waitFor();
});
