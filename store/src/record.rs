//! What is remembered beside the journal. Plain values; who may change them, and when, is decided above.
use std::collections::BTreeSet;

use billing::id::{AccountNumber, Name};
use billing::money::Currency;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};

use crate::NameHash;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub number: AccountNumber,
    pub id: Name,
    pub created_at: Timestamp,
    pub name: Option<String>,
    pub email: Option<String>,
    pub currency: Currency,
    /// IANA name; days and months are cut by it.
    pub timezone: String,
    /// The billing address as the caller's JSON object.
    pub address: Option<String>,
    pub tax_id: Option<String>,
    pub closed_at: Option<Timestamp>,
}

/// Words of an account beyond these are not found.
const WORDS_MAX: usize = 40;

impl Account {
    /// What it is found by: its id and e-mail address whole, and each word of them and of its name, in lower case.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let texts =
            [Some(self.id.as_str()), self.email.as_deref(), self.name.as_deref()].map(Option::unwrap_or_default);
        let whole = texts[..2].iter().map(|it| it.to_lowercase());
        let parts = texts.iter().flat_map(|it| it.split(|c: char| !c.is_alphanumeric())).map(str::to_lowercase);
        whole.chain(parts).filter(|it| !it.is_empty()).take(WORDS_MAX).collect()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    pub account: AccountNumber,
    pub id: Name,
    pub name: Option<String>,
    pub created_at: Timestamp,
    /// A deleted project keeps its history and still adds up.
    pub deleted_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardRecord {
    pub version: u32,
    pub effective_at: Timestamp,
    pub created_at: Timestamp,
    /// Name of the API key that uploaded it.
    pub by: String,
    /// The card in its canonical JSON.
    pub document: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// `key_…`, to name it by.
    pub id: String,
    pub name: String,
    /// SHA-256 of the secret; the secret itself is shown once and kept nowhere.
    pub hash: [u8; 32],
    /// `charge`, `read`, `billing`, `admin`.
    pub scopes: Vec<String>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// A promised price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuoteRecord {
    pub account: AccountNumber,
    pub id: String,
    pub expires_at: Timestamp,
    /// What was quoted, as JSON.
    pub body: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub key: NameHash,
    /// Fingerprint of the request it answered.
    pub request: u128,
    pub status: u16,
    pub body: String,
}

/// A thing with a life of its own beside the ledger: a payment, a subscription, a notice on its way. Its newest state
/// is kept, under a version that only ever goes up by one.
///
/// What is due at an instant is its own job: whoever does the job first commits the next version, with `due_at` a lease
/// away, and so has claimed it; should that process die, the document is due again when the lease is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Whose it is; [`Document::HOUSE`] for what belongs to no account.
    pub account: AccountNumber,
    /// `payment`, `plan`: what its body is to be read as.
    pub kind: String,
    /// Unique within its account and kind. Lists are in the order of ids.
    pub id: String,
    /// Counts its states from 1.
    pub version: u64,
    /// When this state was written.
    pub at: Timestamp,
    /// When somebody has to look at it again; None for never.
    pub due_at: Option<Timestamp>,
    /// Its state, as JSON.
    pub body: String,
}

/// Which kinds of documents are asked for. Work that may be slow has a queue of its own, so that it keeps no other
/// waiting.
#[derive(Clone, Copy, Debug)]
pub enum Kinds<'a> {
    Of(&'a [&'a str]),
    But(&'a [&'a str]),
}

impl Kinds<'_> {
    pub const ALL: Kinds<'static> = Kinds::But(&[]);

    pub(crate) fn has(self, kind: &str) -> bool {
        match self {
            Kinds::Of(kinds) => kinds.contains(&kind),
            Kinds::But(others) => !others.contains(&kind),
        }
    }
}

impl Document {
    /// Holds what belongs to no account, such as the packages on sale. No account has this number.
    pub const HOUSE: AccountNumber = AccountNumber::from_random(0);

    /// Kinds that the stores' own indexes name: payments are found by their time, and the others never pass, however
    /// long they rest.
    pub const PAYMENT: &str = "payment";
    pub const ACCOUNT_MONTH: &str = "account_month";
    pub const HOUSE_MONTH: &str = "house_month";
    pub const REQUEST: &str = "request";
    pub const UTILISATION: &str = "utilisation";
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    pub at: Timestamp,
    pub by: String,
    /// What was done: `rate_card.upload`, `grant.void`.
    pub action: String,
    /// To what.
    pub subject: String,
    pub detail: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageRow {
    pub key: UsageKey,
    pub sum: UsageSum,
}

/// Those that begin with `beginning` lie from it up to this.
pub(crate) fn end_of(beginning: &str) -> String {
    format!("{beginning}{}", char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the SQL calls a kind is what those who write such documents call it.
    #[test]
    fn the_sql_names_the_kinds_that_documents_have() {
        let kinds = [
            Document::PAYMENT,
            Document::ACCOUNT_MONTH,
            Document::HOUSE_MONTH,
            Document::REQUEST,
            Document::UTILISATION,
        ];
        let migrations = [
            [include_str!("../migrations/journal_1.sql"), include_str!("../migrations/journal_2.sql")],
            [include_str!("../migrations/postgres_1.sql"), include_str!("../migrations/postgres_3.sql")],
        ];
        let statements = |sql: [&str; 2]| sql.concat().split(';').filter(|it| it.contains(" on documents ")).collect();
        let indexes: [String; 2] = migrations.map(statements);
        let [sqlite, postgres] = [include_str!("sqlite/records.rs"), include_str!("postgres/documents.rs")];
        for text in [sqlite, postgres, &indexes[0], &indexes[1]] {
            let after = |sign: &str| text.split(sign).skip(1).filter_map(|it| it.split('\'').next()).collect();
            let named: [Vec<&str>; 2] = [after("kind = '"), after("kind <> '")];
            assert_eq!(BTreeSet::from_iter(named.concat()), BTreeSet::from(kinds));
        }
    }
}
