//! The flows that localstripe has too, a simulator that others wrote: what only ours understands would fail here.
//!
//! It has no hosted pages, disputes, keys or lists of a customer's payments, and refunds more than there was: those are
//! not asked of it.
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use billing::money::{Currency, Money};
use billing::time::Span;
use serde_json::Value;
use server::stripe::{Event, Failure, NewCustomer, PaymentStatus, Provider, RefundOrder, RefundStatus, SetupOutcome};

use super::notices::listen;
use super::{SECRET, euros, now, order, provider_at};

struct Local {
    child: Child,
    url: String,
    provider: Provider,
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Local {
    fn start() -> Local {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let program = program.join(".tools/stripe-sim/localstripe/bin/localstripe");
        // Free a moment ago: it cannot be told to find one itself.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["--from-scratch", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("localstripe is there once `cargo xtask test` has installed it");
        let url = format!("http://127.0.0.1:{port}");
        let mut local = Local { child, provider: provider_at(&url), url };
        while local.provider.payment("pi_none").is_err_and(|it| matches!(it, Failure::Busy { .. })) {
            assert!(local.child.try_wait().unwrap().is_none(), "localstripe does not start");
            std::thread::yield_now();
        }
        local
    }

    fn post(&self, path: &str, form: &str) -> Value {
        let request = ureq::post(format!("{}{path}", self.url)).header("authorization", "Bearer sk_test_of_the_tests");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let text = request.send(form).unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A customer with a card saved by the provider's script, as it would do it.
    fn customer_with(&self, number: &str) -> (String, String) {
        let order = NewCustomer { ours: number, number: 1, name: Some("Ada"), email: Some("ada@example.com") };
        let customer = self.provider.create_customer(&order, number).unwrap();
        let card = format!("type=card&card[number]={number}&card[exp_month]=12&card[exp_year]=2040&card[cvc]=123");
        let card = self.post("/v1/payment_methods", &card)["id"].as_str().unwrap().to_owned();
        let setup = self.provider.start_card_setup(&customer, number, &format!("setup {number}")).unwrap();
        let secret = setup.client_secret.unwrap();
        let confirm = format!("payment_method={card}&client_secret={secret}&key=pk_test_of_the_tests");
        self.post(&format!("/v1/setup_intents/{}/confirm", setup.reference), &confirm);
        let done = self.provider.setup(&setup.reference).unwrap();
        assert_eq!(done.outcome, SetupOutcome::Saved { card: card.clone() });
        assert_eq!(done.ours.as_deref(), Some(number));
        // The provider has attached it by now; localstripe leaves that to the caller.
        self.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}"));
        (customer, card)
    }
}

#[test]
fn what_localstripe_can_do_we_do_with_it() {
    let local = Local::start();
    let (ear, hear) = listen();
    local.post("/_config/webhooks/ours", &format!("url={ear}&secret={SECRET}"));
    let provider = &local.provider;
    let saved = local.customer_with("4242424242424242");
    let cards = provider.cards(&saved.0).unwrap();
    assert_eq!((cards.len(), &*cards[0].last4, &cards[0].reference), (1, "4242", &saved.1));
    provider.set_default_card(&saved.0, &saved.1, "default").unwrap();
    assert_eq!(provider.default_card(&saved.0).unwrap().as_ref(), Some(&saved.1));

    let payment = provider.charge_saved(&order(&saved, "payment_1"), "key 1").unwrap();
    assert_eq!((payment.status.clone(), payment.received), (PaymentStatus::Succeeded, 1000));
    assert_eq!(payment.asked, Money { amount: 1000, currency: Currency::EUR });
    let found = provider.payment(&payment.reference).unwrap();
    assert_eq!((found.ours.as_deref(), found.status), (Some("payment_1"), PaymentStatus::Succeeded));
    assert!(now() - Span::HOUR < payment.created_at);

    let refund = RefundOrder { ours: "refund_1", payment: &payment.reference, amount: euros(300) };
    assert_eq!(provider.refund(&refund, "refund 1").unwrap().status, RefundStatus::Succeeded);
    assert_eq!(provider.refunds(&payment.reference).unwrap()[0].refunded.amount, 300);

    let poor = local.customer_with("4000000000000341");
    // It declines without the payment that was declined, which is then no more than a refusal.
    let declined = provider.charge_saved(&order(&poor, "payment_2"), "key 2").unwrap_err();
    assert!(matches!(&declined, Failure::Refused { detail, .. } if detail.contains("card_declined")), "{declined:?}");

    let is_paid = |body: &[u8], signature: &str| {
        let notice = provider.read_notice(body, signature, now()).unwrap();
        matches!(notice.event, Event::Payment(it) if it.ours.as_deref() == Some("payment_1"))
    };
    let mut heard = std::iter::from_fn(|| hear.recv_timeout(Duration::from_secs(20)).ok());
    assert!(heard.any(|(signature, body)| is_paid(&body, &signature)), "its notices are believed");

    assert_eq!(provider.remove_card(&saved.1, "remove").unwrap().customer, None);
    assert!(provider.cards(&saved.0).unwrap().is_empty());
}
