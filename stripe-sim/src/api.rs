//! The provider's interface: which request is for what.
use serde_json::{Value, json};

use crate::params::Params;
use crate::problem::Problem;
use crate::world::{Outcome, World, shown, text};

pub struct Call<'a> {
    pub method: &'a str,
    /// `/v1/payment_intents/pi_1`
    pub path: &'a str,
    pub params: Params,
}

impl World {
    /// Answers a request of the provider's interface.
    pub fn answer(&mut self, call: Call<'_>) -> Outcome {
        self.tick();
        let Call { method, path, mut params } = call;
        let wanted = params.texts("expand");
        let segments: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
        let is_post = method == "POST";
        if !is_post && method != "GET" && method != "DELETE" {
            return Err(Problem::no_route(method, path));
        }
        let outcome = match method {
            "POST" => self.post(&segments, &mut params),
            "GET" => self.get(path, &segments, &mut params),
            _ => match segments.as_slice() {
                ["customers", id] => params.finish().and_then(|()| self.delete_customer(id)),
                _ => Err(Problem::no_route(method, path)),
            },
        };
        let mut answer = shown(&outcome?);
        self.expand(&mut answer, &wanted);
        Ok(answer)
    }

    fn post(&mut self, segments: &[&str], params: &mut Params) -> Outcome {
        match segments {
            ["customers"] => self.create_customer(params),
            ["customers", id] => self.update_customer(id, params),
            ["payment_methods"] => self.create_method(params),
            ["payment_methods", id] => self.update_method(id, params),
            ["payment_methods", id, "attach"] => self.attach_method(id, params),
            ["payment_methods", id, "detach"] => self.detach_method(id, params),
            ["payment_intents"] => self.create_intent(params),
            ["payment_intents", id] => self.update_intent(id, params),
            ["payment_intents", id, "confirm"] => self.confirm_intent(id, params),
            ["payment_intents", id, "cancel"] => self.cancel_intent(id, params),
            ["setup_intents"] => self.create_setup(params),
            ["setup_intents", id, "confirm"] => self.confirm_setup_by_id(id, params),
            ["setup_intents", id, "cancel"] => self.cancel_setup(id, params),
            ["checkout", "sessions"] => self.create_session(params),
            ["checkout", "sessions", id, "expire"] => self.expire_by_id(id, params),
            ["refunds"] => self.create_refund(params),
            ["disputes", id, "close"] => params.finish().and_then(|()| self.close_dispute(id, "lost", None)),
            ["disputes", id] => self.submit_evidence(id, params),
            _ => Err(Problem::no_route("POST", &segments.join("/"))),
        }
    }

    fn get(&mut self, url: &str, segments: &[&str], params: &mut Params) -> Outcome {
        let answer = match segments {
            ["customers"] => self.list_customers(params),
            ["customers", "search"] => self.search("customer", url, params),
            ["customers", id, "payment_methods"] => self.list_methods(url, Some((*id).to_owned()), params),
            ["customers", id, "payment_methods", method] => self.method_of(id, method),
            ["payment_methods"] => self.list_methods(url, None, params),
            ["payment_intents", "search"] => self.search("payment_intent", url, params),
            ["payment_intents"] => self.list_by("payment_intent", url, &["customer"], params),
            ["setup_intents"] => self.list_by("setup_intent", url, &["customer", "payment_method"], params),
            ["charges"] => self.list_by("charge", url, &["customer", "payment_intent"], params),
            ["refunds"] => self.list_by("refund", url, &["payment_intent", "charge"], params),
            ["disputes"] => self.list_by("dispute", url, &["payment_intent", "charge"], params),
            ["balance_transactions"] => self.list_by("balance_transaction", url, &["source", "type"], params),
            ["checkout", "sessions"] => {
                self.list_by("checkout.session", url, &["customer", "payment_intent", "status"], params)
            }
            ["checkout", "sessions", id] => self.find("checkout.session", id, "session"),
            ["checkout", "sessions", id, "line_items"] => self.line_items(id),
            ["events"] => self.list_events(url, params),
            [nouns, id] => self.one(nouns, id),
            _ => Err(Problem::no_route("GET", url)),
        }?;
        params.text("client_secret");
        params.finish()?;
        Ok(answer)
    }

    fn one(&self, nouns: &str, id: &str) -> Outcome {
        let kind = match nouns {
            "customers" => "customer",
            "payment_methods" => "payment_method",
            "payment_intents" => "payment_intent",
            "setup_intents" => "setup_intent",
            "charges" => "charge",
            "refunds" => "refund",
            "disputes" => "dispute",
            "balance_transactions" => "balance_transaction",
            "events" => "event",
            _ => return Err(Problem::no_route("GET", nouns)),
        };
        let deleted = self.shelf.get(id).filter(|it| it["object"] == kind && it["deleted"] == true);
        deleted.cloned().map_or_else(|| self.find(kind, id, "id"), Ok)
    }

    fn method_of(&self, customer: &str, method: &str) -> Outcome {
        let found = self.find("payment_method", method, "payment_method")?;
        if found["customer"] == customer { Ok(found) } else { Err(Problem::no_such("payment_method", method, "id")) }
    }

    /// Lists the objects whose members are as the parameters of these names say.
    fn list_by(&mut self, kind: &str, url: &str, members: &[&str], params: &mut Params) -> Outcome {
        let wanted: Vec<(String, String)> =
            members.iter().filter_map(|it| Some(((*it).to_owned(), params.text(it)?))).collect();
        self.list(kind, url, params, |it| wanted.iter().all(|(member, value)| it[member] == **value))
    }

    fn list_events(&mut self, url: &str, params: &mut Params) -> Outcome {
        let mut kinds = params.texts("types");
        if 20 < kinds.len() {
            return Err(Problem::parameter("types", "", "You may provide up to 20 event types"));
        }
        kinds.extend(params.text("type"));
        self.list("event", url, params, |it| kinds.is_empty() || kinds.contains(&text(it, "type")))
    }

    fn submit_evidence(&mut self, id: &str, params: &mut Params) -> Outcome {
        let mut dispute = self.find("dispute", id, "dispute")?;
        for (name, text) in params.tree("evidence").to_texts() {
            dispute["evidence"][name] = text;
            dispute["evidence_details"]["has_evidence"] = json!(true);
        }
        params.merge_into("metadata", &mut dispute["metadata"]);
        if params.flag("submit")? && dispute["status"] == "needs_response" {
            dispute["status"] = json!("under_review");
            dispute["evidence_details"]["submission_count"] = json!(1);
        }
        params.finish()?;
        self.shelf.put(&dispute);
        self.tell("charge.dispute.updated", &dispute);
        Ok(dispute)
    }
}

/// Whether somebody in a browser may do this with the public key: only what the client secret in hand is for.
pub fn is_for_browsers(path: &str, params: &Params, shelf_secret: Option<&Value>) -> bool {
    let is_of_intent = path.starts_with("/v1/payment_intents/pi_") || path.starts_with("/v1/setup_intents/seti_");
    let said = params.clone().text("client_secret");
    is_of_intent && said.is_some() && said.as_deref() == shelf_secret.and_then(Value::as_str)
}
