//! Names a transaction can be found by, as 128-bit hashes.
use std::hash::Hasher;

use billing::id::{AccountNumber, ChargeId, HoldId};
use siphasher::sip128::{Hasher128, SipHasher24};

/// A name within one account. Two names never share a hash in practice: 2^64 names make one collision likely.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameHash(pub [u8; 16]);

impl NameHash {
    /// The caller's idempotency key.
    pub fn key(account: AccountNumber, key: &str) -> NameHash {
        NameHash::of(account, b'k', key.as_bytes())
    }
    /// The key of a request that belongs to no account.
    pub fn house_key(key: &str) -> NameHash {
        NameHash::of(AccountNumber::from_random(0), b'h', key.as_bytes())
    }
    /// What is paid for once: a dimension's value of a meter, such as a repository's tree.
    pub fn once(account: AccountNumber, meter: &str, value: &str) -> NameHash {
        NameHash::of(account, b'o', format!("{meter}\0{value}").as_bytes())
    }
    /// The end of a hold.
    pub fn hold_end(hold: HoldId) -> NameHash {
        NameHash::of(hold.place().account, b'e', &hold.place().version.to_le_bytes())
    }
    /// The `count`-th reversal of a charge, from 1.
    pub fn reversal(charge: ChargeId, count: u64) -> NameHash {
        let mut text = [0; 16];
        text[..8].copy_from_slice(&charge.place().version.to_le_bytes());
        text[8..].copy_from_slice(&count.to_le_bytes());
        NameHash::of(charge.place().account, b'r', &text)
    }
    /// The hold a binding quote was turned into.
    pub fn quote_used(account: AccountNumber, quote: &str) -> NameHash {
        NameHash::of(account, b'q', quote.as_bytes())
    }

    fn of(account: AccountNumber, kind: u8, text: &[u8]) -> NameHash {
        let mut hasher = SipHasher24::new_with_keys(0x5363_7269_702d_6e61, 0x6d65_2d68_6173_6821);
        hasher.write_u64(account.get());
        hasher.write_u8(kind);
        hasher.write(text);
        NameHash(hasher.finish128().as_bytes())
    }
}
