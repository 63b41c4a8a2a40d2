//! The provider's objects read as Scrip's words: by the few members we need, tolerant of everything else.
//!
//! What is missing from an object reads as nothing, not as a failure: the provider adds and moves members, and an
//! unknown status is one in which nothing has been decided yet. Money alone is never guessed: an object whose amount or
//! currency cannot be read is not read at all.
use billing::money::{Currency, Money};
use billing::time::{Span, Timestamp};
use serde_json::Value;

use super::words::*;
use super::{CERTAIN_AFTER, amounts};

/// Where our id stands in the provider's metadata.
pub(super) const OURS: &str = "scrip_id";

/// An object that does not say how much money it is about.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Unreadable(String);

impl Unreadable {
    /// It was only looked at, so nothing was done.
    pub fn looked_at(self) -> Failure {
        Failure::Busy { after: CERTAIN_AFTER, detail: self.0 }
    }

    /// It was asked for, and the same answer will come again.
    pub fn asked_for(self) -> Failure {
        Failure::Ambiguous { is_kept: true, detail: self.0 }
    }
}

/// The name of what a member refers to, whether the object itself or its name stands there.
pub(super) fn reference(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["id"].as_str()).map(str::to_owned)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn instant(seconds: &Value) -> Timestamp {
    Timestamp::EPOCH + Span::SECOND.times(seconds.as_i64().unwrap_or_default())
}

pub(super) fn unreadable(object: &Value, member: &str) -> Unreadable {
    Unreadable(format!("`{member}` of {} is {}", object["id"], object[member]))
}

fn currency(object: &Value) -> Result<Currency, Unreadable> {
    let code = object["currency"].as_str().and_then(|it| it.parse().ok());
    code.ok_or_else(|| unreadable(object, "currency"))
}

fn money(object: &Value, member: &str) -> Result<Money, Unreadable> {
    let currency = currency(object)?;
    let amount = object[member].as_i64().ok_or_else(|| unreadable(object, member))?;
    Ok(Money { amount: amounts::read(amount, currency), currency })
}

fn ours(object: &Value) -> Option<String> {
    object["metadata"][OURS].as_str().map(str::to_owned)
}

pub(super) fn payment(object: &Value) -> Result<Payment, Unreadable> {
    Ok(Payment {
        reference: text(&object["id"]),
        ours: ours(object),
        customer: reference(&object["customer"]),
        card: reference(&object["payment_method"])
            .or_else(|| reference(&object["last_payment_error"]["payment_method"])),
        asked: money(object, "amount")?,
        received: received(object)?,
        status: payment_status(object),
        created_at: instant(&object["created"]),
    })
}

fn received(object: &Value) -> Result<i64, Unreadable> {
    let member = match (object["amount_received"].is_i64(), object["status"] == "succeeded") {
        (true, _) => "amount_received",
        // Servers that speak an older dialect leave the member out.
        (false, true) => "amount",
        (false, false) => return Ok(0),
    };
    Ok(money(object, member)?.amount)
}

fn payment_status(object: &Value) -> PaymentStatus {
    let error = &object["last_payment_error"];
    match object["status"].as_str().unwrap_or_default() {
        "succeeded" => PaymentStatus::Succeeded,
        "canceled" => PaymentStatus::Canceled,
        "requires_action" => PaymentStatus::NeedsCustomer {
            url: object["next_action"]["redirect_to_url"]["url"].as_str().map(str::to_owned),
            client_secret: object["client_secret"].as_str().map(str::to_owned),
        },
        "requires_payment_method" if error.is_object() => PaymentStatus::Failed(decline(error)),
        _ => PaymentStatus::Pending,
    }
}

pub(super) fn decline(error: &Value) -> Decline {
    let code = error["decline_code"].as_str().or_else(|| error["code"].as_str()).unwrap_or("card_declined").to_owned();
    let reason = match code.as_str() {
        "insufficient_funds" | "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => {
            DeclineReason::InsufficientFunds
        }
        "expired_card" => DeclineReason::Expired,
        "authentication_required" => DeclineReason::NeedsCustomer,
        "payment_intent_authentication_failure" | "setup_intent_authentication_failure" => DeclineReason::ProofFailed,
        "incorrect_number"
        | "invalid_number"
        | "incorrect_cvc"
        | "invalid_cvc"
        | "incorrect_zip"
        | "invalid_expiry_month"
        | "invalid_expiry_year" => DeclineReason::Incorrect,
        "processing_error" | "issuer_not_available" | "reenter_transaction" | "try_again_later" => {
            DeclineReason::TryLater
        }
        _ => DeclineReason::Declined,
    };
    Decline { reason, words: words(reason), code }
}

fn words(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::InsufficientFunds => "The card has not enough money or has reached its limit.",
        DeclineReason::Expired => "The card has expired.",
        DeclineReason::NeedsCustomer => "The bank wants you to confirm this payment yourself.",
        DeclineReason::ProofFailed => "The bank could not confirm that it is you. Try again or use another card.",
        DeclineReason::Incorrect => "The card's number, date or security code is not right.",
        DeclineReason::TryLater => "The bank could not be asked. Try again in a while.",
        DeclineReason::Declined => "The bank declined the card. Use another card or ask your bank.",
    }
}

pub(super) fn page(object: &Value) -> Result<Page, Unreadable> {
    let status = match (object["status"].as_str(), object["payment_status"].as_str()) {
        (Some("expired"), _) => PageStatus::Expired,
        (Some("complete"), Some("unpaid")) => PageStatus::Processing,
        (Some("complete"), _) => PageStatus::Complete,
        _ => PageStatus::Open,
    };
    Ok(Page {
        reference: text(&object["id"]),
        ours: ours(object),
        customer: reference(&object["customer"]),
        status,
        url: object["url"].as_str().map(str::to_owned),
        payment: reference(&object["payment_intent"]),
        setup: reference(&object["setup_intent"]),
        total: match &object["amount_total"] {
            Value::Null => None,
            _ => Some(money(object, "amount_total")?),
        },
        expires_at: instant(&object["expires_at"]),
    })
}

pub(super) fn setup(object: &Value) -> CardSetup {
    let error = &object["last_setup_error"];
    let outcome = match (object["status"].as_str().unwrap_or_default(), reference(&object["payment_method"])) {
        ("succeeded", Some(card)) => SetupOutcome::Saved { card },
        ("canceled", _) => SetupOutcome::Canceled,
        ("requires_payment_method", _) if error.is_object() => SetupOutcome::Failed(decline(error)),
        _ => SetupOutcome::Open,
    };
    CardSetup {
        reference: text(&object["id"]),
        ours: ours(object),
        customer: reference(&object["customer"]),
        client_secret: object["client_secret"].as_str().map(str::to_owned),
        outcome,
    }
}

pub(super) fn card(object: &Value) -> Card {
    let card = &object["card"];
    let number = |member: &str| card[member].as_u64().unwrap_or_default();
    Card {
        reference: text(&object["id"]),
        customer: reference(&object["customer"]),
        brand: text(&card["brand"]),
        last4: text(&card["last4"]),
        expiry_month: u8::try_from(number("exp_month")).unwrap_or_default(),
        expiry_year: u16::try_from(number("exp_year")).unwrap_or_default(),
        fingerprint: card["fingerprint"].as_str().map(str::to_owned),
        created_at: instant(&object["created"]),
    }
}

pub(super) fn refund(object: &Value) -> Result<Refund, Unreadable> {
    Ok(Refund {
        reference: text(&object["id"]),
        ours: ours(object),
        payment: reference(&object["payment_intent"]),
        refunded: money(object, "amount")?,
        status: match object["status"].as_str().unwrap_or_default() {
            "succeeded" => RefundStatus::Succeeded,
            "failed" | "canceled" => RefundStatus::Failed,
            _ => RefundStatus::Pending,
        },
        created_at: instant(&object["created"]),
    })
}

pub(super) fn dispute(object: &Value) -> Result<Dispute, Unreadable> {
    let movements = object["balance_transactions"].as_array().map_or(&[][..], Vec::as_slice);
    let moved: Result<i64, Unreadable> =
        movements.iter().map(|it| it["amount"].as_i64().ok_or_else(|| unreadable(it, "amount"))).sum();
    let (moved, currency) = (moved?, currency(object)?);
    let is_converted = movements.iter().any(|it| it["currency"] != object["currency"]);
    Ok(Dispute {
        reference: text(&object["id"]),
        payment: reference(&object["payment_intent"]),
        disputed: money(object, "amount")?,
        withdrawn: (!is_converted).then(|| amounts::read(-moved, currency)),
        status: match object["status"].as_str().unwrap_or_default() {
            "won" | "prevented" => DisputeStatus::Won,
            "lost" => DisputeStatus::Lost,
            inquiry if inquiry.starts_with("warning_") => DisputeStatus::Inquiry,
            _ => DisputeStatus::Open,
        },
        reason: text(&object["reason"]),
        opened_at: instant(&object["created"]),
    })
}

/// A card that was taken away is nobody's any more: whose it was is said beside it.
fn removed_card(data: &Value) -> Card {
    let card = card(&data["object"]);
    let customer = card.customer.or_else(|| reference(&data["previous_attributes"]["customer"]));
    Card { customer, ..card }
}

/// A notice, or what cannot be read of it: it is one of many, and must not hide the others.
pub(super) fn notice_or_why(object: &Value) -> Result<Notice, Unread> {
    notice(object).map_err(|Unreadable(why)| Unread {
        reference: text(&object["id"]),
        at: instant(&object["created"]),
        why,
    })
}

pub(super) fn notice(object: &Value) -> Result<Notice, Unreadable> {
    Ok(Notice {
        reference: text(&object["id"]),
        at: instant(&object["created"]),
        is_live: object["livemode"].as_bool().unwrap_or_default(),
        event: event(object["type"].as_str().unwrap_or_default(), &object["data"])?,
    })
}

fn event(kind: &str, data: &Value) -> Result<Event, Unreadable> {
    let object = &data["object"];
    Ok(match kind.rsplit_once('.').unwrap_or(("", kind)) {
        ("payment_intent", "created") => Event::Other(kind.to_owned()),
        ("payment_intent", _) => Event::Payment(payment(object)?),
        ("checkout.session", _) => Event::Page(page(object)?),
        ("setup_intent", "created") => Event::Other(kind.to_owned()),
        ("setup_intent", _) => Event::CardSetup(setup(object)),
        ("payment_method", "attached") => Event::CardAdded(card(object)),
        ("payment_method", "detached") => Event::CardRemoved(removed_card(data)),
        ("payment_method", _) => Event::CardChanged(card(object)),
        ("customer", "deleted") => Event::CustomerDeleted(text(&object["id"])),
        ("refund", _) => Event::Refund(refund(object)?),
        ("charge.dispute", _) => Event::Dispute(dispute(object)?),
        _ => Event::Other(kind.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn money_that_cannot_be_read_is_not_guessed() {
        let whole = json!({"id": "pi_1", "amount": 1000, "currency": "usd", "status": "succeeded"});
        let of = |member: &str, value: Value| {
            let mut object = whole.clone();
            object[member] = value;
            payment(&object).map(|it| (it.asked.amount, it.received, it.asked.currency.to_string()))
        };
        assert_eq!(of("livemode", json!(false)), Ok((1000, 1000, "usd".to_owned())));
        assert_eq!(of("amount_received", json!(400)), Ok((1000, 400, "usd".to_owned())));
        assert_eq!(of("status", json!("processing")), Ok((1000, 0, "usd".to_owned())));
        for (member, value) in [("currency", Value::Null), ("currency", json!("dollars")), ("amount", json!("10.00"))] {
            let said = format!("`{member}` of \"pi_1\" is {value}");
            assert_eq!(of(member, value), Err(Unreadable(said)));
        }
        let event = json!({"id": "evt_1", "type": "charge.dispute.created", "data": {"object": {"id": "dp_1"}}});
        assert!(notice(&event).is_err());
        let saves_a_card = json!({"id": "cs_1", "status": "complete", "amount_total": null});
        assert_eq!(page(&saves_a_card).map(|it| it.total), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_looked_at_again_and_never_taken_for_refused() {
        let unread = || refund(&json!({"id": "re_1"})).unwrap_err();
        assert!(matches!(unread().looked_at(), Failure::Busy { .. }));
        assert!(matches!(unread().asked_for(), Failure::Ambiguous { is_kept: true, .. }));
    }
}
