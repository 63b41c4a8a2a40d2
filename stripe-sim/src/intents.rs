//! Payments: a PaymentIntent from its creation to its end, and the charges tried on the way.
use serde_json::{Value, json};

use crate::card_table::{After, Asked, Verdict};
use crate::objects;
use crate::params::Params;
use crate::problem::Problem;
use crate::world::{Outcome, Settlement, World, text};

/// Least and most that can be charged, in minor units of a currency with two places.
const LEAST: i64 = 50;
const MOST: i64 = 99_999_999;

/// Currencies with a hundred minor units that must be a whole one, and with a thousand.
const WHOLE: &[&str] = &["isk", "ugx"];
const THREE_PLACES: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];

/// How a payment is tried.
#[derive(Clone, Debug)]
pub struct Try {
    pub is_off_session: bool,
    pub is_proven: bool,
    pub return_url: Option<String>,
}

/// Checks an amount as the provider does.
pub fn check_amount(amount: i64, currency: &str) -> Result<String, Problem> {
    let currency = currency.to_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|it| it.is_ascii_lowercase()) {
        return Err(Problem::parameter("currency", "", format!("Invalid currency: {currency}.")));
    }
    if amount < 1 {
        return Err(Problem::parameter(
            "amount",
            "parameter_invalid_integer",
            "This value must be greater than or equal to 1.",
        ));
    }
    let least = if THREE_PLACES.contains(&&*currency) { 500 } else { LEAST };
    if amount < least {
        let message = format!("Amount must be at least {least} {currency} in minor units");
        return Err(Problem::parameter("amount", "amount_too_small", message));
    }
    if MOST < amount {
        let message = format!("Amount must be no more than {MOST} {currency} in minor units");
        return Err(Problem::parameter("amount", "amount_too_large", message));
    }
    check_fraction(amount, &currency)?;
    Ok(currency)
}

/// Refuses an amount with a smaller part than is collected in its currency.
pub fn check_fraction(amount: i64, currency: &str) -> Result<(), Problem> {
    if THREE_PLACES.contains(&currency) && amount % 10 != 0 {
        let message = "Amounts of three-decimal currencies must be divisible by 10.";
        return Err(Problem::parameter("amount", "invalid_charge_amount", message));
    }
    if WHOLE.contains(&currency) && amount % 100 != 0 {
        let message = format!(
            "Invalid amount. Currency {} has become effectively zero-decimal and charged amounts must be evenly \
             divisible by 100.",
            currency.to_uppercase()
        );
        return Err(Problem::parameter("amount", "invalid_charge_amount_no_decimal_compatible", message));
    }
    Ok(())
}

impl World {
    pub fn create_intent(&mut self, params: &mut Params) -> Outcome {
        let amount = params.whole("amount")?.ok_or_else(|| Problem::missing("amount"))?;
        let currency = check_amount(amount, &params.required("currency")?)?;
        let confirm = params.flag("confirm")?;
        let attempt = attempt(params)?;
        if attempt.is_off_session && !confirm {
            let message = "You cannot set `off_session` without also setting `confirm` to true.";
            return Err(Problem::parameter("off_session", "", message));
        }
        let customer = params.text("customer");
        let method = params.text("payment_method");
        let mut intent = objects::payment_intent("pi_", self.now(), amount, &currency);
        fill_intent(&mut intent, params)?;
        if let Some(customer) = &customer {
            self.find("customer", customer, "customer")?;
            intent["customer"] = json!(customer);
        }
        let method = method.map(|it| self.method_for(&intent, &it)).transpose()?;
        if confirm && method.is_none() {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
            return Err(Problem::state("payment_intent_unexpected_state", message));
        }
        let id = self.shelf.new_id("pi");
        intent["client_secret"] = json!(format!("{id}_secret_sim"));
        intent["id"] = json!(id);
        if let Some(method) = &method {
            intent["payment_method"] = method["id"].clone();
            intent["status"] = json!("requires_confirmation");
        }
        self.shelf.put(&intent);
        self.tell("payment_intent.created", &intent);
        if confirm { self.confirm(intent, &attempt) } else { Ok(intent) }
    }

    /// A payment method that may pay this: nobody's, or this customer's.
    fn method_for(&mut self, intent: &Value, id: &str) -> Outcome {
        let method = self.method_named(id, "payment_method")?;
        if !method["customer"].is_null() && method["customer"] != intent["customer"] {
            let message = format!(
                "The provided PaymentMethod ({id}) does not belong to the Customer of this PaymentIntent. Supply the \
                 Customer it belongs to, or another PaymentMethod."
            );
            return Err(Problem::parameter("payment_method", "", message));
        }
        Ok(method)
    }

    pub fn update_intent(&mut self, id: &str, params: &mut Params) -> Outcome {
        let mut intent = self.find("payment_intent", id, "intent")?;
        if let Some(amount) = params.whole("amount")? {
            if intent["status"] == "succeeded" || intent["status"] == "canceled" {
                return Err(unexpected(&intent, "update"));
            }
            check_amount(amount, &text(&intent, "currency"))?;
            intent["amount"] = json!(amount);
        }
        fill_intent(&mut intent, params)?;
        self.shelf.put(&intent);
        Ok(intent)
    }

    pub fn confirm_intent(&mut self, id: &str, params: &mut Params) -> Outcome {
        let mut intent = self.find("payment_intent", id, "intent")?;
        let attempt = attempt(params)?;
        let method = params.text("payment_method");
        fill_intent(&mut intent, params)?;
        if !matches!(&*text(&intent, "status"), "requires_payment_method" | "requires_confirmation" | "requires_action")
        {
            return Err(unexpected(&intent, "confirm"));
        }
        if let Some(method) = method {
            let method = self.method_for(&intent, &method)?;
            intent["payment_method"] = method["id"].clone();
        }
        if intent["payment_method"].is_null() {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
            return Err(Problem::state("payment_intent_unexpected_state", message));
        }
        self.confirm(intent, &attempt)
    }

    pub fn cancel_intent(&mut self, id: &str, params: &mut Params) -> Outcome {
        let reasons = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"];
        let reason = params.choice("cancellation_reason", &reasons)?;
        params.finish()?;
        let mut intent = self.find("payment_intent", id, "intent")?;
        if matches!(&*text(&intent, "status"), "succeeded" | "canceled" | "processing") {
            return Err(unexpected(&intent, "cancel"));
        }
        let is_on_page =
            self.shelf.all("checkout.session").any(|it| it["payment_intent"] == id && it["status"] == "open");
        if is_on_page {
            let message = "You cannot cancel a PaymentIntent of a Checkout Session that is open: expire the session.";
            return Err(Problem::state("payment_intent_unexpected_state", message));
        }
        self.cancel(&mut intent, reason);
        Ok(intent)
    }

    pub fn cancel(&mut self, intent: &mut Value, reason: Option<String>) {
        intent["status"] = json!("canceled");
        intent["next_action"] = Value::Null;
        intent["canceled_at"] = json!(self.now());
        intent["cancellation_reason"] = json!(reason);
        self.shelf.put(intent);
        self.tell("payment_intent.canceled", intent);
    }

    /// Asks the bank. What it says is the payment's new state; a decline is also the request's answer.
    pub fn confirm(&mut self, mut intent: Value, attempt: &Try) -> Outcome {
        let method_id = text(&intent, "payment_method");
        let method = self.find("payment_method", &method_id, "payment_method")?;
        let asked = Asked {
            is_setup: false,
            is_off_session: attempt.is_off_session,
            is_proven: attempt.is_proven,
            has_expired: self.has_expired(&method),
        };
        match self.cards[&method_id].judge(asked) {
            Verdict::Yes => Ok(self.succeed(intent, &method, attempt)),
            Verdict::No(problem) => Err(self.decline(intent, &method, problem)),
            Verdict::NeedsProof => {
                intent["status"] = json!("requires_action");
                intent["last_payment_error"] = Value::Null;
                intent["next_action"] = self.proof_wanted(&text(&intent, "id"), attempt.return_url.as_deref());
                self.shelf.put(&intent);
                self.tell("payment_intent.requires_action", &intent);
                Ok(intent)
            }
        }
    }

    /// A bank that was answered takes its time, and says yes when that is over.
    pub fn deliberate(&mut self, id: &str, is_over: bool) -> Outcome {
        let mut intent = self.find("payment_intent", id, "intent")?;
        if is_over {
            let method = self.find("payment_method", &text(&intent, "payment_method"), "payment_method")?;
            let attempt = Try { is_off_session: false, is_proven: true, return_url: None };
            return Ok(self.succeed(intent, &method, &attempt));
        }
        intent["status"] = json!("processing");
        (intent["next_action"], intent["last_payment_error"]) = (Value::Null, Value::Null);
        self.shelf.put(&intent);
        self.tell("payment_intent.processing", &intent);
        Ok(intent)
    }

    /// Where the customer proves who they are.
    pub fn proof_wanted(&self, intent: &str, return_url: Option<&str>) -> Value {
        match return_url {
            Some(url) => json!({
                "type": "redirect_to_url",
                "redirect_to_url": {"return_url": url, "url": format!("{}/3ds/{intent}", self.url)},
            }),
            None => json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}),
        }
    }

    fn succeed(&mut self, mut intent: Value, method: &Value, attempt: &Try) -> Value {
        let mut charge = self.new_charge(&intent, method);
        charge["status"] = json!("succeeded");
        charge["paid"] = json!(true);
        charge["captured"] = json!(true);
        charge["amount_captured"] = intent["amount"].clone();
        charge["outcome"] = outcome("authorized", "approved_by_network", None, "Payment complete.");
        if attempt.is_proven {
            charge["payment_method_details"]["card"]["three_d_secure"] = proven();
        }
        charge["balance_transaction"] = self.move_balance(&charge, "charge", charge["amount"].as_i64().unwrap_or(0));
        self.shelf.put(&charge);
        intent["status"] = json!("succeeded");
        intent["amount_received"] = intent["amount"].clone();
        intent["next_action"] = Value::Null;
        intent["last_payment_error"] = Value::Null;
        intent["latest_charge"] = charge["id"].clone();
        if !intent["setup_future_usage"].is_null() && !intent["customer"].is_null() {
            self.attach(method, &text(&intent, "customer"));
            self.mark_saved(&text(method, "id"));
        }
        self.shelf.put(&intent);
        self.tell("charge.succeeded", &charge);
        self.tell("payment_intent.succeeded", &intent);
        let after = self.cards[&text(method, "id")].card.after;
        match after {
            After::Disputed(reason) => drop(self.open_dispute(&charge, &Value::Null, reason, false)),
            After::Inquiry => drop(self.open_dispute(&charge, &Value::Null, "fraudulent", true)),
            After::Nothing | After::SlowRefund | After::FailedRefund => {}
        }
        intent
    }

    fn decline(&mut self, mut intent: Value, method: &Value, problem: Problem) -> Problem {
        let mut charge = self.new_charge(&intent, method);
        let reason = problem.error["decline_code"].as_str().or_else(|| problem.error["code"].as_str());
        let reason = reason.map(str::to_owned);
        charge["failure_code"] = problem.error["code"].clone();
        charge["failure_message"] = problem.error["message"].clone();
        let said = "The bank did not return any further details with this decline.";
        charge["outcome"] = outcome("issuer_declined", "declined_by_network", reason.as_deref(), said);
        self.shelf.put(&charge);
        let problem = problem.with_object("charge", &charge["id"]).with_object("payment_method", method);
        intent["status"] = json!("requires_payment_method");
        intent["payment_method"] = Value::Null;
        intent["next_action"] = Value::Null;
        intent["latest_charge"] = charge["id"].clone();
        intent["last_payment_error"] = problem.error.clone();
        self.shelf.put(&intent);
        self.tell("charge.failed", &charge);
        self.tell("payment_intent.payment_failed", &intent);
        problem.with_object("payment_intent", &intent)
    }

    fn new_charge(&mut self, intent: &Value, method: &Value) -> Value {
        let id = self.shelf.new_id("ch");
        let charge = objects::charge(&id, self.now(), intent, method);
        self.shelf.put(&charge);
        charge
    }

    pub fn mark_saved(&mut self, method: &str) {
        if let Some(plastic) = self.cards.get_mut(method) {
            plastic.is_saved = true;
        }
    }

    /// Moves the operator's balance by `amount` less a fee on what comes in, and gives the movement's id. The movement
    /// is in the balance's own currency, whatever the source is in.
    pub fn move_balance(&mut self, source: &Value, kind: &str, amount: i64) -> Value {
        let id = self.shelf.new_id("txn");
        let mut movement = objects::balance_transaction(&id, self.now(), source, kind);
        let converts = self.settlement.as_ref().filter(|it| source["currency"] != *it.currency);
        let amount = converts.map_or(amount, |it| amount * it.per_mille / 1000);
        if let Some(Settlement { currency, per_mille }) = converts {
            movement["currency"] = json!(currency);
            let rate = format!("{}.{:03}", per_mille / 1000, per_mille % 1000);
            movement["exchange_rate"] = rate.parse().expect("a decimal is JSON");
        }
        let fee = match kind {
            "charge" => 25 + amount * 15 / 1000,
            "adjustment" if amount < 0 => 2000,
            _ => 0,
        };
        movement["amount"] = json!(amount);
        movement["fee"] = json!(fee);
        movement["net"] = json!(amount - fee);
        if fee != 0 {
            movement["fee_details"] = json!([{
                "amount": fee, "application": null, "currency": movement["currency"],
                "description": "Stripe processing fees", "type": "stripe_fee",
            }]);
        }
        self.shelf.put(&movement);
        movement["id"].clone()
    }
}

/// How a payment is to be tried, by a request.
fn attempt(params: &mut Params) -> Result<Try, Problem> {
    let is_off_session = params.flag("off_session")?;
    let return_url = params.text("return_url");
    if is_off_session && return_url.is_some() {
        let message = "`return_url` makes no sense with `off_session`.";
        return Err(Problem::parameter("return_url", "", message));
    }
    Ok(Try { is_off_session, is_proven: false, return_url })
}

/// What can be said of a payment at any time.
fn fill_intent(intent: &mut Value, params: &mut Params) -> Result<(), Problem> {
    for member in ["description", "receipt_email", "statement_descriptor_suffix"] {
        if let Some(text) = params.text(member) {
            intent[member] = json!(text);
        }
    }
    if let Some(usage) = params.choice("setup_future_usage", &["off_session", "on_session"])? {
        intent["setup_future_usage"] = json!(usage);
    }
    let kinds = params.texts("payment_method_types");
    if kinds.iter().any(|it| it != "card") {
        return Err(Problem::parameter("payment_method_types", "", "The simulator has cards alone."));
    }
    let mut automatic = params.tree("automatic_payment_methods");
    if automatic.flag("enabled")? {
        let redirects = automatic.choice("allow_redirects", &["always", "never"])?;
        intent["automatic_payment_methods"] =
            json!({"enabled": true, "allow_redirects": redirects.unwrap_or_else(|| "always".to_owned())});
    }
    automatic.finish()?;
    params.merge_into("metadata", &mut intent["metadata"]);
    params.finish()
}

fn outcome(kind: &str, network: &str, reason: Option<&str>, message: &str) -> Value {
    json!({
        "advice_code": null, "network_advice_code": null, "network_decline_code": null, "network_status": network,
        "reason": reason, "risk_level": "normal", "risk_score": 20, "seller_message": message, "type": kind,
    })
}

fn proven() -> Value {
    json!({
        "authentication_flow": "challenge", "electronic_commerce_indicator": "05", "exemption_indicator": null,
        "result": "authenticated", "result_reason": null, "transaction_id": null, "version": "2.2.0",
    })
}

fn unexpected(intent: &Value, verb: &str) -> Problem {
    let message = format!(
        "You cannot {verb} this PaymentIntent because it has a status of {}.",
        intent["status"].as_str().unwrap_or_default()
    );
    Problem::state("payment_intent_unexpected_state", message).with_object("payment_intent", intent)
}
