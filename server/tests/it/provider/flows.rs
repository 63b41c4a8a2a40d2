//! What goes as it should: customers, pages, saved cards, 3-D Secure, refunds, disputes.
use billing::money::{Currency, Money};
use billing::time::{Span, Timestamp};
use serde_json::json;
use server::stripe::{
    DeclineReason, DisputeStatus, Failure, FinishOrder, NewCustomer, PageStatus, PaymentStatus, RefundOrder,
    RefundStatus, RefusedFor, SavedCharge, SetupOutcome,
};

use super::{Town, euros, now, number_of, order};

#[test]
fn a_page_is_paid_and_its_card_is_saved() {
    let town = Town::new();
    let customer = town.customer("acct_ada");
    let page = town.purchase_page(&customer, "payment_1");
    assert_eq!((page.status, page.payment.as_deref()), (PageStatus::Open, None));
    assert_eq!(page.total, Some(Money { amount: 1190, currency: Currency::EUR }));
    let place = town.type_card(&page, "4242424242424242").unwrap();
    assert_eq!(place, format!("http://shop.example/bought?page={}", page.reference));

    let page = town.provider.page(&page.reference).unwrap();
    assert_eq!((page.status, page.ours.as_deref(), &page.url), (PageStatus::Complete, Some("payment_1"), &None));
    let payment = town.provider.payment(page.payment.as_deref().unwrap()).unwrap();
    assert_eq!((payment.status.clone(), payment.received), (PaymentStatus::Succeeded, 1190));
    assert_eq!(payment.ours.as_deref(), Some("payment_1"));

    // Found by our id, and only by ours.
    let since = now() - Span::HOUR;
    let found = |ours| town.provider.find_payment(&customer, ours, since).unwrap();
    assert_eq!(found("payment_1"), Some(payment));
    assert_eq!(found("payment_2"), None);
    assert_eq!(town.provider.find_page(&customer, "payment_1", since).unwrap(), Some(page));
    assert_eq!(town.provider.find_payment(&customer, "payment_1", now() + Span::HOUR).unwrap(), None);
    assert_eq!(town.provider.find_customer(number_of("acct_ada")).unwrap(), Some(customer.clone()));
    assert_eq!(town.provider.find_customer(number_of("acct_eve")).unwrap(), None);

    // The card may be charged without the customer now.
    let card = &town.provider.cards(&customer).unwrap()[0];
    assert_eq!((&*card.brand, &*card.last4, card.expiry_month, card.expiry_year), ("visa", "4242", 12, 2040));
    let saved = (customer, card.reference.clone());
    assert_eq!(town.charge(&saved, "payment_3").status, PaymentStatus::Succeeded);
    assert_eq!(town.totals(), (2190, 0, 0));
}

#[test]
fn what_is_declined_on_a_page_can_be_tried_again_there() {
    let town = Town::new();
    let customer = town.customer("acct_ada");
    let page = town.purchase_page(&customer, "payment_1");
    let said = town.type_card(&page, "4000000000009995").unwrap_err();
    assert!(said.contains("insufficient funds"), "{said}");
    let declined = town.provider.find_payment(&customer, "payment_1", Timestamp::EPOCH).unwrap().unwrap();
    let PaymentStatus::Failed(decline) = declined.status else { panic!("{declined:?}") };
    assert_eq!(decline.reason, DeclineReason::InsufficientFunds);
    assert_eq!(town.provider.page(&page.reference).unwrap().status, PageStatus::Open);

    town.type_card(&page, "4242424242424242").unwrap();
    let paid = town.provider.payment(&declined.reference).unwrap();
    assert_eq!((paid.status, paid.received), (PaymentStatus::Succeeded, 1190));
}

#[test]
fn a_page_closes_and_then_nobody_pays_on_it() {
    let town = Town::new();
    let customer = town.customer("acct_ada");
    let page = town.purchase_page(&customer, "payment_1");
    let closed = town.provider.close_page(&page.reference, "close").unwrap();
    assert_eq!((closed.status, closed.url), (PageStatus::Expired, None));
    town.type_card(&page, "4242424242424242").unwrap_err();
    let again = town.provider.close_page(&page.reference, "close again").unwrap_err();
    assert!(matches!(again, Failure::Refused { why: RefusedFor::WrongState, .. }), "{again:?}");

    // And by itself, when its time is up.
    let page = town.purchase_page(&customer, "payment_2");
    town.control("POST", "advance", &json!({"seconds": 3601}));
    assert_eq!(town.provider.page(&page.reference).unwrap().status, PageStatus::Expired);
    assert_eq!(town.totals(), (0, 0, 0));
}

#[test]
fn cards_are_saved_listed_made_the_default_and_removed() {
    let town = Town::new();
    let (customer, first) = town.customer_with("acct_ada", "4242424242424242");
    let setup = town.provider.start_card_setup(&customer, "acct_ada", "setup").unwrap();
    assert!(setup.client_secret.is_some() && setup.outcome == SetupOutcome::Open);
    let page = town.card_page(&customer, "second");
    town.type_card(&page, "5555555555554444").unwrap();
    let page = town.provider.page(&page.reference).unwrap();
    let done = town.provider.setup(page.setup.as_deref().unwrap()).unwrap();
    let SetupOutcome::Saved { card: second } = done.outcome else { panic!("{done:?}") };
    assert_eq!(done.ours.as_deref(), Some("second"));

    let listed: Vec<_> = town.provider.cards(&customer).unwrap().into_iter().map(|it| it.reference).collect();
    assert_eq!(listed, [second.clone(), first.clone()]);
    assert_eq!(town.provider.default_card(&customer).unwrap(), None);
    town.provider.set_default_card(&customer, &second, "default").unwrap();
    assert_eq!(town.provider.default_card(&customer).unwrap(), Some(second.clone()));

    assert_eq!(town.provider.remove_card(&second, "remove").unwrap().customer, None);
    assert_eq!(town.provider.cards(&customer).unwrap().len(), 1);
    assert_eq!(town.provider.default_card(&customer).unwrap(), None);
    let gone = town.provider.set_default_card(&customer, &second, "default again").unwrap_err();
    assert!(matches!(gone, Failure::Refused { why: RefusedFor::Missing, .. }), "{gone:?}");

    // The same number has the same fingerprint, whoever saved it.
    let (other, _) = town.customer_with("acct_bob", "4242424242424242");
    let fingerprint = |customer: &str| town.provider.cards(customer).unwrap()[0].fingerprint.clone().unwrap();
    assert_eq!(fingerprint(&customer), fingerprint(&other));
    let order = NewCustomer { ours: "acct_ada", number: 1, name: Some("Ada L."), email: None };
    town.provider.update_customer(&customer, &order, "rename").unwrap();
}

#[test]
fn a_customer_who_is_there_proves_who_they_are() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    let page = town.card_page(&saved.0, "strict");
    let bank = town.type_card(&page, "4000002760003184").unwrap();
    assert_eq!(town.prove(&bank, "complete").unwrap(), "http://shop.example/saved");
    let strict = (saved.0.clone(), town.provider.cards(&saved.0).unwrap()[0].reference.clone());
    let present = |ours: &'static str, key: &str| {
        let order = SavedCharge { return_url: Some("http://shop.example/proven"), ..order(&strict, ours) };
        town.provider.charge_saved(&order, key).unwrap()
    };
    let payment = present("payment_1", "1");
    let PaymentStatus::NeedsCustomer { url: Some(bank), .. } = payment.status else { panic!("{payment:?}") };
    let back = town.prove(&bank, "complete").unwrap();
    assert!(back.starts_with("http://shop.example/proven?payment_intent=pi_"), "{back}");
    assert_eq!(town.provider.payment(&payment.reference).unwrap().status, PaymentStatus::Succeeded);

    // Refused at the bank.
    let payment = present("payment_2", "2");
    let PaymentStatus::NeedsCustomer { url: Some(bank), .. } = payment.status else { panic!("{payment:?}") };
    town.prove(&bank, "fail").unwrap();
    let failed = town.provider.payment(&payment.reference).unwrap();
    let PaymentStatus::Failed(decline) = failed.status else { panic!("{failed:?}") };
    assert_eq!(decline.reason, DeclineReason::ProofFailed);

    // Left alone, it is given up, and nothing can come of it any more.
    let payment = present("payment_3", "3");
    assert_eq!(town.provider.cancel_payment(&payment.reference, "give up").unwrap().status, PaymentStatus::Canceled);
    assert_eq!(town.totals(), (1000, 0, 0));
}

#[test]
fn without_the_customer_the_bank_declines_and_the_payment_is_finished_with_them() {
    let town = Town::new();
    let customer = town.customer("acct_ada");
    let page = town.card_page(&customer, "strict");
    let bank = town.type_card(&page, "4000002760003184").unwrap();
    town.prove(&bank, "complete").unwrap();
    let saved = (customer, town.provider.setup(page.setup.as_deref().unwrap()).unwrap());
    let SetupOutcome::Saved { card } = saved.1.outcome else { panic!("{saved:?}") };
    let saved = (saved.0, card);

    let payment = town.charge(&saved, "payment_1");
    let PaymentStatus::Failed(decline) = &payment.status else { panic!("{payment:?}") };
    assert_eq!(decline.reason, DeclineReason::NeedsCustomer);
    assert_eq!(payment.card.as_deref(), Some(&*saved.1), "it says which card to finish it with");

    let order = FinishOrder { payment: &payment.reference, card: &saved.1, return_url: "http://shop.example/finished" };
    let tried = town.provider.finish(&order, "finish").unwrap();
    let PaymentStatus::NeedsCustomer { url: Some(bank), .. } = tried.status else { panic!("{tried:?}") };
    town.prove(&bank, "complete").unwrap();
    assert_eq!(town.provider.payment(&payment.reference).unwrap().status, PaymentStatus::Succeeded);
    assert_eq!(town.totals(), (1000, 0, 0));
    let over = town.provider.finish(&order, "finish again").unwrap_err();
    assert!(matches!(over, Failure::Refused { why: RefusedFor::WrongState, .. }), "{over:?}");
}

#[test]
fn refunds_in_parts_and_never_more_than_there_was() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    let payment = town.charge(&saved, "payment_1").reference;
    let refund = |ours: &str, amount| {
        town.provider.refund(&RefundOrder { ours, payment: &payment, amount: euros(amount) }, &format!("refund {ours}"))
    };
    assert_eq!(refund("refund_1", 300).unwrap().status, RefundStatus::Succeeded);
    assert_eq!(refund("refund_1", 300).unwrap().refunded.amount, 300, "the same key refunds once");
    let too_large =
        |it: Failure| assert!(matches!(it, Failure::Refused { why: RefusedFor::RefundTooLarge, .. }), "{it:?}");
    too_large(refund("refund_2", 701).unwrap_err());
    refund("refund_3", 700).unwrap();
    too_large(refund("refund_4", 1).unwrap_err());
    let all = town.provider.refunds(&payment).unwrap();
    let amounts: Vec<_> = all.iter().map(|it| (it.ours.as_deref().unwrap(), it.refunded.amount)).collect();
    assert_eq!(amounts, [("refund_3", 700), ("refund_1", 300)]);
    assert_eq!(town.totals(), (1000, 1000, 0));

    let slow = town.customer_with("acct_bob", "4000000000005126");
    let payment = town.charge(&slow, "payment_2").reference;
    let order = RefundOrder { ours: "refund_5", payment: &payment, amount: euros(500) };
    assert_eq!(town.provider.refund(&order, "slow").unwrap().status, RefundStatus::Pending);
    town.control("POST", "refunds/settle", &json!({}));
    assert_eq!(town.provider.refunds(&payment).unwrap()[0].status, RefundStatus::Failed);
    assert_eq!(town.totals(), (2000, 1000, 0));
}

#[test]
fn a_payments_refunds_are_all_found_however_many() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    let payment = town.charge(&saved, "payment_1").reference;
    for number in 0..205 {
        let ours = format!("refund_{number}");
        let order = RefundOrder { ours: &ours, payment: &payment, amount: euros(1) };
        town.provider.refund(&order, &ours).unwrap();
    }
    let all = town.provider.refunds(&payment).unwrap();
    let newest_first = (0..205).rev().map(|it| format!("refund_{it}"));
    assert!(all.iter().map(|it| it.ours.clone().unwrap()).eq(newest_first), "{}", all.len());
}

#[test]
fn disputes_open_and_are_won_lost_or_won_in_part() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    let payment = town.charge(&saved, "payment_1").reference;
    let opened = town.control("POST", "disputes", &json!({"payment": payment, "amount": 600}));
    let dispute = &town.provider.disputes(&payment).unwrap()[0];
    assert_eq!((dispute.status, dispute.disputed.amount, dispute.withdrawn), (DisputeStatus::Open, 600, Some(600)));
    // What is disputed is not refunded on top; the rest may be.
    let refund = |amount| {
        town.provider.refund(&RefundOrder { ours: "r", payment: &payment, amount: euros(amount) }, &amount.to_string())
    };
    let disputed = refund(500).unwrap_err();
    assert!(matches!(disputed, Failure::Refused { why: RefusedFor::Disputed, .. }), "{disputed:?}");
    refund(400).unwrap();
    let close = |id: &str, said| town.control("POST", &format!("disputes/{id}/close"), &said);
    close(opened["id"].as_str().unwrap(), json!({"outcome": "won", "reinstated": 450}));
    let dispute = town.provider.dispute(&dispute.reference).unwrap();
    assert_eq!((dispute.status, dispute.withdrawn), (DisputeStatus::Won, Some(150)));

    // The card that its bank disputes by itself, and the one it only asks about.
    let disputed = town.customer_with("acct_bob", "4000000000000259");
    let payment = town.charge(&disputed, "payment_2").reference;
    let dispute = town.provider.disputes(&payment).unwrap().remove(0);
    close(&dispute.reference, json!({"outcome": "lost"}));
    assert_eq!(town.provider.dispute(&dispute.reference).unwrap().status, DisputeStatus::Lost);
    assert_eq!(town.totals(), (2000, 400, 1150));
    let asked = town.customer_with("acct_eve", "4000000000001976");
    let payment = town.charge(&asked, "payment_3").reference;
    let inquiry = town.provider.disputes(&payment).unwrap().remove(0);
    assert_eq!((inquiry.status, inquiry.withdrawn), (DisputeStatus::Inquiry, Some(0)));
}
