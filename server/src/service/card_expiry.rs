//! Cards that will expire: told of a month and a week before, so that nothing fails on the day.
//!
//! A document beside each card says when to look next. Must never decide what an expired card means: the bank does.
use billing::calendar::Date;
use billing::id::AccountNumber;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, Document};

use super::Error;
use super::documents::{Kept, read};
use super::money_news::{card_cause, card_news};
use super::notices::Happening;
use super::payment_methods::{self, PaymentMethod};
use crate::app::App;

pub(super) const KIND: &str = "card_expiry";

/// How many days before its end a card is told of.
const DAYS_BEFORE: [i64; 2] = [30, 7];

/// When a card is to be looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Watch {
    month: u8,
    year: u16,
    /// How often it was told of with this date.
    told: usize,
}

/// The instant from which a card is not valid any more: the end of its month.
fn expires_at(year: u16, month: u8) -> Option<Timestamp> {
    Date::new(i32::from(year), month, 1).map(|it| it.plus_months(1).start())
}

impl Watch {
    fn of(card: &PaymentMethod) -> Watch {
        Watch { month: card.expiry_month, year: card.expiry_year, told: 0 }
    }

    fn is_of(&self, card: &PaymentMethod) -> bool {
        (self.month, self.year) == (card.expiry_month, card.expiry_year)
    }

    /// When it is to be told of next, and how many days before the end that is.
    fn next(&self) -> Option<(Timestamp, i64)> {
        let days = *DAYS_BEFORE.get(self.told)?;
        Some((expires_at(self.year, self.month)? - Span::DAY.times(days), days))
    }
}

impl App {
    /// The change that has a card watched, to be committed with it; none where its date is watched already.
    pub(super) fn watch_card(
        &self,
        account: AccountNumber,
        id: &str,
        card: &PaymentMethod,
        now: Timestamp,
    ) -> Result<Option<Change>, Error> {
        let found = self.kept::<Watch>(account, KIND, id)?;
        if found.as_ref().is_some_and(|it| it.body.is_of(card)) {
            return Ok(None);
        }
        let fresh = found.unwrap_or_else(|| Kept::new(account, KIND, id.to_owned(), Watch::of(card)));
        let kept = Kept { body: Watch::of(card), ..fresh };
        let due_at = kept.body.next().map(|it| it.0);
        Ok(Some(kept.next(now, due_at)))
    }

    /// A card that is due to be told of.
    pub(super) fn tell_of_expiry(&self, document: Document) -> Result<(), Error> {
        let mut kept = read::<Watch>(document)?;
        let (account, id, now) = (kept.document.account, kept.document.id.clone(), self.now());
        let card = self.kept::<PaymentMethod>(account, payment_methods::KIND, &id)?.map(|it| it.body);
        let Some(card) = card.filter(|it| !it.is_gone && kept.body.is_of(it)) else {
            return self.keep(&[kept.next(now, None)]).map(drop);
        };
        let mut due = None;
        while let Some((at, days)) = kept.body.next().filter(|it| it.0 <= now) {
            // Of those that were missed, the last says it all.
            due = Some((at, days));
            kept.body.told += 1;
        }
        let mut changes = vec![kept.next(now, kept.body.next().map(|it| it.0))];
        let has_expired = expires_at(card.expiry_year, card.expiry_month).is_none_or(|it| it <= now);
        if let Some((_, days)) = due.filter(|_| !has_expired) {
            let cause = card_cause(&id, &card, days);
            // A card that has a date again was told of it when it had it before.
            if !self.is_told(account, Happening::PaymentMethodExpiring, &cause)? {
                changes.push(card_news(account, &id, &card, days, now));
            }
        }
        self.keep(&changes).map(drop)
    }
}
