//! The payment provider's room against the simulator: real HTTP, nothing of ours in between.
mod cards;
mod flows;
mod notices;
mod others;
mod outcomes;

use std::time::Duration;

use billing::money::{Currency, Money};
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};
use server::clock::Clock;
use server::stripe::{
    Access, CardOrder, NewCustomer, Page, Patience, Payment, Provider, PurchaseLine, PurchaseOrder, SavedCharge, Secret,
};
use stripe_sim::{Options, Sim};

/// A simulator, and our client of it.
struct Town {
    sim: Sim,
    provider: Provider,
}

const SECRET: &str = "whsec_of_the_tests";

/// As usual, and without pauses.
fn patience() -> Patience {
    let (first_pause, longest_pause) = (Duration::ZERO, Duration::from_secs(1));
    Patience { tries_max: 3, first_pause, longest_pause, one_try: Duration::from_secs(20) }
}

fn provider_at(url: &str) -> Provider {
    let access = Access {
        url: url.to_owned(),
        secret_key: Secret::new("sk_test_of_the_tests"),
        publishable_key: None,
        notice_secrets: vec![Secret::new(SECRET)],
    };
    Provider::new(access, patience())
}

impl Town {
    fn new() -> Town {
        let sim = Sim::start(&Options::default()).unwrap();
        let provider = provider_at(sim.url());
        Town { sim, provider }
    }

    fn customer(&self, ours: &str) -> String {
        let order = NewCustomer { ours, number: number_of(ours), name: Some("Ada"), email: Some("ada@example.com") };
        self.provider.create_customer(&order, &format!("customer of {ours}")).unwrap()
    }

    /// A customer with a card saved on the provider's page.
    fn customer_with(&self, ours: &str, number: &str) -> (String, String) {
        let customer = self.customer(ours);
        let page = self.card_page(&customer, ours);
        self.type_card(&page, number).unwrap();
        let cards = self.provider.cards(&customer).unwrap();
        assert_eq!(cards.len(), 1, "{number} is saved");
        (customer, cards[0].reference.clone())
    }

    fn card_page(&self, customer: &str, ours: &str) -> Page {
        let order = CardOrder {
            ours,
            customer,
            currency: Currency::EUR,
            success_url: "http://shop.example/saved",
            cancel_url: "http://shop.example/back",
        };
        self.provider.start_card_page(&order, &format!("card page of {ours}")).unwrap()
    }

    fn purchase_page(&self, customer: &str, ours: &str) -> Page {
        let lines = vec![
            PurchaseLine { name: "1000 credits".to_owned(), amount: 1000 },
            PurchaseLine { name: "VAT 19 %".to_owned(), amount: 190 },
        ];
        let order = PurchaseOrder {
            ours,
            customer,
            currency: Currency::EUR,
            lines,
            save_card: true,
            success_url: "http://shop.example/bought?page={CHECKOUT_SESSION_ID}",
            cancel_url: "http://shop.example/back",
            expires_at: now() + Span::HOUR,
        };
        self.provider.start_purchase_page(&order, &format!("page of {ours}")).unwrap()
    }

    fn charge(&self, saved: &(String, String), ours: &str) -> Payment {
        self.provider.charge_saved(&order(saved, ours), ours).unwrap()
    }

    fn control(&self, method: &str, path: &str, said: &Value) -> Value {
        self.sim.control(method, path, said).unwrap()
    }
    fn fault(&self, fault: &Value) {
        self.control("POST", "faults", fault);
    }
    /// Method, path and key of the money-moving requests that came, with what was answered.
    fn requests(&self, path: &str) -> Vec<(String, u64)> {
        let requests = self.control("GET", "requests", &json!({}));
        let wanted = requests.as_array().unwrap().iter().filter(|it| it["path"] == path && it["method"] == "POST");
        wanted.map(|it| (it["key"].as_str().unwrap().to_owned(), it["status"].as_u64().unwrap())).collect()
    }
    /// Charged, refunded and disputed euro cents.
    fn totals(&self) -> (i64, i64, i64) {
        let totals = &self.control("GET", "totals", &json!({}))["by_currency"]["eur"];
        let number = |member: &str| totals[member].as_i64().unwrap_or_default();
        (number("charged"), number("refunded"), number("disputed"))
    }

    /// Types a card into a page and presses its button: where that leads, or what the page says.
    fn type_card(&self, page: &Page, number: &str) -> Result<String, String> {
        let form = format!("number={number}&expiry=12%2F40&cvc=123&name=Ada");
        browse(page.url.as_deref().expect("the page is open"), &form)
    }
    /// Says at the bank that it is me, or not.
    fn prove(&self, url: &str, outcome: &str) -> Result<String, String> {
        browse(url, &format!("outcome={outcome}"))
    }
}

/// A number as each account has one.
fn number_of(ours: &str) -> u64 {
    ours.bytes().fold(0, |number, byte| number * 31 % 1_000_000_007 + u64::from(byte))
}

fn euros(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

/// A charge of 10 euros without the customer.
fn order<'a>(saved: &'a (String, String), ours: &'a str) -> SavedCharge<'a> {
    let total = euros(1000);
    SavedCharge { ours, customer: &saved.0, card: &saved.1, total, return_url: None }
}

fn browse(url: &str, form: &str) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let request = agent.post(url).header("content-type", "application/x-www-form-urlencoded");
    let mut response = request.send(form).unwrap();
    match response.headers().get("location") {
        Some(location) => Ok(location.to_str().unwrap().to_owned()),
        None => Err(response.body_mut().read_to_string().unwrap()),
    }
}

fn now() -> Timestamp {
    Clock::default().now()
}
