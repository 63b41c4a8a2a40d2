//! The same purchase again: a form that is sent twice is one purchase, and a second purchase of the same a moment later
//! is asked about, for it may be the same click once more.
//!
//! Which form a payment came from, the address that leads back from its payment page says.
use billing::payment::Status;
use billing::time::{Span, Timestamp};

use super::agree::Agree;
use super::{LOOKED_AT, PATH, rows, show};
use crate::app::App;
use crate::service::{Error, PaymentView, PriceOfCredits, Purpose};
use crate::web::range::Query;
use crate::web::visit::Visitor;

/// The field of a form that names the purchase before: whoever sends it was told of that one.
pub const FIELD: &str = "again";

/// How long after a purchase another of the same is asked about.
const ASKED_WITHIN: Span = Span::MINUTE.times(15);

/// Where a customer comes back to who has paid what the form with this key ordered.
pub fn way_back(key: &str) -> String {
    Query::default().with(&[("of", key)]).href(&format!("{PATH}/returned"))
}

/// Whether a payment was ordered by the form whose customers come back this way.
pub fn leads_back(it: &PaymentView, way: &str) -> bool {
    it.payment.return_url.as_ref().is_some_and(|it| it.ends_with(way))
}

/// A purchase of as many credits at the same price a moment ago, that has come in or still may; not that of the form
/// with this key.
pub fn bought_lately(
    app: &App,
    visitor: &Visitor,
    price: &PriceOfCredits,
    key: Option<&str>,
) -> Result<Option<PaymentView>, Error> {
    let own = key.map(way_back);
    let is_same = |it: &PaymentView| {
        let payment = &it.payment;
        let (credits, total) = (price.credits.micros(), price.total);
        payment.purpose == Purpose::Purchase
            && (payment.credits, payment.money(payment.total())) == (credits, total)
            && !matches!(payment.status(), Status::Failed | Status::Canceled)
            && !payment.is_given_up
            && visitor.now < Timestamp::from_millis(payment.created_at) + ASKED_WITHIN
            && own.as_ref().is_none_or(|own| !leads_back(it, own))
    };
    Ok(app.payments(&visitor.session.account, None, LOOKED_AT)?.into_iter().find(is_same))
}

/// Whether a form means what it orders: there is no like purchase a moment before it, or its sender knows of that.
pub fn is_meant(app: &App, visitor: &Visitor, price: &PriceOfCredits, said: &Query) -> Result<bool, Error> {
    let before = bought_lately(app, visitor, price, said.get("key"))?;
    Ok(before.is_none_or(|it| said.get(FIELD) == Some(&*it.id)))
}

/// What is to be agreed to, as it is asked of whoever bought the same a moment ago.
pub fn asked_of(agree: Agree, before: &PaymentView, now: Timestamp) -> Agree {
    let since = now.millis() - before.payment.created_at;
    let ago = if since < Span::MINUTE.millis() {
        "a moment ago".to_owned()
    } else {
        format!("{} ago", show::span(Span::from_millis(since)))
    };
    let credits = rows::exactly(billing::money::Credits::from_micros(before.payment.credits));
    let (said, instead) = if before.payment.status() == Status::Succeeded {
        let said = format!("You bought {credits} credits {ago}, and they are on your account. Buy as many again?");
        (said, "See that purchase")
    } else {
        let said = format!(
            "You began to buy {credits} credits {ago}, and have not finished paying. This would be a second payment."
        );
        (said, "Go on with the first")
    };
    Agree {
        title: "Buy again?".to_owned(),
        warning: Some(agree.warning.into_iter().chain([said]).collect::<Vec<_>>().join(" ")),
        button: format!("Buy again for {}", show::money(before.payment.money(before.payment.total()))),
        instead: (format!("{PATH}/payments/{}", before.id), instead),
        ..agree
    }
}
