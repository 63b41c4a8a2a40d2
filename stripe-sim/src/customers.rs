//! Customers: made, read, changed, searched by metadata, deleted.
use serde_json::{Value, json};

use crate::objects;
use crate::params::Params;
use crate::problem::Problem;
use crate::world::{Outcome, World, text};

impl World {
    pub fn create_customer(&mut self, params: &mut Params) -> Outcome {
        let mut customer = objects::customer("cus_00000000", self.now());
        self.fill_customer(&mut customer, params)?;
        let id = self.shelf.new_id("cus");
        customer["invoice_prefix"] = json!(id[id.len() - 8..]);
        customer["id"] = json!(id);
        self.shelf.put(&customer);
        self.tell("customer.created", &customer);
        Ok(customer)
    }

    pub fn update_customer(&mut self, id: &str, params: &mut Params) -> Outcome {
        let mut customer = self.find("customer", id, "id")?;
        self.fill_customer(&mut customer, params)?;
        self.shelf.put(&customer);
        self.tell("customer.updated", &customer);
        Ok(customer)
    }

    fn fill_customer(&mut self, customer: &mut Value, params: &mut Params) -> Result<(), Problem> {
        for member in ["name", "email", "description", "phone"] {
            if params.is_cleared(member) {
                customer[member] = Value::Null;
            }
            if let Some(text) = params.text(member) {
                customer[member] = json!(text);
            }
        }
        let address = params.tree("address");
        if !address.is_empty() {
            let members = ["city", "country", "line1", "line2", "postal_code", "state"];
            let mut whole: Value = members.iter().map(|it| ((*it).to_owned(), Value::Null)).collect();
            for (name, text) in address.to_texts() {
                whole[name] = text;
            }
            customer["address"] = whole;
        }
        let mut settings = params.tree("invoice_settings");
        if let Some(method) = settings.text("default_payment_method") {
            let method = self.find("payment_method", &method, "invoice_settings[default_payment_method]")?;
            if method["customer"] != customer["id"] {
                let message = format!(
                    "The customer does not have a payment method with the ID {}. The payment method must be attached \
                     to the customer.",
                    text(&method, "id")
                );
                let problem = Problem::parameter("invoice_settings[default_payment_method]", "", message);
                return Err(problem.with_code("resource_missing"));
            }
            customer["invoice_settings"]["default_payment_method"] = method["id"].clone();
        }
        settings.finish()?;
        params.merge_into("metadata", &mut customer["metadata"]);
        params.finish()
    }

    pub fn delete_customer(&mut self, id: &str) -> Outcome {
        let customer = self.find("customer", id, "id")?;
        let cards = self.shelf.all("payment_method").filter(|it| it["customer"] == *id);
        let cards: Vec<Value> = cards.cloned().collect();
        for mut card in cards {
            card["customer"] = Value::Null;
            self.shelf.put(&card);
        }
        if let Some(shown) = &mut self.shown_still {
            shown.push(customer.clone());
        }
        let deleted = json!({"id": id, "object": "customer", "deleted": true});
        self.shelf.put(&deleted);
        self.tell("customer.deleted", &customer);
        Ok(deleted)
    }

    pub fn list_customers(&mut self, params: &mut Params) -> Outcome {
        let email = params.text("email");
        self.list("customer", "/v1/customers", params, |it| email.as_ref().is_none_or(|email| it["email"] == **email))
    }

    /// Searches by metadata, `metadata['a']:'b' AND …`; nothing else of the provider's query language.
    pub fn search(&mut self, kind: &str, url: &str, params: &mut Params) -> Outcome {
        let query = params.required("query")?;
        let mut wanted = Vec::new();
        for clause in query.split(" AND ") {
            let parts: Vec<&str> = clause.split(['\'', '"']).collect();
            match parts.as_slice() {
                ["metadata[", name, "]:", value, ""] => wanted.push(((*name).to_owned(), (*value).to_owned())),
                _ => return Err(Problem::parameter("query", "", "The simulator searches by metadata alone.")),
            }
        }
        let is_wanted = |it: &Value| wanted.iter().all(|(name, value)| it["metadata"][name] == **value);
        let mut found = self.list(kind, url, params, is_wanted)?;
        let still = self.shown_still.iter().flatten().filter(|it| it["object"] == kind && is_wanted(it));
        found["data"].as_array_mut().into_iter().for_each(|page| page.extend(still.clone().cloned()));
        found["object"] = json!("search_result");
        found["next_page"] = Value::Null;
        Ok(found)
    }
}
