//! Names: those the platform chooses, and those Scrip makes.
//!
//! An id that Scrip makes says when it was made, in whose account, and by which transaction. So ids sort by time, and
//! what an id names is found by reading one transaction: no index from ids to places exists anywhere.
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use crate::time::Timestamp;

/// The longest name a platform may choose.
pub const NAME_LENGTH_MAX: usize = 128;

/// A name chosen by the platform: an account, a project, an actor, a server. 1–128 of `[A-Za-z0-9._:@-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// The text is empty, too long, or has a character a name may not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseNameError;

impl fmt::Display for ParseNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ -")
    }
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseNameError;
    fn from_str(text: &str) -> Result<Name, ParseNameError> {
        let allowed = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b':' | b'@' | b'-');
        let fits = (1..=NAME_LENGTH_MAX).contains(&text.len());
        if fits && text.bytes().all(allowed) { Ok(Name(text.into())) } else { Err(ParseNameError) }
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account's number inside Scrip: 48 random bits, given once at registration. Random, so that an id tells nobody
/// how many customers a platform has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNumber(u64);

impl AccountNumber {
    pub const BITS: u32 = 48;

    /// Keeps the low 48 bits of `random`.
    pub const fn from_random(random: u64) -> AccountNumber {
        AccountNumber(random & ((1 << AccountNumber::BITS) - 1))
    }
    pub const fn get(self) -> u64 {
        self.0
    }
}
impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", self.0)
    }
}
impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a transaction stands: the account, and its place in that account's journal, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    pub account: AccountNumber,
    pub version: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, version {}", self.account, self.version)
    }
}

/// 44 bits of milliseconds (to the year 2527), 48 bits of account number, 36 bits of version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Stamp(u128);

impl Stamp {
    const VERSION_BITS: u32 = 36;
    const DIGITS: usize = 26;
    /// Crockford's base 32: no I, L, O or U, and ASCII order is numeric order.
    const ALPHABET: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    fn new(at: Timestamp, place: Place) -> Stamp {
        assert!(place.version < 1 << Stamp::VERSION_BITS, "an account's journal has at most 2^36 transactions");
        let millis = u128::try_from(at.millis()).expect("nothing happened before 1970");
        assert!(millis < 1 << 44, "ids end in the year 2527");
        let account = u128::from(place.account.get()) << Stamp::VERSION_BITS;
        Stamp(millis << (Stamp::VERSION_BITS + AccountNumber::BITS) | account | u128::from(place.version))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the masks keep what fits")]
    fn place(self) -> Place {
        let version = (self.0 & ((1 << Stamp::VERSION_BITS) - 1)) as u64;
        let account = AccountNumber::from_random((self.0 >> Stamp::VERSION_BITS) as u64);
        Place { account, version }
    }

    fn at(self) -> Timestamp {
        let millis = self.0 >> (Stamp::VERSION_BITS + AccountNumber::BITS);
        Timestamp::from_millis(i64::try_from(millis).expect("44 bits are left"))
    }

    fn parse(digits: &str) -> Option<Stamp> {
        if digits.len() != Stamp::DIGITS {
            return None;
        }
        let mut value: u128 = 0;
        for digit in digits.bytes() {
            let worth = Stamp::ALPHABET.iter().position(|it| *it == digit)?;
            // 26 digits hold 130 bits: the first may only be 0 to 7.
            value = value.checked_mul(32)?.checked_add(worth as u128)?;
        }
        Some(Stamp(value))
    }
}

/// An id as text, without room of its own to keep it in.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; IdText::LENGTH_MAX],
    length: usize,
}

impl IdText {
    const LENGTH_MAX: usize = 16 + Stamp::DIGITS;

    fn new(prefix: &str, stamp: Stamp) -> IdText {
        let mut bytes = [b'_'; IdText::LENGTH_MAX];
        bytes[..prefix.len()].copy_from_slice(prefix.as_bytes());
        let length = prefix.len() + 1 + Stamp::DIGITS;
        let mut value = stamp.0;
        for digit in bytes[prefix.len() + 1..length].iter_mut().rev() {
            *digit = Stamp::ALPHABET[(value % 32) as usize];
            value /= 32;
        }
        IdText { bytes, length }
    }
}

impl core::ops::Deref for IdText {
    type Target = str;
    fn deref(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).expect("prefixes and the alphabet are ASCII")
    }
}

/// The text is not an id of the kind asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseIdError;

macro_rules! ids { ($($(#[$doc:meta])* $name:ident $prefix:literal)*) => { $(
    $(#[$doc])*
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct $name(Stamp);

    impl $name {
        pub const PREFIX: &'static str = $prefix;

        /// The id of what the transaction at `place`, decided `at`, made.
        pub fn new(at: Timestamp, place: Place) -> $name {
            $name(Stamp::new(at, place))
        }
        /// The transaction that made it.
        pub fn place(self) -> Place {
            self.0.place()
        }
        pub fn text(self) -> IdText {
            IdText::new($prefix, self.0)
        }
        /// When that was.
        pub fn made_at(self) -> Timestamp {
            self.0.at()
        }
    }
    impl fmt::Display for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.text())
        }
    }
    impl fmt::Debug for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(self, f)
        }
    }
    impl FromStr for $name {
        type Err = ParseIdError;
        fn from_str(text: &str) -> Result<$name, ParseIdError> {
            let digits = text.strip_prefix(concat!($prefix, "_")).ok_or(ParseIdError)?;
            Stamp::parse(digits).map($name).ok_or(ParseIdError)
        }
    }
)* } }

ids! {
    /// A charge: credits for work done.
    ChargeId "charge"
    /// Credits with a source, an expiry and what remains of them.
    GrantId "grant"
    /// Credits reserved for work under way.
    HoldId "hold"
    /// One attempt to collect money. Not every payment comes of a transaction: those that do not have a place of their
    /// own that no transaction reaches.
    PaymentId "payment"
    /// Money on its way back.
    RefundId "refund"
    /// An invoice or a credit note.
    InvoiceId "invoice"
    /// A card or another way to pay.
    PaymentMethodId "method"
    /// An agreement to buy credits each period.
    SubscriptionId "subscription"
    /// Where a platform hears of what happened.
    EndpointId "endpoint"
    /// One notice on its way to one endpoint.
    DeliveryId "delivery"
    /// Any transaction, as the ledger lists it.
    EntryId "entry"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "acct_1", "org:team@example.com", "A-B.c", &"x".repeat(128)] {
            assert_eq!(good.parse::<Name>().unwrap().to_string(), *good);
        }
        for bad in ["", " ", "a b", "a/b", "../x", "é", "a\0", "a\n", &"x".repeat(129)] {
            assert_eq!(bad.parse::<Name>(), Err(ParseNameError), "{bad}");
        }
    }

    #[test]
    fn ids_sort_by_time_and_lead_home() {
        let place = |version| Place { account: AccountNumber::from_random(u64::MAX), version };
        let text = |millis, version| ChargeId::new(Timestamp::from_millis(millis), place(version)).to_string();
        let ids = [text(1_795_000_000_000, 7), text(1_795_000_000_000, 8), text(1_795_000_000_001, 1)];
        assert!(ids.is_sorted());
        for (id, version) in ids.iter().zip([7, 8, 1]) {
            assert_eq!(id.parse::<ChargeId>().unwrap().place(), place(version));
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        let id = GrantId::new(Timestamp::from_millis(5), Place { account: AccountNumber::from_random(3), version: 1 });
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.parse::<ChargeId>(), Err(ParseIdError));
        let mut long = String::from(&text);
        long.push('0');
        for bad in [&text[..text.len() - 1], &long, "grant_", "grant_zzzzzzzzzzzzzzzzzzzzzzzzzz", &text.to_uppercase()]
        {
            assert_eq!(bad.parse::<GrantId>(), Err(ParseIdError), "{bad}");
        }
    }
}
