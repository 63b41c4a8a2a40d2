//! Names a transaction can be found by, as 128 bits that lead home: where accounts are spread over machines, a name
//! says by itself where to look.
use std::hash::Hasher;

use billing::id::{AccountNumber, ChargeId, GrantId, HoldId, PaymentId};
use billing::ledger::Transaction;
use siphasher::sip128::{Hasher128, SipHasher24};

/// A name within one account: 79 bits of hash, one that tells keys from facts, then the 48 of the account's number. Two
/// names of an account never share a hash in practice: it has at most 2^36 transactions, and 2^39 would make one
/// collision likely.
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
    /// The name under which what `self` stands for is paid for, once it was freed `times`: each time it is another, for
    /// a name is settled for ever.
    pub fn after(self, times: u64) -> NameHash {
        if times == 0 { self } else { NameHash::of(self.account(), b'a', &self.counted(times)) }
    }
    /// That all that was paid for what `self` stands for was given back, for the `count`-th time, from 1.
    pub fn freed(self, count: u64) -> NameHash {
        NameHash::of(self.account(), b'f', &self.counted(count))
    }
    /// How often what `self` stands for was freed, which is told by the names that are known.
    ///
    /// # Errors
    /// When it cannot be told whether a name is known.
    pub fn times_freed<E>(self, is_known: impl Fn(NameHash) -> Result<bool, E>) -> Result<u64, E> {
        let mut times = 0;
        while is_known(self.freed(times + 1))? {
            times += 1;
        }
        Ok(times)
    }
    /// What a transaction freed of what was paid for once, where it did.
    pub fn freed_once(transaction: &Transaction) -> Option<NameHash> {
        let (meter, value) = transaction.freed_once()?;
        Some(NameHash::once(transaction.place.account, meter, &value))
    }
    /// What a transaction paid for once, where it did.
    pub fn paid_once(transaction: &Transaction) -> Option<NameHash> {
        let (meter, value) = transaction.paid_once()?;
        Some(NameHash::once(transaction.place.account, meter, &value))
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

    /// That what was unused of a grant was taken back.
    pub fn voided(grant: GrantId) -> NameHash {
        NameHash::of(grant.place().account, b'v', &grant.place().version.to_le_bytes())
    }

    /// Whose name it is.
    pub fn account(self) -> AccountNumber {
        let mut number = [0; 8];
        number[2..].copy_from_slice(&self.0[10..]);
        AccountNumber::from_random(u64::from_be_bytes(number))
    }
    /// Whether it is an idempotency key, and not a fact.
    pub fn is_key(self) -> bool {
        self.0[9] & 1 == 1
    }
    /// The grant a payment paid for.
    pub fn paid(payment: PaymentId) -> NameHash {
        NameHash::of(payment.place().account, b'p', payment.to_string().as_bytes())
    }

    fn counted(self, count: u64) -> [u8; 24] {
        let mut text = [0; 24];
        text[..16].copy_from_slice(&self.0);
        text[16..].copy_from_slice(&count.to_le_bytes());
        text
    }

    fn of(account: AccountNumber, kind: u8, text: &[u8]) -> NameHash {
        let mut hasher = SipHasher24::new_with_keys(0x5363_7269_702d_6e61, 0x6d65_2d68_6173_6821);
        hasher.write_u64(account.get());
        hasher.write_u8(kind);
        hasher.write(text);
        let mut bytes = hasher.finish128().as_bytes();
        bytes[9] = bytes[9] & !1 | u8::from(kind == b'k');
        bytes[10..].copy_from_slice(&account.get().to_be_bytes()[2..]);
        NameHash(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_home() {
        for account in [0, 1, 77 << 40, (1 << AccountNumber::BITS) - 1].map(AccountNumber::from_random) {
            let (key, fact) = (NameHash::key(account, "a"), NameHash::once(account, "m", "a"));
            assert_eq!((key.account(), fact.account()), (account, account));
            assert!(key.is_key() && !fact.is_key());
        }
    }
}
