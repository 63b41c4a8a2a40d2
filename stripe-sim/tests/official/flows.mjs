// The official client library, doing with the simulator what it does with the provider; and what it was given, written
// down as typed declarations for the compiler to check. Arguments: the simulator's address, a webhook secret, and the
// file to write.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

const [address, secret, file] = process.argv.slice(2);
const Stripe = createRequire(join(process.cwd(), "here.js"))("stripe");
const { hostname, port } = new URL(address);
const options = { host: hostname, port, protocol: "http", maxNetworkRetries: 2, telemetry: false };
const stripe = new Stripe("sk_test_official", options);

const recorded = [];
/** Writes down that an object was given as being of a type. */
function record(type, object) {
  recorded.push([type, JSON.parse(JSON.stringify(object))]);
  return object;
}

async function control(path, body, method = "POST") {
  const answer = await fetch(`${address}/_sim/${path}`, { method, body: method === "POST" ? JSON.stringify(body) : null });
  const said = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(said));
  return said;
}

async function type_card(url, number) {
  const body = new URLSearchParams({ number, expiry: "12/40", cvc: "123", name: "Ada" });
  const answer = await fetch(url, { method: "POST", body, redirect: "manual" });
  return answer.headers.get("location");
}

async function refused(promise, kind, code) {
  const error = await promise.then(() => assert.fail(`${kind} expected`), (error) => error);
  assert.ok(error instanceof Stripe.errors[kind], `${kind}: ${error}`);
  if (code) assert.equal(error.code, code);
  return error;
}

const notices = [];
const ear = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    notices.push(stripe.webhooks.constructEvent(Buffer.concat(parts), request.headers["stripe-signature"], secret));
    response.end();
  });
});
await new Promise((done) => ear.listen(0, "127.0.0.1", done));
await control("webhook", { url: `http://127.0.0.1:${ear.address().port}/`, secrets: ["whsec_another", secret] });

// Customers.
const customer = record("Stripe.Customer", await stripe.customers.create({ name: "Ada", metadata: { ours: "acct_ada" } }));
assert.equal((await stripe.customers.retrieve(customer.id)).name, "Ada");
const found = await stripe.customers.search({ query: "metadata['ours']:'acct_ada'" });
assert.deepEqual(found.data.map((it) => it.id), [customer.id]);
record("Stripe.ApiSearchResult<Stripe.Customer>", found);
await refused(stripe.customers.retrieve("cus_none"), "StripeInvalidRequestError", "resource_missing");
await refused(stripe.customers.create({ nmae: "x" }), "StripeInvalidRequestError", "parameter_unknown");
await refused(new Stripe("sk_live_x", options).customers.list(), "StripeAuthenticationError");

// A page that takes a payment.
const line = { quantity: 2, price_data: { currency: "eur", unit_amount: 500, product_data: { name: "Credits" } } };
const page = record("Stripe.Checkout.Session", await stripe.checkout.sessions.create({
  mode: "payment", customer: customer.id, line_items: [line], metadata: { ours: "payment_1" },
  payment_intent_data: { setup_future_usage: "off_session", metadata: { ours: "payment_1" } },
  success_url: "http://shop.example/{CHECKOUT_SESSION_ID}", cancel_url: "http://shop.example/",
}));
assert.equal(await type_card(page.url, "4000000000000002"), null);
assert.equal(await type_card(page.url, "4242424242424242"), `http://shop.example/${page.id}`);
const done = record("Stripe.Checkout.Session", await stripe.checkout.sessions.retrieve(page.id, {
  expand: ["line_items", "payment_intent.latest_charge.balance_transaction"],
}));
assert.equal(done.payment_status, "paid");
const paid = record("Stripe.PaymentIntent", done.payment_intent);
record("Stripe.Charge", paid.latest_charge);
record("Stripe.BalanceTransaction", paid.latest_charge.balance_transaction);
assert.equal(done.line_items.data[0].amount_total, 1000);
const [saved] = (await stripe.customers.listPaymentMethods(customer.id)).data;
record("Stripe.PaymentMethod", saved);

// A page that saves a card.
const saving = record("Stripe.Checkout.Session", await stripe.checkout.sessions.create({
  mode: "setup", customer: customer.id, currency: "eur", success_url: "http://shop.example/saved",
}));
const bank = await type_card(saving.url, "4000002500003155");
record("Stripe.SetupIntent", await stripe.setupIntents.retrieve(saving.setup_intent));
const proof = await fetch(bank, {
  method: "POST", body: new URLSearchParams({ outcome: "complete" }), redirect: "manual",
});
assert.equal(proof.headers.get("location"), "http://shop.example/saved");
record("Stripe.SetupIntent", await stripe.setupIntents.retrieve(saving.setup_intent));
const closing = await stripe.checkout.sessions.create({ mode: "setup", customer: customer.id, success_url: "http://x/" });
assert.equal(record("Stripe.Checkout.Session", await stripe.checkout.sessions.expire(closing.id)).status, "expired");

// Saved cards.
const charge = (method, rest = {}, key = undefined) => stripe.paymentIntents.create({
  amount: 1000, currency: "eur", customer: customer.id, payment_method: method, confirm: true, off_session: true, ...rest,
}, key && { idempotencyKey: key });
const payment = record("Stripe.PaymentIntent", await charge(saved.id));
assert.equal(payment.status, "succeeded");
const other = await stripe.paymentMethods.attach("pm_card_mastercard", { customer: customer.id });
record("Stripe.PaymentMethod", other);
const changed = await stripe.customers.update(customer.id, {
  invoice_settings: { default_payment_method: other.id }, address: { city: "Berlin", country: "DE" },
});
assert.equal(record("Stripe.Customer", changed).invoice_settings.default_payment_method, other.id);
assert.equal(record("Stripe.PaymentMethod", await stripe.paymentMethods.detach(other.id)).customer, null);
await refused(stripe.paymentMethods.attach("pm_card_visa_chargeDeclined", { customer: customer.id }), "StripeCardError");
const failing = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer: customer.id });
const declined = await refused(charge(failing.id), "StripeCardError", "card_declined");
assert.equal(declined.decline_code, "generic_decline");
record("Stripe.PaymentIntent", declined.payment_intent);
record("Stripe.Charge", await stripe.charges.retrieve(declined.payment_intent.latest_charge));
const strict = await stripe.paymentMethods.attach("pm_card_authenticationRequired", { customer: customer.id });
const wanting = await refused(charge(strict.id), "StripeCardError", "authentication_required");
const finishing = await stripe.paymentIntents.confirm(wanting.payment_intent.id, {
  payment_method: strict.id, return_url: "http://shop.example/finished",
});
assert.equal(record("Stripe.PaymentIntent", finishing).status, "requires_action");
await control(`proof/${finishing.id}`, { proven: true });
assert.equal((await stripe.paymentIntents.retrieve(finishing.id)).status, "succeeded");
const unproven = await stripe.paymentIntents.create({
  amount: 500, currency: "eur", customer: customer.id, payment_method: strict.id, confirm: true,
  return_url: "http://shop.example/", automatic_payment_methods: { enabled: true },
});
await control(`proof/${unproven.id}`, { proven: false });
record("Stripe.PaymentIntent", await stripe.paymentIntents.retrieve(unproven.id));
assert.equal(record("Stripe.PaymentIntent", await stripe.paymentIntents.cancel(unproven.id)).status, "canceled");
await refused(charge(saved.id, { amount: 1 }), "StripeInvalidRequestError", "amount_too_small");

// Keys: the same answer again, no other request under one, and the library's own tries under one.
const first = await charge(saved.id, {}, "key 1");
const again = await charge(saved.id, {}, "key 1");
assert.equal(again.id, first.id);
assert.equal(again.lastResponse.headers["idempotent-replayed"], "true");
await refused(charge(saved.id, { amount: 2000 }, "key 1"), "StripeIdempotencyError");
const before = (await stripe.paymentIntents.list({ limit: 100 })).data.length;
await control("faults", { when: "after", what: "drop", method: "POST", path: "/v1/payment_intents" });
await charge(saved.id);
assert.equal((await stripe.paymentIntents.list({ limit: 100 })).data.length, before + 1, "charged once");
await control("faults", { what: "429", times: 9 });
await refused(charge(saved.id), "StripeRateLimitError");
await control("faults", {}, "DELETE");

// Money back.
const refund = record("Stripe.Refund", await stripe.refunds.create({ payment_intent: payment.id, amount: 300 }));
assert.equal(refund.status, "succeeded");
await refused(stripe.refunds.create({ payment_intent: payment.id, amount: 701 }), "StripeInvalidRequestError");
await stripe.refunds.create({ payment_intent: payment.id });
await refused(stripe.refunds.create({ payment_intent: payment.id }), "StripeInvalidRequestError", "charge_already_refunded");
record("Stripe.ApiList<Stripe.Refund>", await stripe.refunds.list({ payment_intent: payment.id }));
await control("disputes", { payment: first.id, amount: 600 });
const [dispute] = (await stripe.disputes.list({ payment_intent: first.id })).data;
record("Stripe.Dispute", dispute);
await refused(stripe.refunds.create({ payment_intent: first.id, amount: 500 }), "StripeInvalidRequestError", "charge_disputed");
await control(`disputes/${dispute.id}/close`, { outcome: "won" });
assert.equal(record("Stripe.Dispute", await stripe.disputes.retrieve(dispute.id)).status, "won");

// Lists are walked by the library's own means, and notices are believed by it.
const events = await stripe.events.list({ limit: 10 }).autoPagingToArray({ limit: 1000 });
assert.ok(30 < events.length);
assert.equal(new Set(events.map((it) => it.id)).size, events.length);
await control("notices/flush", {});
const by_name = (a, b) => (a.id < b.id ? -1 : 1);
assert.deepEqual(notices.map((it) => it.id).sort(), events.map((it) => it.id).sort());
for (const event of [...notices].sort(by_name)) record("Stripe.Event", event);
ear.close();

const lines = recorded.map(([type, object], index) => `export const r${index}: ${type} = ${JSON.stringify(object, null, 1)};`);
writeFileSync(file, `import type Stripe from "stripe";\n\n${lines.join("\n")}\n`);
console.log(`${recorded.length} objects of ${new Set(recorded.map((it) => it[0])).size} types`);
