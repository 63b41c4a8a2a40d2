// A house with several customers, for whoever looks at pages: one in the midst of a month, one that owes, one that is new,
// one whose names are as long as names get, one whose numbers are.
import { filled } from "./month.mjs";
import { saveCard } from "./shop.mjs";
import { tab } from "./scrip.mjs";

const LONG = "an-experiment-with-a-name-that-somebody-wrote-in-a-hurry-and-nobody-ever-made-shorter";

/** With a payment provider where `chrome` is given, for cards are typed into its pages. */
export async function town(scrip, chrome) {
  await owing(scrip);
  await filled(scrip);
  await scrip.ask("PUT", "/v1/accounts/acme", { email: "billing@acme.example", address: { street: "Gedimino pr. 1", city: "Vilnius", postal_code: "01103", country: "LT" } });
  await scrip.ask("POST", "/v1/accounts/acme/grants", { credits: "250", source: "promo", reason: "Thank you for trying the beta", expires_at: inDays(40) });
  await scrip.ask("PUT", "/v1/accounts/acme/budgets/ai-monthly", { scope: { meters: ["ai_chat"] }, period: "month", credits: "2000", action: "block" });
  await scrip.ask("PUT", "/v1/accounts/acme/budgets/storefront", { scope: { project: "storefront" }, period: "month", credits: "3000", action: "notify" });
  await scrip.ask("POST", "/v1/accounts/acme/grants", { credits: "9000", source: "adjustment", reason: "Moved over from the old system" });
  for (const [server, tier] of [["web-2", "business"], ["staging-1", "entry-level"]]) {
    await scrip.ask("PUT", `/v1/accounts/acme/servers/${server}`, { project: "storefront", tier });
  }
  await scrip.ask("POST", "/v1/accounts/acme/servers/web-2/start", {});
  const hold = { account: "acme", meter: "ai_chat", dimensions: { model: "gpt-6.1-terra" }, credits: "12.5", expires_in_seconds: 3_600, idempotency_key: "town-hold" };
  await scrip.ask("POST", "/v1/holds", hold);
  await scrip.account("newcomer", { name: "Newcomer" });
  await scrip.account(LONG, { name: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft mbH & Co. KG", email: `${"long.".repeat(9)}name@${"subdomain.".repeat(6)}example.com` });
  await scrip.chat(LONG, 1_234_567, { project: LONG, actor: `${LONG}@example.com`.slice(0, 128), dimensions: { model: "gpt-6.1-terra" } });
  await scrip.ask("PUT", `/v1/accounts/${LONG}/budgets/${LONG}`, { scope: { project: LONG }, period: "month", credits: "500", action: "block" });
  await huge(scrip);
  if (chrome) await trade(scrip, chrome);
  return { LONG };
}

/** Servers that go on when nothing is left: the clock is moved on for them. */
async function owing(scrip) {
  await scrip.account("owing", { name: "Owing Ltd" });
  await scrip.ask("PUT", "/v1/accounts/owing/servers/web-1", { project: "shop", tier: "entry-level" });
  await scrip.ask("POST", "/v1/accounts/owing/servers/web-1/start", {});
  await scrip.chat("owing", 8_000 * 499);
  await scrip.advance("owing", 40 * 3_600);
}

/** More than anybody has, and in a currency whose least unit buys a hundred credits. */
async function huge(scrip) {
  await scrip.account("huge", { name: "Huge", currency: "jpy" });
  for (let count = 0; count < 9; count++) {
    await scrip.ask("POST", "/v1/accounts/huge/grants", { credits: "999999999.987654", source: "purchase", reason: "Much" });
  }
  for (const project of ["one", "another"]) await scrip.chat("huge", 8_000_000_000, { project });
  await scrip.ask("POST", "/v1/charges", { account: "huge", meter: "infra_plan", quantities: { points: 900_000 }, idempotency_key: "huge-plan" });
  await scrip.ask("PUT", "/v1/accounts/huge/budgets/all", { scope: {}, period: "month", credits: "999999999", action: "notify" });
}

/** A subscription, purchases, an auto-topup; one payment that is declined, one that goes back. */
async function trade(scrip, chrome) {
  const page = await tab(chrome, { expected: ["Failed to load resource"] });
  await page.goto(await scrip.link("acme", "owner", { page: "billing" }));
  await saveCard(page, "4000000000000341");
  await saveCard(page, "4242424242424242");
  await page.context().close();
  const { data } = await scrip.ask("GET", "/v1/accounts/acme/payment-methods");
  const [good, bad] = ["4242", "0341"].map((it) => data.find((card) => card.last4 === it).id);
  await scrip.ask("POST", `/v1/accounts/acme/payment-methods/${good}/default`, {});
  await scrip.ask("POST", "/v1/accounts/acme/subscription", { plan: "monthly", payment_method: good });
  await scrip.ask("POST", "/v1/accounts/acme/purchases", { package: "builder", payment_method: good });
  await scrip.ask("POST", "/v1/accounts/acme/purchases", { credits: "700", payment_method: bad });
  await scrip.ask("PUT", "/v1/accounts/acme/auto-topup", { enabled: true, threshold: "500", credits: "1000", monthly_maximum: { amount: 5_000, currency: "eur" }, charge_now: true });
}

export function inDays(count) {
  return new Date(Date.now() + count * 86_400_000).toISOString();
}
