//! Payment methods: cards made from test numbers or by their names, attached to a customer and detached.
use serde_json::{Value, json};

use crate::card_table::{self, Asked, Plastic, TestCard, Verdict};
use crate::objects;
use crate::params::Params;
use crate::problem::Problem;
use crate::world::{Outcome, World, text};

/// What is typed on a page, or sent where numbers may be sent.
pub struct Typed {
    pub card: &'static TestCard,
    pub expiry: (i64, i64),
}

/// How long after its start a card named without a number lasts, in years.
const LASTS: i64 = 3;

impl World {
    pub fn create_method(&mut self, params: &mut Params) -> Outcome {
        if params.required("type")? != "card" {
            return Err(Problem::parameter("type", "", "The simulator has cards alone."));
        }
        let mut card = params.tree("card");
        let typed = match card.text("token") {
            Some(token) => {
                let name = token.replacen("tok_", "pm_card_", 1);
                let card = card_table::by_token(&name);
                let card = card.ok_or_else(|| Problem::no_such("token", &token, "card[token]"))?;
                Typed { card, expiry: self.usual_expiry() }
            }
            None => self.typed(&mut card)?,
        };
        card.finish()?;
        let billing = params.tree("billing_details");
        let allow_redisplay = params.choice("allow_redisplay", &["always", "limited", "unspecified"])?;
        let mut metadata = json!({});
        params.merge_into("metadata", &mut metadata);
        params.finish()?;
        let mut method = self.make_method(&typed);
        method["metadata"] = metadata;
        if let Some(allow) = allow_redisplay {
            method["allow_redisplay"] = json!(allow);
        }
        for (name, text) in billing.to_texts() {
            method["billing_details"][name] = text;
        }
        self.shelf.put(&method);
        Ok(method)
    }

    fn typed(&self, card: &mut Params) -> Result<Typed, Problem> {
        let number = card.required("number")?;
        let month = card.whole("exp_month")?.ok_or_else(|| Problem::missing("card[exp_month]"))?;
        let year = card.whole("exp_year")?.ok_or_else(|| Problem::missing("card[exp_year]"))?;
        card.text("cvc");
        self.typed_card(&number, month, year)
    }

    /// Checks what was typed.
    ///
    /// # Errors
    /// For a number that is not of a test card, and for an expiry that is over or none.
    pub fn typed_card(&self, number: &str, month: i64, year: i64) -> Result<Typed, Problem> {
        let card = card_table::by_number(number);
        let message = "Your card number is not one of the provider's test cards; the simulator takes no other.";
        let card = card.ok_or_else(|| Problem::card("incorrect_number", None, message))?;
        if !(1..=12).contains(&month) {
            let message = "Your card's expiration month is invalid.";
            return Err(Problem::card("invalid_expiry_month", None, message));
        }
        let year = if year < 100 { 2000 + year } else { year };
        if (year, month) < self.this_month() {
            return Err(Problem::card("invalid_expiry_year", None, "Your card's expiration year is invalid."));
        }
        Ok(Typed { card, expiry: (month, year) })
    }

    pub fn make_method(&mut self, typed: &Typed) -> Value {
        let id = self.shelf.new_id("pm");
        let method = objects::payment_method(&id, self.now(), typed.card, typed.expiry);
        self.shelf.put(&method);
        self.cards.insert(id, Plastic { card: typed.card, is_saved: false });
        method
    }

    /// A payment method by its id, or a new one of a card by its name, as in `pm_card_visa`.
    pub fn method_named(&mut self, id: &str, name: &str) -> Outcome {
        match card_table::by_token(id) {
            Some(card) => {
                let expiry = self.usual_expiry();
                Ok(self.make_method(&Typed { card, expiry }))
            }
            None => self.find("payment_method", id, name),
        }
    }

    pub fn update_method(&mut self, id: &str, params: &mut Params) -> Outcome {
        let mut method = self.find("payment_method", id, "id")?;
        let mut card = params.tree("card");
        for member in ["exp_month", "exp_year"] {
            if let Some(number) = card.whole(member)? {
                method["card"][member] = json!(number);
            }
        }
        card.finish()?;
        for (name, text) in params.tree("billing_details").to_texts() {
            method["billing_details"][name] = text;
        }
        params.merge_into("metadata", &mut method["metadata"]);
        params.finish()?;
        self.shelf.put(&method);
        self.tell("payment_method.updated", &method);
        Ok(method)
    }

    pub fn attach_method(&mut self, id: &str, params: &mut Params) -> Outcome {
        let customer = params.required("customer")?;
        params.finish()?;
        self.find("customer", &customer, "customer")?;
        let method = self.method_named(id, "payment_method")?;
        if !method["customer"].is_null() && method["customer"] != *customer {
            let message = "The payment method you provided has already been attached to a customer.";
            return Err(Problem::state("payment_method_unexpected_state", message));
        }
        let asked = Asked { is_setup: true, is_off_session: false, is_proven: true, has_expired: false };
        if let Verdict::No(problem) = self.cards[&text(&method, "id")].judge(asked) {
            return Err(problem);
        }
        Ok(self.attach(&method, &customer))
    }

    /// Hangs a card on a customer, once.
    pub fn attach(&mut self, method: &Value, customer: &str) -> Value {
        let mut method = method.clone();
        if method["customer"] != *customer {
            method["customer"] = json!(customer);
            self.shelf.put(&method);
            self.tell("payment_method.attached", &method);
        }
        method
    }

    pub fn detach_method(&mut self, id: &str, params: &mut Params) -> Outcome {
        params.finish()?;
        let mut method = self.find("payment_method", id, "payment_method")?;
        if method["customer"].is_null() {
            let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
            return Err(Problem::state("payment_method_unexpected_state", message));
        }
        let customer = self.shelf.get(&text(&method, "customer")).cloned();
        let before = json!({"customer": method["customer"].take()});
        self.shelf.put(&method);
        if let Some(mut customer) = customer
            && customer["invoice_settings"]["default_payment_method"] == method["id"]
        {
            customer["invoice_settings"]["default_payment_method"] = Value::Null;
            self.shelf.put(&customer);
            self.tell("customer.updated", &customer);
        }
        self.tell_change("payment_method.detached", &method, &before);
        Ok(method)
    }

    /// Lists the cards of a customer; without one, those of nobody are not shown either.
    pub fn list_methods(&mut self, url: &str, customer: Option<String>, params: &mut Params) -> Outcome {
        let customer = customer.or_else(|| params.text("customer"));
        if let Some(customer) = &customer {
            self.find("customer", customer, "customer")?;
        }
        let kind = params.text("type");
        self.list("payment_method", url, params, |it| {
            customer.as_ref().is_some_and(|customer| it["customer"] == **customer)
                && kind.as_ref().is_none_or(|kind| it["type"] == **kind)
        })
    }

    pub fn has_expired(&self, method: &Value) -> bool {
        let card = &method["card"];
        let number = |member: &str| card[member].as_i64().unwrap_or_default();
        (number("exp_year"), number("exp_month")) < self.this_month()
    }

    fn usual_expiry(&self) -> (i64, i64) {
        let (year, month) = self.this_month();
        (month, year + LASTS)
    }

    /// Year and month in UTC.
    fn this_month(&self) -> (i64, i64) {
        // Days since 0000-03-01 in eras of 400 years (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
        let days = self.now().div_euclid(86_400) + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let is_next_year = 10 <= month;
        let month = if is_next_year { month - 9 } else { month + 3 };
        (era * 400 + year_of_era + i64::from(is_next_year), month)
    }
}
