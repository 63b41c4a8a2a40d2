//! The provider's test cards and what each does, as its documentation lists them; no other card is taken here.
use crate::problem::Problem;

#[derive(Debug)]
pub struct TestCard {
    pub number: &'static str,
    pub brand: &'static str,
    pub funding: &'static str,
    /// The name under which it can be used without a number: `pm_card_visa`.
    pub token: &'static str,
    pub at_setup: Bank,
    pub at_charge: Bank,
    pub proof: Proof,
    pub after: After,
}

/// What the bank says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bank {
    Yes,
    /// Error code, the bank's reason, and the message.
    No(&'static str, Option<&'static str>, &'static str),
}

/// When the bank wants 3-D Secure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proof {
    Never,
    Always,
    /// Not once it has been saved with proof.
    UntilSaved,
    /// Not when the customer is away.
    WhenPresent,
}

/// What happens to a payment afterwards, by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    Nothing,
    Disputed(&'static str),
    Inquiry,
    /// Refunds are under way until told otherwise, and then succeed or fail.
    SlowRefund,
    FailedRefund,
}

const GENERIC: Bank = Bank::No("card_declined", Some("generic_decline"), "Your card was declined.");
const FUNDS: Bank = Bank::No("card_declined", Some("insufficient_funds"), "Your card has insufficient funds.");
const LOST: Bank = Bank::No("card_declined", Some("lost_card"), "Your card was declined.");
const STOLEN: Bank = Bank::No("card_declined", Some("stolen_card"), "Your card was declined.");
const EXPIRED: Bank = Bank::No("expired_card", None, "Your card has expired.");
const CVC: Bank = Bank::No("incorrect_cvc", None, "Your card's security code is incorrect.");
const PROCESSING: Bank =
    Bank::No("processing_error", None, "An error occurred while processing your card. Try again in a little bit.");
const VELOCITY: Bank =
    Bank::No("card_declined", Some("card_velocity_exceeded"), "Your card was declined for exceeding its limit.");
const NUMBER: Bank = Bank::No("incorrect_number", None, "Your card number is incorrect.");

const fn good(number: &'static str, brand: &'static str, funding: &'static str, token: &'static str) -> TestCard {
    TestCard {
        number,
        brand,
        funding,
        token,
        at_setup: Bank::Yes,
        at_charge: Bank::Yes,
        proof: Proof::Never,
        after: After::Nothing,
    }
}

const fn visa(number: &'static str, token: &'static str) -> TestCard {
    good(number, "visa", "credit", token)
}

const fn declined(number: &'static str, token: &'static str, bank: Bank) -> TestCard {
    TestCard { at_setup: bank, at_charge: bank, ..visa(number, token) }
}

const fn proven(number: &'static str, token: &'static str, proof: Proof) -> TestCard {
    TestCard { proof, ..visa(number, token) }
}

const fn then(number: &'static str, token: &'static str, after: After) -> TestCard {
    TestCard { after, ..visa(number, token) }
}

pub const CARDS: &[TestCard] = &[
    visa("4242424242424242", "pm_card_visa"),
    good("4000056655665556", "visa", "debit", "pm_card_visa_debit"),
    good("5555555555554444", "mastercard", "credit", "pm_card_mastercard"),
    good("2223003122003222", "mastercard", "credit", "pm_card_mastercard_2series"),
    good("5200828282828210", "mastercard", "debit", "pm_card_mastercard_debit"),
    good("378282246310005", "amex", "credit", "pm_card_amex"),
    good("6011111111111117", "discover", "credit", "pm_card_discover"),
    good("3056930009020004", "diners", "credit", "pm_card_diners"),
    good("3566002020360505", "jcb", "credit", "pm_card_jcb"),
    good("6200000000000005", "unionpay", "credit", "pm_card_unionpay"),
    declined("4000000000000002", "pm_card_visa_chargeDeclined", GENERIC),
    declined("4000000000009995", "pm_card_visa_chargeDeclinedInsufficientFunds", FUNDS),
    declined("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", LOST),
    declined("4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", STOLEN),
    declined("4000000000000069", "pm_card_chargeDeclinedExpiredCard", EXPIRED),
    declined("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", CVC),
    declined("4000000000000119", "pm_card_chargeDeclinedProcessingError", PROCESSING),
    declined("4000000000006975", "pm_card_visa_chargeDeclinedVelocityLimitExceeded", VELOCITY),
    declined("4242424242424241", "", NUMBER),
    TestCard { at_charge: GENERIC, ..visa("4000000000000341", "pm_card_chargeCustomerFail") },
    proven("4000002500003155", "pm_card_authenticationRequiredOnSetup", Proof::UntilSaved),
    proven("4000002760003184", "pm_card_authenticationRequired", Proof::Always),
    proven("4000003800000446", "pm_card_authenticationRequiredSetupForOffSession", Proof::WhenPresent),
    TestCard {
        at_charge: FUNDS,
        ..proven("4000008260003178", "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", Proof::Always)
    },
    proven("4000000000003220", "pm_card_threeDSecure2Required", Proof::WhenPresent),
    TestCard {
        at_setup: GENERIC,
        at_charge: GENERIC,
        ..proven("4000008400001629", "pm_card_threeDSecureRequiredChargeDeclined", Proof::WhenPresent)
    },
    proven("4000000000003055", "pm_card_threeDSecureOptional", Proof::Never),
    then("4000000000000259", "pm_card_createDispute", After::Disputed("fraudulent")),
    then("4000000000002685", "pm_card_createDisputeProductNotReceived", After::Disputed("product_not_received")),
    then("4000000000001976", "pm_card_createDisputeInquiry", After::Inquiry),
    then("4000000000007726", "pm_card_pendingRefund", After::SlowRefund),
    then("4000000000005126", "pm_card_refundFail", After::FailedRefund),
];

pub fn by_number(number: &str) -> Option<&'static TestCard> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    CARDS.iter().find(|it| it.number == digits)
}

pub fn by_token(token: &str) -> Option<&'static TestCard> {
    CARDS.iter().find(|it| it.token == token && !token.is_empty())
}

/// A card that somebody saved or typed in.
#[derive(Clone, Copy, Debug)]
pub struct Plastic {
    pub card: &'static TestCard,
    /// Saved for charges without the customer, with whatever proof that took.
    pub is_saved: bool,
}

/// In what circumstances the bank is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub is_setup: bool,
    pub is_off_session: bool,
    /// The customer has just proven who they are.
    pub is_proven: bool,
    pub has_expired: bool,
}

#[derive(Debug)]
pub enum Verdict {
    Yes,
    No(Problem),
    NeedsProof,
}

impl Plastic {
    pub fn judge(self, asked: Asked) -> Verdict {
        if asked.has_expired {
            return no(EXPIRED);
        }
        let wants_proof = match self.card.proof {
            Proof::Never => false,
            Proof::Always => true,
            Proof::UntilSaved => !(self.is_saved && asked.is_off_session),
            Proof::WhenPresent => !asked.is_off_session,
        };
        if wants_proof && !asked.is_proven {
            if asked.is_off_session {
                let message = "Your card was declined. This transaction requires authentication.";
                return no(Bank::No("authentication_required", Some("authentication_required"), message));
            }
            return Verdict::NeedsProof;
        }
        no(if asked.is_setup { self.card.at_setup } else { self.card.at_charge })
    }
}

fn no(bank: Bank) -> Verdict {
    match bank {
        Bank::Yes => Verdict::Yes,
        Bank::No(code, reason, message) => Verdict::No(Problem::card(code, reason, message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_of_cards_but_for_the_wrong_one() {
        for card in CARDS {
            let luhn: u32 = card.number.bytes().rev().enumerate().fold(0, |sum, (index, digit)| {
                let digit = u32::from(digit - b'0') * if !index.is_multiple_of(2) { 2 } else { 1 };
                sum + digit / 10 + digit % 10
            });
            let is_right = luhn.is_multiple_of(10);
            assert_eq!(is_right, card.number != "4242424242424241", "{}", card.number);
            assert_eq!(CARDS.iter().filter(|it| it.number == card.number).count(), 1);
        }
    }
}
