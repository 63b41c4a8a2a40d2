//! Cards saved without a payment: SetupIntents.
use serde_json::{Value, json};

use crate::card_table::{Asked, Verdict};
use crate::intents::Try;
use crate::objects;
use crate::params::Params;
use crate::problem::Problem;
use crate::world::{Outcome, World, text};

impl World {
    pub fn create_setup(&mut self, params: &mut Params) -> Outcome {
        let customer = params.text("customer");
        let method = params.text("payment_method");
        let confirm = params.flag("confirm")?;
        let usage = params.choice("usage", &["off_session", "on_session"])?;
        let return_url = params.text("return_url");
        params.texts("payment_method_types");
        params.tree("automatic_payment_methods");
        let description = params.text("description");
        let mut metadata = json!({});
        params.merge_into("metadata", &mut metadata);
        params.finish()?;
        if let Some(customer) = &customer {
            self.find("customer", customer, "customer")?;
        }
        let method = method.map(|it| self.method_named(&it, "payment_method")).transpose()?;
        if confirm && method.is_none() {
            let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
            return Err(Problem::state("setup_intent_unexpected_state", message));
        }
        let mut setup = self.new_setup(customer.as_deref(), metadata);
        setup["description"] = json!(description);
        setup["usage"] = json!(usage.unwrap_or_else(|| "off_session".to_owned()));
        if let Some(method) = &method {
            setup["payment_method"] = method["id"].clone();
            setup["status"] = json!("requires_confirmation");
        }
        self.shelf.put(&setup);
        let attempt = Try { is_off_session: false, is_proven: false, return_url };
        if confirm { self.confirm_setup(setup, &attempt) } else { Ok(setup) }
    }

    pub fn new_setup(&mut self, customer: Option<&str>, metadata: Value) -> Value {
        let id = self.shelf.new_id("seti");
        let mut setup = objects::setup_intent(&id, self.now());
        setup["customer"] = json!(customer);
        setup["metadata"] = metadata;
        self.shelf.put(&setup);
        self.tell("setup_intent.created", &setup);
        setup
    }

    pub fn confirm_setup_by_id(&mut self, id: &str, params: &mut Params) -> Outcome {
        let mut setup = self.find("setup_intent", id, "intent")?;
        let method = params.text("payment_method");
        let return_url = params.text("return_url");
        params.finish()?;
        if !matches!(&*text(&setup, "status"), "requires_payment_method" | "requires_confirmation" | "requires_action")
        {
            return Err(unexpected(&setup, "confirm"));
        }
        if let Some(method) = method {
            setup["payment_method"] = self.method_named(&method, "payment_method")?["id"].clone();
        }
        if setup["payment_method"].is_null() {
            let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
            return Err(Problem::state("setup_intent_unexpected_state", message));
        }
        self.confirm_setup(setup, &Try { is_off_session: false, is_proven: false, return_url })
    }

    pub fn confirm_setup(&mut self, mut setup: Value, attempt: &Try) -> Outcome {
        let method_id = text(&setup, "payment_method");
        let method = self.find("payment_method", &method_id, "payment_method")?;
        let asked = Asked {
            is_setup: true,
            is_off_session: false,
            is_proven: attempt.is_proven,
            has_expired: self.has_expired(&method),
        };
        match self.cards[&method_id].judge(asked) {
            Verdict::Yes => {
                setup["status"] = json!("succeeded");
                setup["next_action"] = Value::Null;
                setup["last_setup_error"] = Value::Null;
                if let Some(customer) = setup["customer"].as_str() {
                    self.attach(&method, customer);
                    self.mark_saved(&method_id);
                }
                self.shelf.put(&setup);
                self.tell("setup_intent.succeeded", &setup);
                Ok(setup)
            }
            Verdict::No(problem) => Err(self.fail_setup(setup, &method, problem)),
            Verdict::NeedsProof => {
                setup["status"] = json!("requires_action");
                setup["next_action"] = self.proof_wanted(&text(&setup, "id"), attempt.return_url.as_deref());
                self.shelf.put(&setup);
                self.tell("setup_intent.requires_action", &setup);
                Ok(setup)
            }
        }
    }

    pub fn fail_setup(&mut self, mut setup: Value, method: &Value, problem: Problem) -> Problem {
        let problem = problem.with_object("payment_method", method);
        setup["status"] = json!("requires_payment_method");
        setup["payment_method"] = Value::Null;
        setup["next_action"] = Value::Null;
        setup["last_setup_error"] = problem.error.clone();
        self.shelf.put(&setup);
        self.tell("setup_intent.setup_failed", &setup);
        problem.with_object("setup_intent", &setup)
    }

    pub fn cancel_setup(&mut self, id: &str, params: &mut Params) -> Outcome {
        let reason = params.text("cancellation_reason");
        params.finish()?;
        let mut setup = self.find("setup_intent", id, "intent")?;
        if matches!(&*text(&setup, "status"), "succeeded" | "canceled") {
            return Err(unexpected(&setup, "cancel"));
        }
        setup["status"] = json!("canceled");
        setup["next_action"] = Value::Null;
        setup["cancellation_reason"] = json!(reason);
        self.shelf.put(&setup);
        self.tell("setup_intent.canceled", &setup);
        Ok(setup)
    }
}

fn unexpected(setup: &Value, verb: &str) -> Problem {
    let status = setup["status"].as_str().unwrap_or_default();
    let message = format!("You cannot {verb} this SetupIntent because it has a status of {status}.");
    Problem::state("setup_intent_unexpected_state", message).with_object("setup_intent", setup)
}
