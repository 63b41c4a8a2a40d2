//! A shop to buy in: a server process, a simulated payment provider that tells it what happens, and a customer with a
//! browser as small as one can be.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use server::clock::Clock;
use stripe_sim::{Options, Sim};
use tempfile::TempDir;

use crate::served::{Reply, Served, chat};

pub const SECRET: &str = "whsec_of_the_shop";
/// In Lithuania, so that its customers there pay 21 % and businesses elsewhere in the Union none.
pub const SELLER: &str = r#"
webhooks_anywhere = true
[seller]
name = "Hydron UAB"
street = "Gedimino pr. 1"
city = "Vilnius"
postal_code = "01103"
country = "LT"
tax_id = "LT100001919017"
email = "billing@hydron.example"
"#;
/// Where the shop's customers reach it, for the links in its e-mails.
const ADDRESS: &str = r#"
public_url = "https://billing.hydron.example"
purchase_url = "https://hydron.example/billing?for={account}"
"#;
pub const BACK: &str = "http://shop.example/billing";

pub struct Shop {
    pub server: Served,
    pub sim: Sim,
    /// Seconds the server's clock is ahead.
    ahead: AtomicI64,
}

impl Shop {
    pub fn open() -> Shop {
        let shop = Shop::deaf();
        shop.listen();
        shop
    }

    /// A shop that no notice ever reaches.
    pub fn deaf() -> Shop {
        let sim = Sim::start(&Options::default()).unwrap();
        let server = start(Arc::new(TempDir::new().unwrap()), &sim, None);
        Shop { server, sim, ahead: AtomicI64::new(0) }
    }

    /// A shop that writes e-mails, through a mail server.
    pub fn writing(smtp: &str) -> Shop {
        let sim = Sim::start(&Options::default()).unwrap();
        let config = format!("{ADDRESS}{SELLER}[mail]\nfrom = \"Hydron <billing@hydron.example>\"\n");
        let server = start_with(Arc::new(TempDir::new().unwrap()), &sim, &[("SMTP_URL", smtp)], &config);
        let shop = Shop { server, sim, ahead: AtomicI64::new(0) };
        shop.listen();
        shop
    }

    /// A shop whose store is where `database` says.
    pub fn on(database: &str) -> Shop {
        let sim = Sim::start(&Options::default()).unwrap();
        let server = start(Arc::new(TempDir::new().unwrap()), &sim, Some(database));
        let shop = Shop { server, sim, ahead: AtomicI64::new(0) };
        shop.listen();
        shop
    }
    /// The same shop, closed, and opened again on another store.
    pub fn moved(self, database: &str) -> Shop {
        let directory = self.server.stop();
        let server = start(directory, &self.sim, Some(database));
        let shop = Shop { server, ..self };
        shop.listen();
        shop
    }
    /// The same shop, closed, and opened again by another seller.
    pub fn sold_to(self, seller: &str) -> Shop {
        let directory = self.server.stop();
        let server = start_with(directory, &self.sim, &[], seller);
        let shop = Shop { server, ..self };
        shop.listen();
        shop
    }
    /// One more node of this shop, on a store that several share.
    pub fn node(&self, database: &str) -> Served {
        start(Arc::new(TempDir::new().unwrap()), &self.sim, Some(database))
    }

    pub fn listen(&self) {
        let url = format!("{}/v1/stripe/webhook", self.server.url);
        self.control("POST", "webhook", &json!({"url": url, "secrets": [SECRET]}));
    }

    /// An account with its welcome of 500 credits for anything and 100 for servers, and a card.
    pub fn customer(&self, id: &str, number: &str) -> String {
        self.server.account(id);
        self.card_of(id, number)
    }

    /// An account's first card.
    pub fn card_of(&self, id: &str, number: &str) -> String {
        self.save_card(id, number);
        let methods = self.server.get(&format!("/v1/accounts/{id}/payment-methods")).json();
        methods["data"][0]["id"].as_str().expect("the card is saved").to_owned()
    }

    pub fn save_card(&self, id: &str, number: &str) {
        let path = format!("/v1/accounts/{id}/payment-methods/setup");
        let setup = self.server.post(&path, &format!("card_{}", &number[10..]), &json!({"return_url": BACK}));
        assert_eq!(setup.status, 201, "{}", setup.text);
        let leads_to = self.type_card(setup.json()["setup_url"].as_str().unwrap(), number).unwrap();
        if !leads_to.starts_with(BACK) {
            self.prove(&leads_to, "complete").unwrap();
        }
        self.settle();
    }

    pub fn buy(&self, id: &str, key: &str, body: &Value) -> Reply {
        self.server.post(&format!("/v1/accounts/{id}/purchases"), key, body)
    }
    pub fn payment(&self, id: &str) -> Value {
        self.server.get(&format!("/v1/payments/{id}")).json()
    }
    pub fn payments(&self, account: &str) -> Vec<Value> {
        let list = self.server.get(&format!("/v1/accounts/{account}/payments")).json();
        list["data"].as_array().unwrap().clone()
    }
    /// Credits of grants that somebody paid for, with the payments they name.
    pub fn paid_grants(&self, account: &str) -> Vec<(String, String)> {
        let list = self.server.get(&format!("/v1/accounts/{account}/grants")).json();
        let paid = list["data"].as_array().unwrap().iter().filter(|it| !it["payment"].is_null());
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        paid.map(|it| (text(&it["payment"]), text(&it["credits"]))).collect()
    }
    /// Spends credits: 8 000 tokens each.
    pub fn spend(&self, account: &str, key: &str, credits: u64) -> Reply {
        self.server.charge(&chat(account, key, credits * 8_000))
    }

    /// Types a card into a page of the provider's: where that leads, or what the page says.
    pub fn type_card(&self, page: &str, number: &str) -> Result<String, String> {
        browse(page, &format!("number={number}&expiry=12%2F40&cvc=123&name=Ada"))
    }
    /// Says at the bank that it is me, or not.
    pub fn prove(&self, url: &str, outcome: &str) -> Result<String, String> {
        browse(url, &format!("outcome={outcome}"))
    }

    /// Tells the server something, signed with a secret as the provider signs.
    pub fn tell(&self, body: &str, secret: &str) -> u16 {
        let at = Clock::default().now().millis() / 1_000;
        let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
        hmac::Mac::update(&mut mac, format!("{at}.{body}").as_bytes());
        let signed: String = hmac::Mac::finalize(mac).into_bytes().iter().map(|it| format!("{it:02x}")).collect();
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(format!("{}/v1/stripe/webhook", self.server.url));
        let request = request.header("stripe-signature", format!("t={at},v1={signed}"));
        request.header("content-type", "application/json").send(body).unwrap().status().as_u16()
    }
    pub fn control(&self, method: &str, path: &str, said: &Value) -> Value {
        self.sim.control(method, path, said).unwrap()
    }
    pub fn fault(&self, fault: &Value) {
        self.control("POST", "faults", fault);
    }
    /// Waits until the provider has told everything.
    pub fn settle(&self) {
        self.control("POST", "notices/flush", &json!({}));
    }
    /// What time it is at the server.
    pub fn now(&self) -> jiff::Timestamp {
        let now = Clock::default().now().millis() + self.ahead.load(Ordering::Relaxed) * 1_000;
        jiff::Timestamp::from_millisecond(now).unwrap()
    }
    /// The provider's names of the cards of all its customers.
    pub fn provider_cards(&self) -> Vec<String> {
        let cards = self.control("GET", "cards", &json!({}));
        cards.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    }
    /// The provider's names of all refunds, newest first.
    pub fn refunds_at_provider(&self) -> Vec<String> {
        let memory = self.control("GET", "memory", &json!({}));
        let things = memory["shelf"]["things"].as_array().unwrap().iter().rev().map(|it| &it[1]);
        things.filter(|it| it["object"] == "refund").map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    }
    /// How often the provider was asked something whose path begins so.
    pub fn asked(&self, method: &str, path: &str) -> usize {
        self.keys_of(method, path).len()
    }
    /// The keys of all such requests, oldest first.
    pub fn keys_of(&self, method: &str, path: &str) -> Vec<String> {
        let requests = self.control("GET", "requests", &json!({}));
        let is_it = |it: &&Value| it["method"] == method && it["path"].as_str().unwrap().starts_with(path);
        let key = |it: &Value| it["key"].as_str().unwrap_or_default().to_owned();
        requests.as_array().unwrap().iter().filter(is_it).map(key).collect()
    }
    /// A refund made by hand at the provider's own pages: its name there.
    pub fn refund_by_hand(&self, payment: &str, amount: i64) -> String {
        let made = self.at_provider("/v1/refunds", &[("payment_intent", payment), ("amount", &amount.to_string())]);
        made["id"].as_str().unwrap().to_owned()
    }
    /// What the operator does by hand at the provider.
    pub fn at_provider(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let request = ureq::post(format!("{}{path}", self.sim.url())).header("authorization", "Bearer sk_test_by_hand");
        let body = form.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let text = request.send(body).unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }
    /// The provider's customers, without those that were deleted there.
    pub fn customers_at_provider(&self) -> Vec<String> {
        let memory = self.control("GET", "memory", &json!({}));
        let things = memory["shelf"]["things"].as_array().unwrap().iter().map(|it| &it[1]);
        let live = things.filter(|it| it["object"] == "customer" && it["deleted"] != true);
        live.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    }
    /// Deletes the only customer by hand at the provider.
    pub fn delete_customer(&self) {
        let customers = self.customers_at_provider();
        let [customer] = customers.as_slice() else { panic!("one customer, and not {customers:?}") };
        let request = ureq::delete(format!("{}/v1/customers/{customer}", self.sim.url()));
        request.header("authorization", "Bearer sk_test_by_hand").call().unwrap();
    }
    /// Moves the server's clock.
    pub fn pass(&self, seconds: i64) {
        let ahead = self.ahead.fetch_add(seconds, Ordering::Relaxed) + seconds;
        let to = Clock::default().now().millis() + ahead * 1_000;
        let to = jiff::Timestamp::from_millisecond(to).unwrap().to_string();
        let now = self.server.post("/v1/test-clock/advance", "", &json!({"to": to}));
        assert_eq!(now.status, 200, "{}", now.text);
    }
    /// Lets a little time pass, again and again, until `done`: for what is due a while after a moment that nobody told.
    pub fn pass_until(&self, what: &str, done: impl Fn(&Shop) -> bool) {
        self.wait_until(what, |it| {
            it.pass(5);
            done(it)
        });
    }
    /// Moves the server's clock to an instant that it has told.
    pub fn pass_to(&self, instant: &str) {
        let at: jiff::Timestamp = instant.parse().unwrap();
        let now = Clock::default().now().millis() + self.ahead.load(Ordering::Relaxed) * 1_000;
        self.pass((at.as_millisecond() - now) / 1_000 + 2);
    }
    /// Charged, refunded and disputed euro cents.
    pub fn totals(&self) -> (i64, i64, i64) {
        let totals = &self.control("GET", "totals", &json!({}))["by_currency"]["eur"];
        let number = |member: &str| totals[member].as_i64().unwrap_or_default();
        (number("charged"), number("refunded"), number("disputed"))
    }

    /// Asks again and again, until `done`: the worker comes by every second.
    pub fn wait_until(&self, what: &str, done: impl Fn(&Shop) -> bool) {
        for _ in 0..15_000 {
            if done(self) {
                return;
            }
            // Each question takes the server a moment: that is all the waiting there is.
            self.server.get("/healthz");
        }
        panic!("it never came to pass that {what}");
    }
}

fn start(directory: Arc<TempDir>, sim: &Sim, database: Option<&str>) -> Served {
    let database: Vec<_> = database.map(|it| ("SCRIP_DATABASE_URL", it)).into_iter().collect();
    start_with(directory, sim, &database, SELLER)
}

fn start_with(directory: Arc<TempDir>, sim: &Sim, more: &[(&str, &str)], config: &str) -> Served {
    let mut environment = vec![
        ("SCRIP_SANDBOX", "1"),
        ("STRIPE_SECRET_KEY", "sk_test_of_the_shop"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_of_the_shop"),
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("STRIPE_API_BASE", sim.url()),
    ];
    environment.extend(more);
    Served::start_with(directory, &environment, config)
}

pub fn browse(url: &str, form: &str) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let request = agent.post(url).header("content-type", "application/x-www-form-urlencoded");
    let mut response = request.send(form).unwrap();
    match response.headers().get("location") {
        Some(location) => Ok(location.to_str().unwrap().to_owned()),
        None => Err(response.body_mut().read_to_string().unwrap()),
    }
}
