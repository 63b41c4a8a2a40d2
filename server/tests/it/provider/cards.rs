//! Every card of the provider's table, charged in each way, comes to what its bank says.
use server::stripe::{DeclineReason, PaymentStatus, SavedCharge};
use stripe_sim::{Bank, CARDS, Proof};

use super::{Town, order};

/// What we make of a bank's answer.
fn reason(bank: Bank) -> Option<DeclineReason> {
    use DeclineReason::*;
    match bank {
        Bank::Yes => None,
        Bank::No(_, Some("insufficient_funds" | "card_velocity_exceeded"), _) => Some(InsufficientFunds),
        Bank::No("expired_card", ..) => Some(Expired),
        Bank::No("incorrect_cvc" | "incorrect_number", ..) => Some(Incorrect),
        Bank::No("processing_error", ..) => Some(TryLater),
        // Lost and stolen too: whoever holds the card is not told.
        Bank::No(..) => Some(Declined),
    }
}

fn failed(status: &PaymentStatus) -> Option<DeclineReason> {
    match status {
        PaymentStatus::Failed(decline) => Some(decline.reason),
        _ => None,
    }
}

#[test]
fn on_a_page() {
    let town = Town::new();
    for card in CARDS {
        let customer = town.customer(card.number);
        let page = town.purchase_page(&customer, card.number);
        let mut led = town.type_card(&page, card.number);
        if card.proof != Proof::Never {
            let bank = led.expect("the bank asks first");
            assert!(bank.contains("/3ds/"), "{}: {bank}", card.number);
            led = town.prove(&bank, "complete");
        }
        let page = town.provider.page(&page.reference).unwrap();
        let payment = town.provider.payment(page.payment.as_deref().unwrap()).unwrap();
        assert_eq!(failed(&payment.status), reason(card.at_charge), "{}: {led:?}", card.number);
        let saved = town.provider.cards(&customer).unwrap().len();
        assert_eq!(saved == 1, card.at_charge == Bank::Yes, "{} is saved when it paid", card.number);
    }
}

#[test]
fn saved_and_charged_without_the_customer() {
    let town = Town::new();
    for card in CARDS {
        let customer = town.customer(card.number);
        let page = town.card_page(&customer, card.number);
        let mut led = town.type_card(&page, card.number);
        if card.proof != Proof::Never {
            led = town.prove(&led.expect("the bank asks first"), "complete");
        }
        let cards = town.provider.cards(&customer).unwrap();
        assert_eq!(cards.len() == 1, card.at_setup == Bank::Yes, "{}: {led:?}", card.number);
        let Some(saved) = cards.into_iter().next() else { continue };
        let payment = town.charge(&(customer, saved.reference), card.number);
        let expected = match card.proof {
            Proof::Always => Some(DeclineReason::NeedsCustomer),
            _ => reason(card.at_charge),
        };
        assert_eq!(failed(&payment.status), expected, "{}", card.number);
        assert_eq!(payment.status == PaymentStatus::Succeeded, expected.is_none(), "{}", card.number);
    }
}

#[test]
fn with_the_customer_there() {
    let town = Town::new();
    let wanting = CARDS.iter().filter(|it| it.proof != Proof::Never && it.at_setup == Bank::Yes);
    for card in wanting {
        let customer = town.customer(card.number);
        let page = town.card_page(&customer, card.number);
        let bank = town.type_card(&page, card.number).unwrap();
        town.prove(&bank, "complete").unwrap();
        let saved = (customer.clone(), town.provider.cards(&customer).unwrap()[0].reference.clone());
        let order = SavedCharge { return_url: Some("http://shop.example/"), ..order(&saved, card.number) };
        let payment = town.provider.charge_saved(&order, card.number).unwrap();
        let PaymentStatus::NeedsCustomer { url: Some(bank), .. } = payment.status else {
            panic!("{}: {payment:?}", card.number);
        };
        town.prove(&bank, "complete").unwrap();
        let payment = town.provider.payment(&payment.reference).unwrap();
        assert_eq!(failed(&payment.status), reason(card.at_charge), "{}", card.number);
    }
}
