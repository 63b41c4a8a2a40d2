//! What a customer reads in a year of paying: each mail taken out of a mail server that others wrote.
use serde_json::{Value, json};

use crate::emails::{Letter, Office, opened};
use crate::money_purchases::hosted;
use crate::money_shop::Shop;
use crate::money_topups::{rule, set};
use crate::pages::mark_of;

const VISA: &str = "4242424242424242";
const DECLINES: &str = "4000000000000341";
const WANTS_PROOF: &str = "4000002760003184";

/// A shop with a customer who wants to be written to.
struct Reader {
    shop: Shop,
    office: Office,
}

impl Reader {
    fn with(card: &str) -> Reader {
        let office = Office::open("plain");
        let shop = Shop::writing(&office.url());
        shop.customer("ada", card);
        let profile = json!({"name": "Ada Lovelace", "email": "ada@example.com", "timezone": "Europe/Vilnius"});
        assert_eq!(shop.server.put("/v1/accounts/ada", &profile).status, 200);
        // What comes with time, and is not what is waited for here.
        let quiet = json!({"digest": false, "expiry": false});
        assert_eq!(shop.server.put("/v1/accounts/ada/notice-preferences", &quiet).status, 200);
        Reader { shop, office }
    }

    /// The next mail that came, which must be this one.
    #[track_caller]
    fn reads(&self, subject: &str) -> Letter {
        let mail = opened(&self.office.next());
        assert!(mail.head.contains(&format!("Subject: {subject}")), "{}\n{}", mail.head, mail.text);
        assert!(mail.head.contains("To: ada@example.com"), "{}", mail.head);
        mail
    }

    /// What all mails so far are about, the first first.
    fn subjects(&self) -> Vec<String> {
        let mails = self.shop.server.get("/v1/accounts/ada/emails").json();
        let subject = |it: &Value| it["subject"].as_str().unwrap().to_owned();
        mails["data"].as_array().unwrap().iter().rev().map(subject).collect()
    }
}

/// Whoever cancels what they began knows of it.
#[test]
fn a_purchase_that_is_cancelled_is_no_mail() {
    let ada = Reader::with(VISA);
    let server = &ada.shop.server;
    let begun = ada.shop.buy("ada", "a", &hosted(json!({"credits": "1000"}))).json();
    let made = server.post("/v1/accounts/ada/portal-sessions", "", &json!({"role": "owner"})).json();
    let link = made["url"].as_str().unwrap().strip_prefix("https://billing.hydron.example").unwrap().to_owned();
    let cookie = server.browse(&link, "").header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let path = format!("/settings/billing/payments/{}", begun["id"].as_str().unwrap());
    let mark = mark_of(&server.browse(&path, &cookie).text).to_owned();
    assert_eq!(server.submit(&format!("{path}/cancel"), &cookie, &format!("mark={mark}")).status, 303);
    assert_eq!(ada.shop.payment(begun["id"].as_str().unwrap())["status"], "canceled");
    ada.shop.buy("ada", "b", &json!({"credits": "1000"}));
    ada.reads("Thank you for your payment");
}

#[test]
fn a_purchase_is_followed_by_one_mail_its_receipt_which_names_its_invoice() {
    let ada = Reader::with(VISA);
    let bought = ada.shop.buy("ada", "a", &json!({"credits": "1000"})).json();
    let mail = ada.reads("Thank you for your payment");
    for line in
        ["credits (€10.00)", "Net: €10.00", "VAT: €2.10", "Total: €12.10", "Invoice: INV-", "Open billing: http"]
    {
        assert!(mail.text.contains(line), "{line}: {}", mail.text);
    }
    assert!(mail.text.contains(bought["id"].as_str().unwrap()), "{}", mail.text);
    // Whoever stands before their bank knows that it asks; once they have answered it nobody else does.
    let shop = &ada.shop;
    shop.save_card("ada", "4000000000003220");
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json();
    let card = cards["data"].as_array().unwrap().iter().find(|it| it["last4"] == "3220").unwrap()["id"].clone();
    let body = json!({"credits": "1000", "payment_method": card, "return_url": "https://hydron.example/"});
    let waits = shop.buy("ada", "b", &body).json();
    shop.prove(waits["action_url"].as_str().unwrap(), "complete").unwrap();
    ada.reads("Thank you for your payment");
    assert_eq!(ada.subjects(), ["Thank you for your payment"; 2]);
}

#[test]
fn a_topup_that_the_bank_asks_about_is_finished_by_the_link_in_the_mail() {
    let ada = Reader::with(WANTS_PROOF);
    set(&ada.shop, &rule(200, 1000));
    ada.shop.spend("ada", "a", 350);
    let mail = ada.reads("Please confirm your payment");
    assert!(mail.text.contains("Auto-topup goes on when you have confirmed it"), "{}", mail.text);
    let link = mail.text.split_whitespace().find(|it| it.contains("/emails/confirm?token=")).unwrap();
    let path = link.strip_prefix("https://billing.hydron.example").expect("it leads to the shop");
    // Opened by a program that looks through mails, it does nothing; its button leads to the bank.
    assert_eq!(ada.shop.server.get(path).status, 200);
    let asked = ada.shop.server.submit(path, "", "");
    let bank = asked.text.split('"').find(|it| it.starts_with(ada.shop.sim.url())).expect("the bank's page");
    let back = ada.shop.prove(&bank.replace("&#38;", "&"), "complete").unwrap();
    assert!(back.contains("client_secret"), "{back}");
    let led = ada.shop.server.browse(back.strip_prefix("https://billing.hydron.example").unwrap(), "");
    assert_eq!((led.status, led.header("location")), (303, Some(path)), "without the secret");
    assert!(ada.shop.server.browse(path, "").text.contains("Nothing to confirm"));
    let mail = ada.reads("Your credits were topped up");
    assert!(mail.text.contains("auto-topup bought more"), "{}", mail.text);
    assert_eq!(ada.shop.server.available("ada"), "1250");
    assert_eq!(ada.subjects(), ["Please confirm your payment", "Your credits were topped up"]);
}

/// Each try is told of, and the last says that it is the last.
#[test]
fn a_topup_that_is_declined_three_times_is_three_mails() {
    let ada = Reader::with(DECLINES);
    set(&ada.shop, &rule(200, 1000));
    ada.shop.spend("ada", "a", 350);
    let failed = "Auto-topup did not go through";
    for again in [true, true, false] {
        let mail = ada.reads(failed);
        assert_eq!(mail.text.contains("it is tried again."), again, "{}", mail.text);
        assert_eq!(mail.text.contains("not tried again before you switch it on again"), !again, "{}", mail.text);
        if again {
            let rule = ada.shop.server.get("/v1/accounts/ada/auto-topup").json();
            ada.shop.pass_to(rule["retry_at"].as_str().unwrap_or_else(|| panic!("{rule}")));
        }
    }
    assert_eq!(ada.subjects(), [failed; 3]);
}

#[test]
fn credits_that_are_no_help_are_said_to_be_none_when_the_others_run_low() {
    let ada = Reader::with(VISA);
    assert_eq!(ada.shop.spend("ada", "a", 450).status, 201);
    let mail = ada.reads("Your credits are running low");
    let says =
        "100 credits (€1.00) of what is left can be used for certain kinds of work only, and does not count here.";
    assert!(mail.text.contains(says), "{}", mail.text);
    assert_eq!(ada.shop.spend("ada", "b", 50).status, 201);
    let mail = ada.reads("Your credits are used up");
    let says = "100 credits (€1.00) of what is left can be used for certain kinds of work only, and all other work is";
    assert!(mail.text.contains(says), "{}", mail.text);
}

#[test]
fn a_budget_writes_once_for_each_part_of_it_that_is_used() {
    let ada = Reader::with(VISA);
    let budget = json!({"credits": "100", "period": "month", "action": "block", "scope": {"meters": ["ai_chat"]}});
    assert!(ada.shop.server.put("/v1/accounts/ada/budgets/chats", &budget).status < 300);
    for (key, credits, percent) in [("a", 50, 50), ("b", 25, 75), ("c", 15, 90), ("d", 10, 100)] {
        assert_eq!(ada.shop.spend("ada", key, credits).status, 201);
        let mail = ada.reads(&format!("chats has reached {percent}% of its budget"));
        assert!(mail.text.contains("Budget: 100 credits (€1.00)"), "{}", mail.text);
        assert!(mail.text.contains("At 100% it refuses further work."), "{}", mail.text);
    }
    assert_eq!(ada.shop.spend("ada", "e", 1).problem().1, "budget_exceeded");
}

/// One charge is one event, and one mail: of the most it has reached.
#[test]
fn a_charge_that_passes_several_parts_of_a_budget_writes_of_the_highest() {
    let ada = Reader::with(VISA);
    let budget = json!({"credits": "100", "period": "month", "action": "notify", "scope": {"meters": ["ai_chat"]}});
    assert!(ada.shop.server.put("/v1/accounts/ada/budgets/chats", &budget).status < 300);
    for (key, credits, percent) in [("a", 95, 90), ("b", 5, 100)] {
        assert_eq!(ada.shop.spend("ada", key, credits).status, 201);
        ada.reads(&format!("chats has reached {percent}% of its budget"));
    }
    assert_eq!(ada.shop.server.emails("ada").len(), 2);
}

/// A rule that pauses because of a failure is one event, and its mail says what it would cost now.
#[test]
fn a_topup_that_costs_more_than_was_agreed_to_is_one_mail() {
    let ada = Reader::with(VISA);
    set(&ada.shop, &rule(200, 1000));
    let moved = json!({"address": {"country": "HU"}});
    assert_eq!(ada.shop.server.put("/v1/accounts/ada", &moved).status, 200);
    ada.shop.spend("ada", "a", 350);
    let mail = ada.reads("Auto-topup did not go through");
    for says in ["Agreed: €12.10", "Costs now: €12.70", "before you agree to the new price"] {
        assert!(mail.text.contains(says), "{says}: {}", mail.text);
    }
    ada.shop.buy("ada", "b", &json!({"credits": "1000"}));
    ada.reads("Thank you for your payment");
    assert_eq!(ada.shop.server.emails("ada").len(), 2);
}

#[test]
fn an_upgrade_is_not_called_a_period_and_says_credits_as_the_pages_do() {
    let ada = Reader::with(VISA);
    let path = "/v1/accounts/ada/subscription";
    assert_eq!(ada.shop.server.post(path, "s", &json!({"plan": "monthly"})).status, 201);
    ada.reads("Your subscription is paid");
    let up = ada.shop.server.post(&format!("{path}/change"), "c", &json!({"plan": "monthly-plus"}));
    assert_eq!(up.status, 201, "{}", up.text);
    let mail = ada.reads("Your plan is upgraded");
    let item = mail.text.lines().find_map(|it| it.trim().strip_prefix("Item: ")).expect("the item");
    let credits = item.strip_suffix(" credits (change of plan)").expect(item);
    assert_eq!(credits.split_once('.').map(|it| it.1.len()), Some(2), "{item}");
}

/// Under a running server that a dispute leaves with nothing, the ladder tells, and nobody else.
#[test]
fn credits_that_a_dispute_uses_up_are_one_mail() {
    let ada = Reader::with(VISA);
    let shop = &ada.shop;
    assert_eq!(shop.buy("ada", "order", &json!({"credits": "1000"})).status, 201);
    assert_eq!(shop.spend("ada", "welcome", 500).status, 201);
    let server = "/v1/accounts/ada/servers/vm";
    assert_eq!(shop.server.put(server, &json!({"tier": "entry-level"})).status, 201);
    assert_eq!(shop.server.post(&format!("{server}/start"), "", &json!({})).status, 200);
    shop.pass(60);
    shop.control("POST", "disputes", &json!({"payment": crate::money_back::at_provider(shop)}));
    shop.settle();
    let told = || {
        let mails = shop.server.emails("ada");
        mails.iter().filter(|it| it["event"] == "balance.exhausted").count()
    };
    shop.wait_until("it is written", |_| 0 < told());
    shop.pass(3_600);
    shop.wait_until("the hour is settled", |it| !it.server.available("ada").is_empty());
    assert_eq!(told(), 1);
}

#[test]
fn a_subscription_is_told_of_before_it_renews_and_when_it_cannot() {
    let ada = Reader::with(VISA);
    let path = "/v1/accounts/ada/subscription";
    let begun = ada.shop.server.post(path, "s", &json!({"plan": "monthly"}));
    assert_eq!(begun.status, 201, "{}", begun.text);
    ada.reads("Your subscription is paid");
    let end = begun.json()["period_end"].as_str().unwrap().to_owned();
    ada.shop.save_card("ada", DECLINES);
    let cards = ada.shop.server.get("/v1/accounts/ada/payment-methods").json();
    let card = |last4: &str| -> Value {
        cards["data"].as_array().unwrap().iter().find(|it| it["last4"] == last4).unwrap()["id"].clone()
    };
    let default = format!("/v1/accounts/ada/payment-methods/{}/default", card("0341").as_str().unwrap());
    assert_eq!(ada.shop.server.post(&default, "", &json!({})).status, 201);
    let renews: jiff::Timestamp = end.parse().unwrap();
    ada.shop.pass_to(&(renews - jiff::SignedDuration::from_hours(3 * 24)).to_string());
    let mail = ada.reads("Your subscription renews soon");
    assert!(mail.text.contains("Amount: €21.78"), "{}", mail.text);
    ada.shop.pass_to(&end);
    let mail = ada.reads("Your renewal could not be paid");
    assert!(mail.text.contains("Your credits stay and keep working"), "{}", mail.text);
    // A card that is tried out of turn and declined makes the subscription no later: the payment itself is told of.
    assert_eq!(ada.shop.server.post(&default, "", &json!({})).status, 201);
    ada.reads("Your payment did not go through");
}

#[test]
fn whoever_cancels_a_subscription_is_told_until_when_it_goes_on_and_how_to_take_it_back() {
    let ada = Reader::with(VISA);
    let path = "/v1/accounts/ada/subscription";
    let begun = ada.shop.server.post(path, "s", &json!({"plan": "monthly"})).json();
    ada.reads("Your subscription is paid");
    let end: jiff::Timestamp = begun["period_end"].as_str().unwrap().parse().unwrap();
    let until =
        end.to_zoned(jiff::tz::TimeZone::get("Europe/Vilnius").unwrap()).strftime("%-d %b %Y, %H:%M").to_string();
    let says = |act: &str, subject: &str, line: &str| {
        // Said twice it is told once.
        for _ in 0..2 {
            let said = ada.shop.server.post(&format!("{path}/{act}"), "", &json!({}));
            assert_eq!(said.status, 201, "{}", said.text);
        }
        let mail = ada.reads(subject);
        assert!(mail.text.contains(&format!("{line}: {until} (Europe/Vilnius)")), "{}", mail.text);
        mail.text
    };
    let text = says("cancel", "Your subscription is cancelled", "Goes on until");
    for said in ["nothing more is charged", "Unused credits stay", "take this back", "Plan: Monthly"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let text = says("resume", "Your subscription goes on", "Renews");
    assert!(text.contains("Amount: €21.78"), "{text}");
    says("cancel", "Your subscription is cancelled", "Goes on until");
    // To choose a plan takes it back, too.
    let chosen = ada.shop.server.post(&format!("{path}/change"), "c", &json!({"plan": "yearly"}));
    assert_eq!(chosen.status, 201, "{}", chosen.text);
    let mail = ada.reads("Your subscription goes on");
    assert!(mail.text.contains("Plan: Yearly"), "{}", mail.text);
    says("cancel", "Your subscription is cancelled", "Goes on until");
    ada.shop.pass_to(begun["period_end"].as_str().unwrap());
    ada.reads("Your subscription has ended");
}

#[test]
fn servers_that_run_out_are_told_of_in_time() {
    let ada = Reader::with(VISA);
    let path = "/v1/accounts/ada/servers/web-1";
    assert_eq!(ada.shop.server.put(path, &json!({"tier": "entry-level"})).status, 201);
    assert_eq!(ada.shop.server.post(&format!("{path}/start"), "", &json!({})).status, 200);
    let mut subjects = Vec::new();
    while !subjects.iter().any(|it: &String| it.contains("being released")) {
        ada.shop.pass(8 * 3600);
        subjects = ada.subjects();
        assert!(ada.shop.now() < "2100-01-01T00:00:00Z".parse().unwrap());
    }
    let runs_out = "Your servers will run out of credits";
    let expected = [
        runs_out,
        runs_out,
        "Your credits are running low",
        runs_out,
        "Your credits are used up",
        "Your servers are being stopped",
        "Your servers are being released",
    ];
    assert_eq!(subjects, expected);
}
