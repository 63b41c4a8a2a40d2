// What a customer does to buy, told once: choosing, agreeing, and typing a card into the simulator's pages.
import { eventually } from "./scrip.mjs";

/** Types a card into the simulator's page. */
export async function type(page, number) {
  await page.getByLabel("Card number").fill(number);
  await page.getByLabel("Expiry").fill("12 / 39");
  await page.getByLabel("Security code").fill("123");
  await page.getByRole("button", { name: /^(Pay|Save)/ }).click();
}

/** From the billing page to the provider's, past the page that says what will be paid. */
export async function choose(page, name, { save = false, method = "hosted" } = {}) {
  await page.locator("#buy").getByText(name, { exact: true }).click();
  await page.getByLabel("Pay with").selectOption(method);
  if (save) await page.getByLabel("Remember the card").check();
  await page.getByRole("button", { name: "Purchase credits" }).click();
  await page.locator(".bill").waitFor();
}

export async function buy(page, name, number, save = false) {
  await choose(page, name, { save });
  await page.getByRole("button", { name: /^Go on and pay/ }).click();
  await page.getByRole("heading", { name: /^Pay / }).waitFor();
  await type(page, number);
}

/** A card for later, saved on the provider's page. */
export async function saveCard(page, number) {
  const before = await page.locator(".cards .name").count();
  await page.locator("#cards").getByRole("button", { name: "Add a card" }).click();
  await page.getByRole("heading", { name: "Save a card" }).waitFor();
  await type(page, number);
  const proof = page.getByRole("button", { name: "It is me" });
  await proof.or(page.locator("#cards")).first().waitFor();
  if (await proof.count()) await proof.click();
  await page.locator("#cards").waitFor();
  // The provider's word may come a moment after the customer does.
  await eventually(page, async () => (await page.locator(".cards .name").count()) !== before);
}
