//! Money back: refunds we ask for, and disputes the customer's bank opens.
use serde_json::{Value, json};

use crate::card_table::After;
use crate::intents::check_fraction;
use crate::objects;
use crate::params::Params;
use crate::problem::Problem;
use crate::world::{Outcome, World, text};

impl World {
    pub fn create_refund(&mut self, params: &mut Params) -> Outcome {
        let (intent, charge) = (params.text("payment_intent"), params.text("charge"));
        let amount = params.whole("amount")?;
        let reason = params.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
        let mut metadata = json!({});
        params.merge_into("metadata", &mut metadata);
        params.finish()?;
        let mut charge = self.charge_of(intent, charge)?;
        let number = |member: &str| charge[member].as_i64().unwrap_or_default();
        let left = number("amount_captured") - number("amount_refunded");
        if left == 0 {
            let message = format!("Charge {} has already been refunded.", text(&charge, "id"));
            return Err(Problem::state("charge_already_refunded", message));
        }
        let amount = amount.unwrap_or(left);
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Problem::parameter("amount", "parameter_invalid_integer", message));
        }
        check_fraction(amount, &text(&charge, "currency"))?;
        if left < amount {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(Problem::state("", message).with_object("param", &json!("amount")));
        }
        if left - self.disputed(&text(&charge, "id")) < amount {
            let message = format!("Charge {} has been charged back; cannot issue a refund.", text(&charge, "id"));
            return Err(Problem::state("charge_disputed", message));
        }
        charge["amount_refunded"] = json!(number("amount_refunded") + amount);
        charge["refunded"] = json!(left == amount);
        let id = self.shelf.new_id("re");
        let mut refund = objects::refund(&id, self.now(), amount, &charge);
        refund["reason"] = json!(reason);
        refund["metadata"] = metadata;
        refund["balance_transaction"] = self.move_balance(&refund, "refund", -amount);
        let after = self.cards.get(&text(&charge, "payment_method")).map(|it| it.card.after);
        if matches!(after, Some(After::SlowRefund | After::FailedRefund)) {
            refund["status"] = json!("pending");
        }
        self.shelf.put(&charge);
        self.shelf.put(&refund);
        self.tell("refund.created", &refund);
        self.tell("charge.refunded", &charge);
        Ok(refund)
    }

    /// The charge that brought money in.
    pub fn charge_of(&self, intent: Option<String>, charge: Option<String>) -> Outcome {
        match (intent, charge) {
            (_, Some(charge)) => self.find("charge", &charge, "charge"),
            (Some(intent), None) => {
                let found = self.find("payment_intent", &intent, "payment_intent")?;
                if found["status"] != "succeeded" {
                    let message = format!("This PaymentIntent ({intent}) does not have a successful charge to refund.");
                    return Err(Problem::state("payment_intent_unexpected_state", message));
                }
                self.find("charge", &text(&found, "latest_charge"), "charge")
            }
            (None, None) => Err(Problem::missing("payment_intent")),
        }
    }

    /// Ends a refund that is under way, or undoes one: `failed` gives the money back to the operator.
    pub fn settle_refund(&mut self, id: &str, status: &str) -> Outcome {
        let mut refund = self.find("refund", id, "refund")?;
        if refund["status"] == "failed" || (refund["status"] == status) {
            return Ok(refund);
        }
        refund["status"] = json!(status);
        if status == "failed" {
            let amount = refund["amount"].as_i64().unwrap_or_default();
            refund["failure_reason"] = json!("expired_or_canceled_card");
            let movement = self.move_balance(&refund, "refund_failure", amount);
            refund["failure_balance_transaction"] = movement;
            let mut charge = self.find("charge", &text(&refund, "charge"), "charge")?;
            let refunded = charge["amount_refunded"].as_i64().unwrap_or_default() - amount;
            charge["amount_refunded"] = json!(refunded);
            charge["refunded"] = json!(false);
            self.shelf.put(&charge);
        }
        self.shelf.put(&refund);
        self.tell("refund.updated", &refund);
        if status == "failed" {
            self.tell("refund.failed", &refund);
        }
        Ok(refund)
    }

    /// Ends the refunds of the cards whose refunds take their time, as each card does.
    pub fn settle_slow_refunds(&mut self) {
        let slow: Vec<(String, After)> = self
            .shelf
            .all("refund")
            .rev()
            .filter(|it| it["status"] == "pending")
            .filter_map(|it| Some((text(it, "id"), self.cards.get(&text(it, "payment_method"))?.card.after)))
            .collect();
        for (id, after) in slow {
            let status = if after == After::FailedRefund { "failed" } else { "succeeded" };
            drop(self.settle_refund(&id, status));
        }
    }

    /// How much of a charge is disputed and not won.
    fn disputed(&self, charge: &str) -> i64 {
        let open = self.shelf.all("dispute").filter(|it| {
            let status = text(it, "status");
            it["charge"] == charge && status != "won" && !status.starts_with("warning")
        });
        open.map(|it| it["amount"].as_i64().unwrap_or_default()).sum()
    }

    /// The bank takes the money back, or with an inquiry asks about it first: what is `wanted`, an `amount` in a
    /// `currency`, or else all there is.
    pub fn open_dispute(&mut self, charge: &Value, wanted: &Value, reason: &str, is_inquiry: bool) -> Outcome {
        let number = |member: &str| charge[member].as_i64().unwrap_or_default();
        let left = number("amount_captured") - number("amount_refunded") - self.disputed(&text(charge, "id"));
        let amount = wanted["amount"].as_i64().unwrap_or(left);
        if amount < 1 || left < amount {
            return Err(Problem::state("", format!("of this charge {left} can be disputed, not {amount}")));
        }
        let id = self.shelf.new_id("du");
        let mut dispute = objects::dispute(&id, self.now(), amount, charge);
        dispute["reason"] = json!(reason);
        if let Some(currency) = wanted["currency"].as_str() {
            dispute["currency"] = json!(currency);
        }
        self.shelf.put(&dispute);
        if is_inquiry {
            dispute["status"] = json!("warning_needs_response");
            dispute["is_charge_refundable"] = json!(true);
            dispute["payment_method_details"]["card"]["case_type"] = json!("inquiry");
            self.shelf.put(&dispute);
            self.tell("charge.dispute.created", &dispute);
            return Ok(dispute);
        }
        let mut charge = charge.clone();
        charge["disputed"] = json!(true);
        self.shelf.put(&charge);
        self.add_movement(&mut dispute, -amount)?;
        self.shelf.put(&dispute);
        self.tell("charge.dispute.created", &dispute);
        self.tell("charge.dispute.funds_withdrawn", &dispute);
        Ok(dispute)
    }

    /// Ends a dispute. Of one that is won `reinstated` comes back, all of it where nothing is said.
    pub fn close_dispute(&mut self, id: &str, outcome: &str, reinstated: Option<i64>) -> Outcome {
        let mut dispute = self.find("dispute", id, "dispute")?;
        let is_inquiry = text(&dispute, "status").starts_with("warning");
        if matches!(&*text(&dispute, "status"), "won" | "lost" | "warning_closed") {
            return Err(Problem::state("", "This dispute is already closed."));
        }
        let amount = dispute["amount"].as_i64().unwrap_or_default();
        let back = reinstated.unwrap_or(if outcome == "won" { amount } else { 0 });
        if !(0..=amount).contains(&back) {
            return Err(Problem::state("", format!("between 0 and {amount} can come back, not {back}")));
        }
        dispute["status"] = json!(if is_inquiry { "warning_closed" } else { outcome });
        let comes_back = 0 < back && !is_inquiry;
        if comes_back {
            self.add_movement(&mut dispute, back)?;
        }
        self.shelf.put(&dispute);
        self.tell("charge.dispute.closed", &dispute);
        if comes_back {
            self.tell("charge.dispute.funds_reinstated", &dispute);
        }
        Ok(dispute)
    }

    fn add_movement(&mut self, dispute: &mut Value, amount: i64) -> Result<(), Problem> {
        let id = self.move_balance(dispute, "adjustment", amount);
        let movement = self.find("balance_transaction", id.as_str().unwrap_or_default(), "id")?;
        dispute["balance_transactions"].as_array_mut().expect("it is a list").push(movement);
        Ok(())
    }
}
