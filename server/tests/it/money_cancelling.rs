//! Purchases that are begun and not paid: gone on with, cancelled, paid while they are cancelled, and bought twice.
use std::sync::Arc;

use serde_json::{Value, json};

use crate::console::Operator;
use crate::money_purchases::hosted;
use crate::money_shop::Shop;
use crate::pages::{mark_of, visit};
use crate::served::Reply;

const VISA: &str = "4242424242424242";
const EXPIRE: &str = "/v1/checkout/sessions";

/// Ada in her browser, at the pages of a shop.
struct Ada<'a> {
    shop: &'a Shop,
    cookie: String,
    mark: String,
}

impl<'a> Ada<'a> {
    fn at(shop: &'a Shop) -> Ada<'a> {
        let cookie = visit(&shop.server, "ada", "owner");
        let mark = mark_of(&shop.server.browse("/settings/billing", &cookie).text).to_owned();
        Ada { shop, cookie, mark }
    }
    fn look(&self, path: &str) -> String {
        let page = self.shop.server.browse(path, &self.cookie);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        page.text
    }
    fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let fields = fields.iter().copied().chain([("mark", &*self.mark)]);
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.shop.server.submit(path, &self.cookie, &form)
    }
    /// The page that asks before a purchase, and what its form carries.
    fn asked(&self, query: &str) -> (String, Vec<(String, String)>) {
        let page = self.look(&format!("/settings/billing/buy?{query}"));
        let fields = carried(&page);
        (page, fields)
    }
    fn agree(&self, fields: &[(String, String)]) -> Reply {
        let fields: Vec<(&str, &str)> = fields.iter().map(|it| (&*it.0, &*it.1)).collect();
        self.send("/settings/billing/buy", &fields)
    }
    /// 1 000 credits on the provider's page: the payment as it is then.
    fn begin(&self) -> Value {
        let reply = self.agree(&self.asked("package=starter&method=hosted").1);
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.shop.payments("ada").remove(0)
    }
    fn cancel(&self, payment: &Value) -> Reply {
        self.send(&format!("{}/cancel", path(payment)), &[])
    }
    /// Cancels it, and looks at where that leads.
    fn cancelled(&self, payment: &Value) -> String {
        let reply = self.cancel(payment);
        assert_eq!(reply.status, 303, "{}", reply.text);
        self.look(reply.header("location").unwrap())
    }
}

/// What the form of a page that asks carries, but for its mark.
fn carried(page: &str) -> Vec<(String, String)> {
    let form = page.split_once("class=\"decide\">").unwrap().1;
    let fields = form.split("type=\"hidden\" name=\"").skip(1).filter_map(|it| {
        let (name, rest) = it.split_once("\" value=\"")?;
        Some((name.to_owned(), rest.split('"').next()?.to_owned()))
    });
    fields.filter(|it| it.0 != "mark").collect()
}

fn path(payment: &Value) -> String {
    format!("/settings/billing/payments/{}", payment["id"].as_str().unwrap())
}

fn page_of(payment: &Value) -> &str {
    payment["checkout_url"].as_str().unwrap()
}

fn status(shop: &Shop, payment: &Value) -> String {
    shop.payment(payment["id"].as_str().unwrap())["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_purchase_that_is_not_paid_is_gone_on_with_or_cancelled_and_troubles_no_operator() {
    let shop = Shop::open();
    shop.server.account("ada");
    let ada = Ada::at(&shop);
    let first = ada.begin();
    let (billing, payment) = (ada.look("/settings/billing"), ada.look(&path(&first)));
    for (page, links) in [(&billing, 2), (&payment, 1), (&ada.look("/settings/billing/history?of=payments"), 1)] {
        assert_eq!(page.matches(&format!("href=\"{}\"", page_of(&first))).count(), links, "{page}");
        assert_eq!(page.matches(&format!("action=\"{}/cancel\"", path(&first))).count(), links, "{page}");
    }
    assert!(billing.contains("Not paid yet: 1,000 credits (Starter), €12.10."), "{billing}");
    assert!(payment.contains("<title>Not paid yet"), "{payment}");
    let entered = shop.server.submit("/console/sign-in", "", &format!("key={}", shop.server.key));
    let console = entered.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let wants_somebody =
        || shop.server.browse("/console/payments", &console).text.contains(first["id"].as_str().unwrap());
    assert!(!wants_somebody());

    let viewer = visit(&shop.server, "ada", "viewer");
    let mark = mark_of(&shop.server.browse("/settings/billing", &viewer).text).to_owned();
    let refused = shop.server.submit(&format!("{}/cancel", path(&first)), &viewer, &format!("mark={mark}"));
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert!(!shop.server.browse("/settings/billing", &viewer).text.contains("/cancel\""));
    shop.server.account("bob");
    let bob = visit(&shop.server, "bob", "owner");
    let mark = mark_of(&shop.server.browse("/settings/billing", &bob).text).to_owned();
    assert_eq!(shop.server.submit(&format!("{}/cancel", path(&first)), &bob, &format!("mark={mark}")).status, 404);
    assert_eq!(status(&shop, &first), "requires_action");

    let page = ada.cancelled(&first);
    assert!(page.contains("The payment was cancelled") && page.contains("No money was taken"), "{page}");
    assert!(ada.look("/settings/billing").contains("It was cancelled before it was paid."));
    assert_eq!(shop.payment(first["id"].as_str().unwrap())["failure"]["code"], "abandoned");
    shop.type_card(page_of(&first), VISA).unwrap_err();
    let again = ada.cancelled(&first);
    assert!(again.contains("The payment was cancelled"), "once more is the same: {again}");
    assert!(!wants_somebody());

    // Whoever goes on with theirs pays it.
    let second = ada.begin();
    shop.type_card(page_of(&second), VISA).unwrap();
    shop.settle();
    assert_eq!((status(&shop, &second), shop.server.available("ada")), ("succeeded".to_owned(), "1600".to_owned()));
    let late = ada.cancelled(&second);
    assert!(late.contains("1,000.00 credits were added") && !late.contains("before it could be cancelled"), "{late}");
    assert_eq!(shop.totals(), (1210, 0, 0));
}

#[test]
fn what_was_paid_before_it_was_cancelled_is_paid_and_its_credits_come_once() {
    let shop = Shop::open();
    shop.server.account("ada");
    let ada = Ada::at(&shop);
    shop.control("POST", "notices", &json!({"held": true}));
    let bought = ada.begin();
    // A card that is declined first: the payment has a name at the provider, and its page is open still.
    shop.type_card(page_of(&bought), "4000000000009995").unwrap_err();
    shop.type_card(page_of(&bought), VISA).unwrap();
    let page = ada.cancelled(&bought);
    assert!(page.contains("It was paid before it could be cancelled. 1,000.00 credits were added"), "{page}");
    shop.control("POST", "notices/release", &json!({"reversed": true}));
    shop.control("POST", "notices", &json!({"held": false}));
    shop.settle();
    shop.pass(3600);
    assert_eq!(shop.paid_grants("ada").len(), 1);
    assert_eq!((shop.server.available("ada"), shop.totals()), ("1600".to_owned(), (1210, 0, 0)));
}

#[test]
fn a_page_on_which_a_card_was_declined_is_closed_too() {
    let shop = Shop::open();
    shop.server.account("ada");
    let ada = Ada::at(&shop);
    let bought = ada.begin();
    shop.type_card(page_of(&bought), "4000000000009995").unwrap_err();
    shop.settle();
    assert!(ada.cancelled(&bought).contains("The payment was cancelled"));
    shop.type_card(page_of(&bought), VISA).unwrap_err();
    assert_eq!(shop.totals().0, 0);
}

#[test]
fn a_cancellation_that_the_provider_does_not_answer_is_gone_on_with() {
    for when in ["before", "after"] {
        let shop = Shop::open();
        shop.server.account("ada");
        let ada = Ada::at(&shop);
        let bought = ada.begin();
        shop.fault(&json!({"when": when, "what": "drop", "method": "POST", "path": EXPIRE, "times": 9}));
        let page = ada.cancelled(&bought);
        assert!(page.contains("Cancelling the payment…") && page.contains("data-poll"), "{page}");
        assert!(!page.contains(page_of(&bought)), "nobody is led there any more: {page}");
        shop.control("DELETE", "faults", &json!({}));
        shop.pass(300);
        shop.wait_until("it is over", |it| status(it, &bought) == "canceled");
        shop.type_card(page_of(&bought), VISA).unwrap_err();
        assert_eq!((shop.server.available("ada"), shop.totals().0), ("600".to_owned(), 0), "{when}");
    }
}

/// Whoever is first at the provider wins, and the books say the same.
#[test]
fn paying_and_cancelling_at_once_comes_to_one_of_both() {
    let shop = Arc::new(Shop::open());
    shop.server.account("ada");
    let mut paid = 0;
    for round in 0..6 {
        let ada = Ada::at(&shop);
        let bought = shop.buy("ada", &format!("order_{round}"), &hosted(json!({"package": "starter"}))).json();
        let payer = {
            let (shop, page) = (Arc::clone(&shop), page_of(&bought).to_owned());
            std::thread::spawn(move || shop.type_card(&page, VISA).is_ok())
        };
        let page = ada.cancelled(&bought);
        let is_paid = payer.join().unwrap();
        paid += i64::from(is_paid);
        shop.settle();
        shop.wait_until("it is over", |it| ["succeeded", "canceled"].contains(&&*status(it, &bought)));
        assert_eq!(status(&shop, &bought) == "succeeded", is_paid, "{page}");
        assert_eq!(i64::try_from(shop.paid_grants("ada").len()), Ok(paid));
        assert_eq!((shop.server.available("ada"), shop.totals().0), ((600 + 1000 * paid).to_string(), 1210 * paid));
    }
}

#[test]
fn a_payment_that_waits_for_the_bank_is_cancelled_there_and_one_of_a_subscription_is_not() {
    let shop = Shop::open();
    let card = shop.customer("ada", "4000000000003220");
    let ada = Ada::at(&shop);
    let waits =
        shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card, "return_url": "http://a.example"}));
    let waits = waits.json();
    assert_eq!(waits["status"], "requires_action", "{waits}");
    assert!(ada.look(&path(&waits)).contains("Cancel the payment"));
    assert!(ada.cancelled(&waits).contains("The payment was cancelled"));
    shop.prove(waits["action_url"].as_str().unwrap(), "complete").unwrap_err();
    assert_eq!(shop.totals().0, 0);
    let subscribed = shop.server.post("/v1/accounts/ada/subscription", "plan", &json!({"plan": "monthly"}));
    assert_eq!(subscribed.status, 201, "{}", subscribed.text);
    let of_it = shop.payments("ada").remove(0);
    assert!(!ada.look(&path(&of_it)).contains("Cancel the payment"));
    let refused = ada.cancel(&of_it);
    assert!(refused.status == 422 && refused.text.contains("cancel its subscription"), "{}", refused.text);
}

#[test]
fn the_same_purchase_a_moment_later_is_asked_about_and_a_form_that_is_sent_twice_is_one_purchase() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let ada = Ada::at(&shop);
    let query = format!("package=starter&method={card}&save=1");
    let [(page, first), (_, beside)] = [ada.asked(&query), ada.asked(&query)];
    assert!(page.contains("<h1 id=\"agree-title\">Purchase credits</h1>"), "{page}");
    let paid = ada.agree(&first);
    assert_eq!(paid.status, 303, "{}", paid.text);
    // The button once more: nothing more is charged, and it is said.
    let twice = ada.agree(&first);
    let told = ada.look(twice.header("location").unwrap());
    assert!(told.contains("You sent this form before.") && told.contains("charged once"), "{told}");
    assert_eq!((shop.payments("ada").len(), shop.totals().0), (1, 1210));
    // A form of before, of another tab; and the way back to the page that asks.
    let asked = ada.agree(&beside);
    for (status, page) in [(asked.status, &asked.text), (200, &ada.asked(&query).0)] {
        assert_eq!(status, 200);
        assert!(page.contains("Buy again?") && page.contains("Buy again for €12.10"), "{page}");
        assert!(page.contains("You bought 1,000 credits a moment ago, and they are on your account."), "{page}");
    }
    assert_eq!(shop.payments("ada").len(), 1, "it was asked, and nothing bought");
    let other = ada.asked(&format!("package=builder&method={card}")).0;
    assert!(!other.contains("Buy again"), "another package is another wish: {other}");
    let meant = ada.agree(&carried(&asked.text));
    assert_eq!((meant.status, shop.payments("ada").len(), shop.totals().0), (303, 2, 2420), "{}", meant.text);
    shop.pass(16 * 60);
    assert!(!ada.asked(&query).0.contains("Buy again"), "by then it is another time");
}

#[test]
fn a_purchase_that_waits_to_be_paid_is_gone_on_with_before_the_same_is_begun_again() {
    let shop = Shop::open();
    shop.server.account("ada");
    let ada = Ada::at(&shop);
    let query = "package=starter&method=hosted";
    let first = ada.begin();
    shop.pass(120);
    let (page, _) = ada.asked(query);
    assert!(page.contains("You began to buy 1,000 credits 2 minutes ago, and have not finished paying."), "{page}");
    assert!(page.contains(&format!("<a href=\"{}\">Go on with the first</a>", path(&first))), "{page}");
    ada.cancelled(&first);
    assert!(!ada.asked(query).0.contains("Buy again"), "what was cancelled is no purchase");
    // Whoever comes back from a page is led to what was paid there, and not to what was begun since.
    let [second, third] = [ada.begin(), {
        let (_, fields) = ada.asked(query);
        assert_eq!(ada.agree(&fields).status, 200);
        shop.payments("ada").remove(0)
    }];
    let back = shop.type_card(page_of(&second), VISA).unwrap();
    let led = ada.shop.server.browse(back.strip_prefix(&shop.server.url).unwrap(), &ada.cookie);
    assert_eq!(led.header("location"), Some(&*path(&second)), "{third}");
    assert_eq!(status(&shop, &second), "succeeded");
}

fn close(shop: &Shop) {
    let closed = shop.server.post("/v1/accounts/ada/close", "close", &json!({}));
    assert_eq!(closed.status, 201, "{}", closed.text);
}

#[test]
fn closing_an_account_cancels_what_waits_for_its_customer_on_a_page_and_at_the_bank() {
    let shop = Shop::open();
    let card = shop.customer("ada", "4000000000003220");
    let [on_page, declined] = [("one", "starter"), ("two", "builder")].map(|(key, package)| {
        let bought = shop.buy("ada", key, &hosted(json!({"package": package})));
        assert_eq!(bought.status, 201, "{}", bought.text);
        bought.json()
    });
    shop.type_card(page_of(&declined), "4000000000009995").unwrap_err();
    shop.settle();
    let at_bank =
        shop.buy("ada", "three", &json!({"credits": 1000, "payment_method": card, "return_url": "http://a.example"}));
    let at_bank = at_bank.json();
    let order = json!({"plan": "monthly", "return_url": "http://a.example"});
    let subscribed = shop.server.post("/v1/accounts/ada/subscription", "plan", &order);
    assert_eq!(subscribed.status, 201, "{}", subscribed.text);
    let of_plan = shop.payments("ada").remove(0);
    for payment in [&on_page, &declined, &at_bank, &of_plan] {
        assert_eq!(status(&shop, payment), "requires_action", "{payment}");
    }
    let ada = Ada::at(&shop);
    assert!(ada.look("/settings/billing/history?of=payments").contains(page_of(&on_page)));

    close(&shop);
    assert!(!ada.look("/settings/billing/history?of=payments").contains(page_of(&on_page)), "nobody is led there");
    for payment in [&on_page, &declined, &at_bank, &of_plan] {
        // News of it from before may come in between: then it is looked at again in a while.
        shop.pass_until("it is cancelled", |it| status(it, payment) == "canceled");
    }
    for payment in [&on_page, &declined] {
        shop.type_card(page_of(payment), VISA).unwrap_err();
    }
    for payment in [&at_bank, &of_plan] {
        shop.prove(payment["action_url"].as_str().unwrap(), "complete").unwrap_err();
    }
    assert_eq!((shop.totals().0, shop.paid_grants("ada").len()), (0, 0));
    assert_eq!(shop.server.get("/v1/accounts/ada/subscription").json()["state"], "canceled");
}

/// The money is there, and of no use to anybody: an operator sees it until it has gone back.
#[test]
fn what_is_paid_although_its_account_is_closed_is_believed_and_wants_an_operator_until_it_is_refunded() {
    for is_paid_before in [true, false] {
        let shop = Shop::open();
        shop.server.account("ada");
        shop.control("POST", "notices", &json!({"held": true}));
        let bought = shop.buy("ada", "order", &hosted(json!({"package": "starter"}))).json();
        let pay = || shop.type_card(page_of(&bought), VISA).unwrap();
        if is_paid_before {
            pay();
        } else {
            shop.fault(&json!({"when": "before", "what": "drop", "method": "POST", "path": EXPIRE, "times": 99}));
        }
        close(&shop);
        if !is_paid_before {
            pay();
            shop.control("DELETE", "faults", &json!({}));
            shop.pass(300);
        }
        shop.wait_until("the worker has found it", |it| status(it, &bought) == "succeeded");
        shop.control("POST", "notices/release", &json!({"reversed": true}));
        shop.control("POST", "notices", &json!({"held": false}));
        shop.settle();
        assert_eq!((shop.paid_grants("ada").len(), shop.totals()), (1, (1210, 0, 0)));
        assert_eq!(shop.spend("ada", "some", 1).problem().1, "account_closed");

        let operator = Operator::of(&shop.server);
        let id = bought["id"].as_str().unwrap();
        let says = "It came in after the account was closed: nobody can use its credits.";
        for list in ["/console/payments", "/console/payments?show=after_closing"] {
            let page = operator.look(list);
            assert!(page.contains(id) && page.contains(says), "{list}: {page}");
        }
        let path = format!("/console/payments/{id}");
        assert!(operator.look(&path).contains("1000 of its credits are unused and can be paid back"));
        operator.did(&path, &[("reason", "The account is closed")], &["€12.10 go back"]);
        assert!(!operator.look("/console/payments").contains(id), "nothing is left to do");
        assert_eq!((status(&shop, &bought), shop.totals()), ("refunded".to_owned(), (1210, 1210, 0)));
    }
}

#[test]
fn a_closing_that_the_provider_does_not_answer_is_gone_on_with() {
    for when in ["before", "after"] {
        let shop = Shop::open();
        shop.server.account("ada");
        let bought = shop.buy("ada", "order", &hosted(json!({"package": "starter"}))).json();
        shop.fault(&json!({"when": when, "what": "drop", "method": "POST", "path": EXPIRE, "times": 99}));
        close(&shop);
        shop.wait_until("the provider is asked", |it| 0 < it.asked("POST", EXPIRE));
        assert_ne!(status(&shop, &bought), "canceled", "{when}");
        shop.control("DELETE", "faults", &json!({}));
        shop.pass(300);
        shop.wait_until("it is over", |it| status(it, &bought) == "canceled");
        shop.type_card(page_of(&bought), VISA).unwrap_err();
        assert_eq!(shop.totals().0, 0, "{when}");
    }
}

/// Whoever is first at the provider wins, and the books say the same.
#[test]
fn paying_and_closing_at_once_comes_to_one_of_both() {
    let shop = Arc::new(Shop::open());
    let mut paid = 0;
    for round in 0..6 {
        let account = format!("ada_{round}");
        shop.server.account(&account);
        let bought = shop.buy(&account, "order", &hosted(json!({"package": "starter"}))).json();
        let payer = {
            let (shop, page) = (Arc::clone(&shop), page_of(&bought).to_owned());
            std::thread::spawn(move || shop.type_card(&page, VISA).is_ok())
        };
        let closed = shop.server.post(&format!("/v1/accounts/{account}/close"), "close", &json!({}));
        assert_eq!(closed.status, 201, "{}", closed.text);
        let is_paid = payer.join().unwrap();
        paid += i64::from(is_paid);
        shop.settle();
        shop.wait_until("it is over", |it| ["succeeded", "canceled"].contains(&&*status(it, &bought)));
        assert_eq!(status(&shop, &bought) == "succeeded", is_paid);
        assert_eq!((shop.paid_grants(&account).len(), shop.totals().0), (usize::from(is_paid), 1210 * paid));
    }
}
