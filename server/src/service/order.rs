//! What a caller orders, made into priced work. The parse step of everything that spends.
use std::mem;
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::{Command, Work};
use billing::money::Credits;
use billing::rating::{Price, PriceLine, RateCard, RateCards, Text, Usage};
use billing::time::Timestamp;
use siphasher::sip128::SipHasher24;
use store::NameHash;

use super::{Answer, Error};
use crate::app::{App, Known};
use crate::turnstile::{Key, Once, Part};

/// Bytes of what a customer reads as the reason of something.
const REASON_BYTES_MAX: usize = 500;
/// The longest idempotency key.
const KEY_LENGTH_MAX: usize = 255;
/// The longest caller's metadata, as JSON text.
pub const METADATA_BYTES_MAX: usize = 4_096;
/// The longest dimension value.
pub const DIMENSION_LENGTH_MAX: usize = 256;
/// The dimension that says since what something is new, beside the one of which each value is paid for once.
const SINCE: &str = "since";

/// Whether a text may be an idempotency key: 1 to 255 visible ASCII characters.
pub fn is_key(text: &str) -> bool {
    (1..=KEY_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic())
}

/// Usage as a caller tells it, before it has a price.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub meter: Text,
    /// In any order; a name twice is refused.
    pub quantities: Vec<(Text, u64)>,
    pub dimensions: Vec<(Text, Text)>,
    pub project: Option<Name>,
    /// When it happened; now where nothing is said.
    pub at: Option<Timestamp>,
    pub actor: Option<Name>,
    pub resource: Option<Name>,
    /// A JSON object.
    pub metadata: Option<Text>,
    pub evidence: Option<Evidence>,
}

/// What a measurer counted and how, as JSON. It changes no price.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// As it is kept: short.
    pub kept: Text,
    /// As the caller wrote it, where the measurer was the caller's: the same request says the same.
    pub told: Option<Text>,
}

/// A charge as a caller asks for it.
#[derive(Clone, Debug)]
pub struct ChargeOrder {
    pub account: Name,
    pub order: Order,
    pub key: Text,
    /// Name of the API key that asks.
    pub by: Text,
}

impl Order {
    /// The usage of this order, sorted as rating wants it.
    pub(super) fn usage(&self) -> Result<Usage, Refusal> {
        usage_of(Arc::clone(&self.meter), self.quantities.clone(), self.dimensions.clone())
    }

    /// Like `usage`, for an order that will not be asked again: takes its meter, quantities and dimensions away.
    pub(super) fn take_usage(&mut self) -> Result<Usage, Refusal> {
        usage_of(mem::take(&mut self.meter), mem::take(&mut self.quantities), mem::take(&mut self.dimensions))
    }

    /// This order as work at a price that was found for it.
    pub(super) fn work(&self, known: &Known, usage: Usage, price: Price, now: Timestamp) -> Result<Work, Refusal> {
        self.clone().into_work(known, usage, price, now)
    }

    /// The same, of an order that is not needed any more.
    pub(super) fn into_work(self, known: &Known, usage: Usage, price: Price, now: Timestamp) -> Result<Work, Refusal> {
        if self.metadata.as_ref().is_some_and(|it| METADATA_BYTES_MAX < it.len()) {
            return Err(Refusal::invalid("metadata", "must be at most 4096 bytes of JSON"));
        }
        let occurred_at = self.at.unwrap_or(now);
        Ok(Work {
            usage,
            price,
            project: self.project,
            actor: self.actor,
            resource: self.resource,
            occurred_at,
            hour: known.hour_of(occurred_at),
            quote: None,
            metadata: self.metadata,
            evidence: self.evidence.map(|it| it.kept),
            once: None,
        })
    }

    /// Feeds everything that makes this order what it is to a request's fingerprint.
    pub(super) fn fingerprint(&self, to: &mut Fingerprint) {
        to.text(&self.meter);
        to.number(self.quantities.len() as u64);
        in_order(&self.quantities, |(name, quantity)| {
            to.text(name).number(*quantity);
        });
        to.number(self.dimensions.len() as u64);
        in_order(&self.dimensions, |(name, value)| {
            to.text(name).text(value);
        });
        for name in [&self.project, &self.actor, &self.resource] {
            to.text(name.as_ref().map_or("", Name::as_str));
        }
        to.number(self.at.map_or(u64::MAX, |it| it.millis().unsigned_abs()));
        to.text(self.metadata.as_deref().unwrap_or_default());
        to.evidence(self.evidence.as_ref());
    }
}

fn usage_of(meter: Text, quantities: Vec<(Text, u64)>, dimensions: Vec<(Text, Text)>) -> Result<Usage, Refusal> {
    let quantities = sorted(quantities, "quantities")?;
    let dimensions = sorted(dimensions, "dimensions")?;
    for (name, value) in &dimensions {
        if value.is_empty() || DIMENSION_LENGTH_MAX < value.len() || value.chars().any(char::is_control) {
            let field = format!("dimensions.{name}");
            return Err(Refusal::invalid(field, "must be 1 to 256 printable characters"));
        }
    }
    Ok(Usage { meter, quantities, dimensions })
}

fn sorted<T>(mut pairs: Vec<(Text, T)>, field: &str) -> Result<Vec<(Text, T)>, Refusal> {
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    match pairs.windows(2).find(|it| it[0].0 == it[1].0) {
        Some(twice) => Err(Refusal::invalid(format!("{field}.{}", twice[0].0), "is given twice")),
        None => Ok(pairs),
    }
}

/// Calls `each` in the order of names: a caller's maps have no order of their own.
pub(super) fn in_order<T: Ord>(pairs: &[(Text, T)], each: impl FnMut(&(Text, T))) {
    if pairs.is_sorted() {
        return pairs.iter().for_each(each);
    }
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort();
    sorted.into_iter().for_each(each);
}

/// The card that prices work of `at`.
pub(super) fn in_force(cards: &RateCards, at: Timestamp) -> Result<&Arc<RateCard>, Refusal> {
    cards.in_force(at).ok_or_else(|| Refusal::unpriced("at", "is before the first rate card took effect"))
}

/// The same price, no higher than was promised.
pub(super) fn promised(mut price: Price, most: Credits) -> Price {
    let excess = most.short_of(price.credits);
    if excess.is_positive() {
        price.lines.push(PriceLine {
            item: "quoted: never more than promised".into(),
            quantity: 1,
            unit: "quote".into(),
            unit_price: -excess,
            per: 1,
            credits: -excess,
        });
        price.credits = most;
    }
    price
}

impl App {
    /// The card that prices work of `at`.
    pub(super) fn card_at(&self, at: Timestamp) -> Result<Arc<RateCard>, Refusal> {
        in_force(&self.cards(), at).cloned()
    }

    /// The caller's key, checked, with the fingerprint of what it came with.
    pub(super) fn key(&self, account: AccountNumber, text: &Text, request: Fingerprint) -> Result<Key, Refusal> {
        if !is_key(text) {
            return Err(Refusal::invalid("idempotency_key", "must be 1 to 255 visible ASCII characters"));
        }
        Ok(Key { name: NameHash::key(account, text), text: Arc::clone(text), request: request.finish() })
    }
}

/// Says in `work` what it is paid for once by, where the card charges it so. What is free anyway pays for nothing.
pub(super) fn say_once(work: &mut Work, card: &RateCard) {
    work.once = card.once_per(&work.usage).filter(|_| work.price.credits.is_positive()).cloned();
}

/// What becomes of work that is paid for once, if it is paid for already: `with` the same work, free. And if it is only
/// what is new since something that was never paid for: `with` work that pays for itself alone, not for the whole.
pub(super) fn once(account: AccountNumber, work: &Work, with: impl Fn(Arc<Work>) -> Command) -> Option<Box<Once>> {
    let (meter, value) = work.paid_once()?;
    let name = |value: &str| NameHash::once(account, meter, value);
    let part = since_of(&work.usage).map(|since| {
        let once = work.once.as_ref().map(|it| format!("{it} {SINCE}").into());
        let command = with(Arc::new(Work { once, ..work.clone() }));
        Part { since: name(since), name: name(&part_of(&value, since)), command }
    });
    Some(Box::new(Once { name: name(&value), part, waived: with(Arc::new(work.again())) }))
}

/// The state that work is only what is new since, if it is.
pub(super) fn since_of(usage: &Usage) -> Option<&Text> {
    usage.dimensions.iter().find(|it| &*it.0 == SINCE).map(|it| &it.1)
}

/// What tells what is new in `value` since another from all other work. No value of a dimension has such a character.
pub(super) fn part_of(value: &str, since: &str) -> String {
    format!("{value}\0{since}")
}

/// A fingerprint of a request: what makes two requests under one key the same. What it is of is gathered first, and
/// hashed in one go: a hash that is fed a word at a time takes three times as long.
pub(super) struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// About what a charge comes to.
    const BYTES: usize = 512;

    /// `verb` keeps requests of different kinds apart.
    pub fn of(verb: &str) -> Fingerprint {
        let mut it = Fingerprint(Vec::with_capacity(Self::BYTES));
        it.text(verb);
        it
    }
    pub fn text(&mut self, text: &str) -> &mut Fingerprint {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }
    pub fn number(&mut self, number: u64) -> &mut Fingerprint {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }
    pub fn credits(&mut self, credits: Option<Credits>) -> &mut Fingerprint {
        let micros = credits.map(|it| it.micros().cast_unsigned());
        self.number(u64::from(micros.is_some())).number(micros.unwrap_or_default())
    }
    /// Nothing where nothing was told: requests that came before anybody could are what they were.
    pub fn evidence(&mut self, evidence: Option<&Evidence>) -> &mut Fingerprint {
        match evidence.and_then(|it| it.told.as_ref()) {
            // No name or text is as long as that.
            Some(told) => self.number(u64::MAX).text(told),
            None => self,
        }
    }
    pub fn finish(&self) -> u128 {
        SipHasher24::new_with_keys(0x5363_7269_702d_7265, 0x7175_6573_742d_6870).hash(&self.0).as_u128()
    }
}

impl App {
    /// What a key led to before, where the same would be refused now. Prices, plans and quotes come and go; what was
    /// answered once is the answer for ever, and whoever asks again must not take it for undone.
    ///
    /// # Errors
    /// The refusal, when the key is new; a conflict, when it came with something else.
    pub(super) fn answered_before(&self, account: &Name, key: &Key, refused: Error) -> Result<Answer, Error> {
        let Some(place) = self.store.recall(&[key.name], &[])?.named.pop().flatten() else { return Err(refused) };
        let transaction = self.store.transaction(place)?.ok_or_else(|| {
            store::Fault::new("replaying a request", format!("{place} is named and not in the journal"))
        })?;
        if transaction.origin.request != key.request {
            return Err(Refusal::IdempotencyConflict.into());
        }
        Ok(Answer { account: account.clone(), transaction, is_replay: true })
    }
}

/// Whether a customer can read a reason: of a grant, a refund, a reversal, wherever it was given.
///
/// # Errors
/// When nobody could.
pub fn check_reason(reason: &str) -> Result<(), Refusal> {
    let fits = (1..=REASON_BYTES_MAX).contains(&reason.len()) && !reason.chars().any(char::is_control);
    let why = "must be 1 to 500 bytes without control characters: the customer reads it";
    if fits { Ok(()) } else { Err(Refusal::invalid("reason", why)) }
}

/// What the turnstile did, or why it did nothing.
pub(super) fn done(turned: crate::turnstile::Turned) -> Result<(Arc<billing::ledger::Transaction>, bool), Error> {
    use crate::turnstile::Turned;
    match turned {
        Turned::Done { transaction, is_replay } => Ok((transaction, is_replay)),
        Turned::Refused(refusal) => Err(Error::Refused(refusal)),
        Turned::Overtaken | Turned::Busy => Err(Error::Busy),
        Turned::Idle | Turned::Unfinished => unreachable!("an ask with a command is done or refused"),
        Turned::Fault => Err(Error::Fault(store::Fault::new("changing a book", "see the log"))),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use siphasher::sip128::Hasher128 as _;

    use super::*;

    #[test]
    fn a_reason_is_what_a_customer_can_read() {
        let (fits, long) = ("x".repeat(500), "x".repeat(501));
        for reason in ["An outage on the 3rd", "Gestört: ≈ 2 h", &fits] {
            assert_eq!(check_reason(reason), Ok(()));
        }
        for reason in ["", &long, "two\nlines", "a bell \u{7}"] {
            assert!(check_reason(reason).is_err(), "{reason:?}");
        }
    }

    #[test]
    fn evidence_makes_another_request_where_the_caller_told_it() {
        let with = |evidence| {
            let mut request = Fingerprint::of("charge");
            Order { evidence, ..Order::default() }.fingerprint(&mut request);
            request.finish()
        };
        let kept = Text::from("{}");
        let told = |text: &str| with(Some(Evidence { kept: Arc::clone(&kept), told: Some(text.into()) }));
        // Measured here it follows from what was sent; so it was before anybody could tell any.
        assert_eq!(with(None), with(Some(Evidence { kept: Arc::clone(&kept), told: None })));
        assert_ne!(with(None), told("{}"));
        assert_ne!(told("{}"), told("{ }"));
    }

    #[test]
    fn a_fingerprint_is_what_stores_have_of_it() {
        // Journals are full of them: they were fed to the hash a word at a time once.
        let mut fed = SipHasher24::new_with_keys(0x5363_7269_702d_7265, 0x7175_6573_742d_6870);
        for word in ["verb", "a text of some length, and é"] {
            fed.write(&(word.len() as u64).to_le_bytes());
            fed.write(word.as_bytes());
        }
        fed.write(&7_u64.to_le_bytes());
        let mut gathered = Fingerprint::of("verb");
        gathered.text("a text of some length, and é").number(7);
        assert_eq!(gathered.finish(), fed.finish128().as_u128());
    }
}
