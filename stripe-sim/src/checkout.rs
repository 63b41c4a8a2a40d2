//! Hosted pages: Checkout sessions that take a payment or save a card, and what happens on them.
use serde_json::{Value, json};

use crate::intents::{Try, check_amount};
use crate::methods::Typed;
use crate::objects;
use crate::params::Params;
use crate::problem::Problem;
use crate::world::{Outcome, World, text};

/// How near and how far a session's end may be.
const SOONEST: i64 = 30 * 60;
const LATEST: i64 = 24 * 3600;

/// Lines on one page.
const LINES_MAX: usize = 100;

impl World {
    pub fn create_session(&mut self, params: &mut Params) -> Outcome {
        let mode = params.required("mode")?;
        if !matches!(&*mode, "payment" | "setup") {
            return Err(Problem::parameter("mode", "", "The simulator's pages take payments or save cards."));
        }
        let mut session = objects::session("cs_", self.now(), &mode);
        session["success_url"] = json!(params.required("success_url")?);
        session["cancel_url"] = json!(params.text("cancel_url"));
        session["client_reference_id"] = json!(params.text("client_reference_id"));
        session["locale"] = json!(params.text("locale"));
        session["customer_email"] = json!(params.text("customer_email"));
        params.choice("ui_mode", &["hosted", "hosted_page"])?;
        params.choice("customer_creation", &["always", "if_required"])?;
        params.texts("payment_method_types");
        params.merge_into("metadata", &mut session["metadata"]);
        if let Some(customer) = params.text("customer") {
            session["customer_details"] = details(&self.find("customer", &customer, "customer")?);
            session["customer"] = json!(customer);
        }
        if let Some(at) = params.whole("expires_at")? {
            let ahead = at - self.now();
            // The provider is as lenient with clocks that differ a little.
            if !(SOONEST - 60..=LATEST + 60).contains(&ahead) {
                let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from creation.";
                return Err(Problem::parameter("expires_at", "", message));
            }
            session["expires_at"] = json!(at);
        }
        match &*mode {
            "payment" => fill_payment(&mut session, params)?,
            _ => fill_setup(&mut session, params)?,
        }
        params.finish()?;
        let id = self.shelf.new_id("cs_test");
        session["url"] = json!(format!("{}/c/pay/{id}", self.url));
        session["id"] = json!(id);
        if mode == "setup" {
            let customer = session["customer"].as_str().map(str::to_owned);
            let setup = self.new_setup(customer.as_deref(), session["_metadata"].clone());
            session["setup_intent"] = setup["id"].clone();
            session["payment_status"] = json!("no_payment_required");
        }
        self.shelf.put(&session);
        Ok(session)
    }

    pub fn expire_by_id(&mut self, id: &str, params: &mut Params) -> Outcome {
        params.finish()?;
        let session = self.find("checkout.session", id, "session")?;
        if session["status"] != "open" {
            let message = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a \
                 status of {}.",
                text(&session, "status")
            );
            return Err(Problem::state("checkout_session_unexpected_state", message));
        }
        Ok(self.expire_session(session))
    }

    pub fn expire_session(&mut self, mut session: Value) -> Value {
        session["status"] = json!("expired");
        session["url"] = Value::Null;
        self.shelf.put(&session);
        if let Some(mut intent) = session["payment_intent"].as_str().and_then(|it| self.shelf.get(it)).cloned() {
            self.cancel(&mut intent, None);
        }
        if let Some(mut setup) = session["setup_intent"].as_str().and_then(|it| self.shelf.get(it)).cloned() {
            setup["status"] = json!("canceled");
            self.shelf.put(&setup);
            self.tell("setup_intent.canceled", &setup);
        }
        self.tell("checkout.session.expired", &session);
        session
    }

    pub fn line_items(&mut self, id: &str) -> Outcome {
        let session = self.find("checkout.session", id, "session")?;
        Ok(self.line_items_of(&session))
    }

    pub fn line_items_of(&self, session: &Value) -> Value {
        let whole = self.shelf.get(&text(session, "id")).unwrap_or(session);
        let lines = whole["_lines"].as_array().cloned().unwrap_or_default();
        let url = format!("/v1/checkout/sessions/{}/line_items", text(session, "id"));
        json!({"object": "list", "data": lines, "has_more": false, "url": url})
    }

    /// Somebody pressed the button. `Ok` gives where to lead them: on, or to their bank.
    pub fn submit_page(&mut self, id: &str, typed: &Typed, name: &str) -> Result<String, Problem> {
        let mut session = self.find("checkout.session", id, "session")?;
        if session["status"] != "open" {
            return Err(Problem::state("", "This page is closed."));
        }
        let mut method = self.make_method(typed);
        method["billing_details"]["name"] = if name.is_empty() { Value::Null } else { json!(name) };
        method["billing_details"]["email"] = session["customer_details"]["email"].clone();
        self.shelf.put(&method);
        let return_url = Some(format!("{}/c/done/{id}", self.url));
        let attempt = Try { is_off_session: false, is_proven: false, return_url };
        let intent = match session["mode"].as_str() {
            Some("payment") => {
                let mut intent = self.page_intent(&mut session)?;
                intent["payment_method"] = method["id"].clone();
                self.confirm(intent, &attempt)?
            }
            _ => {
                let mut setup = self.find("setup_intent", &text(&session, "setup_intent"), "setup_intent")?;
                setup["payment_method"] = method["id"].clone();
                self.confirm_setup(setup, &attempt)?
            }
        };
        if intent["status"] == "requires_action" {
            return Ok(text(&intent["next_action"]["redirect_to_url"], "url"));
        }
        Ok(self.complete_session(id))
    }

    /// The page's payment, made when its button is first pressed.
    fn page_intent(&mut self, session: &mut Value) -> Outcome {
        if let Some(id) = session["payment_intent"].as_str() {
            return self.find("payment_intent", id, "payment_intent");
        }
        let id = self.shelf.new_id("pi");
        let amount = session["amount_total"].as_i64().unwrap_or_default();
        let mut intent = objects::payment_intent(&id, self.now(), amount, &text(session, "currency"));
        intent["customer"] = session["customer"].clone();
        intent["metadata"] = session["_metadata"].clone();
        intent["setup_future_usage"] = session["_save"].clone();
        intent["description"] = session["_description"].clone();
        self.shelf.put(&intent);
        self.tell("payment_intent.created", &intent);
        session["payment_intent"] = json!(id);
        self.shelf.put(session);
        Ok(intent)
    }

    /// All is done: says so once, and where the customer goes.
    pub fn complete_session(&mut self, id: &str) -> String {
        let Some(mut session) = self.shelf.get(id).cloned() else { return self.url.clone() };
        if session["status"] == "open" {
            session["status"] = json!("complete");
            session["url"] = Value::Null;
            if session["mode"] == "payment" {
                session["payment_status"] = json!("paid");
            }
            self.shelf.put(&session);
            self.tell("checkout.session.completed", &session);
        }
        text(&session, "success_url").replace("{CHECKOUT_SESSION_ID}", id)
    }

    /// The session on whose page an intent is, if it is on one.
    pub fn session_of(&self, intent: &str) -> Option<&Value> {
        self.shelf.all("checkout.session").find(|it| it["payment_intent"] == intent || it["setup_intent"] == intent)
    }

    /// What becomes of 3-D Secure: `Ok` gives where to lead the customer.
    pub fn finish_proof(&mut self, id: &str, is_proven: bool) -> Result<String, Problem> {
        let kind = if id.starts_with("seti") { "setup_intent" } else { "payment_intent" };
        let intent = self.find(kind, id, "intent")?;
        if intent["status"] != "requires_action" {
            return Err(Problem::state("", "Nothing is to be proven here any more."));
        }
        let return_url = text(&intent["next_action"]["redirect_to_url"], "return_url");
        let session = self.session_of(id).map(|it| text(it, "id"));
        let attempt = Try { is_off_session: false, is_proven: true, return_url: None };
        let outcome = match (kind, is_proven) {
            ("payment_intent", true) => self.confirm(intent, &attempt),
            ("setup_intent", true) => self.confirm_setup(intent, &attempt),
            (_, _) => Err(self.fail_proof(intent)),
        };
        match (session, outcome) {
            (Some(session), Ok(_)) => Ok(self.complete_session(&session)),
            (Some(session), Err(_)) => Ok(format!("{}/c/pay/{session}?declined=1", self.url)),
            (None, outcome) => {
                let status = if outcome.is_ok() { "succeeded" } else { "failed" };
                let sign = if return_url.contains('?') { '&' } else { '?' };
                Ok(format!(
                    "{return_url}{sign}{kind}={id}&{kind}_client_secret={id}_secret_sim&redirect_status={status}"
                ))
            }
        }
    }

    fn fail_proof(&mut self, mut intent: Value) -> Problem {
        let kind = text(&intent, "object");
        let message = "We are unable to authenticate your payment method. Please choose a different payment method \
                       and try again.";
        let code = format!("{kind}_authentication_failure");
        let method = self.shelf.get(&text(&intent, "payment_method")).cloned().unwrap_or_default();
        if kind == "setup_intent" {
            return self.fail_setup(intent, &method, Problem::state(&code, message));
        }
        let problem = Problem::state(&code, message).with_object("payment_method", &method);
        intent["status"] = json!("requires_payment_method");
        intent["payment_method"] = Value::Null;
        intent["next_action"] = Value::Null;
        intent["last_payment_error"] = problem.error.clone();
        self.shelf.put(&intent);
        self.tell("payment_intent.payment_failed", &intent);
        problem
    }
}

fn details(customer: &Value) -> Value {
    json!({
        "address": customer["address"], "business_name": null, "email": customer["email"], "individual_name": null,
        "name": customer["name"], "phone": customer["phone"], "tax_exempt": "none", "tax_ids": [],
    })
}

fn fill_payment(session: &mut Value, params: &mut Params) -> Result<(), Problem> {
    let lines = params.items("line_items");
    if lines.is_empty() {
        return Err(Problem::missing("line_items"));
    }
    if LINES_MAX < lines.len() {
        return Err(Problem::parameter("line_items", "", format!("At most {LINES_MAX} line items.")));
    }
    let (mut items, mut total, mut currency) = (Vec::new(), 0i64, String::new());
    for (index, mut line) in lines.into_iter().enumerate() {
        let item = line_item(index, &mut line)?;
        total += item["amount_total"].as_i64().unwrap_or_default();
        currency = text(&item, "currency");
        items.push(item);
    }
    if items.iter().any(|it| it["currency"] != currency) {
        let message = "All line items must have the same currency.";
        return Err(Problem::parameter("line_items", "", message));
    }
    session["currency"] = json!(check_amount(total, &currency)?);
    session["amount_subtotal"] = json!(total);
    session["amount_total"] = json!(total);
    session["total_details"] = json!({"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0});
    session["_lines"] = json!(items);
    let mut inside = params.tree("payment_intent_data");
    session["_metadata"] = Value::Object(inside.tree("metadata").to_texts());
    session["_save"] = json!(inside.choice("setup_future_usage", &["off_session", "on_session"])?);
    session["_description"] = json!(inside.text("description"));
    inside.finish()
}

fn line_item(index: usize, line: &mut Params) -> Result<Value, Problem> {
    let quantity = line.whole("quantity")?.unwrap_or(1);
    let mut price = line.tree("price_data");
    let currency = price.required("currency")?.to_lowercase();
    let unit = price.whole("unit_amount")?.ok_or_else(|| Problem::missing("line_items[][price_data][unit_amount]"))?;
    let mut product = price.tree("product_data");
    let name = product.required("name")?;
    product.text("description");
    for rest in [&product, &price, &*line] {
        rest.finish()?;
    }
    let total = unit.checked_mul(quantity).filter(|it| 0 <= *it && 0 < quantity);
    let total = total.ok_or_else(|| Problem::parameter("line_items", "", "Amounts must not be negative."))?;
    Ok(json!({
        "id": format!("li_1Sim{index:014}"), "object": "item", "adjustable_quantity": null, "amount_discount": 0,
        "amount_subtotal": total, "amount_tax": 0, "amount_total": total, "currency": currency,
        "description": name, "metadata": {}, "price": null, "quantity": quantity,
    }))
}

fn fill_setup(session: &mut Value, params: &mut Params) -> Result<(), Problem> {
    session["currency"] = json!(params.text("currency"));
    let mut inside = params.tree("setup_intent_data");
    session["_metadata"] = Value::Object(inside.tree("metadata").to_texts());
    inside.text("description");
    inside.finish()
}
