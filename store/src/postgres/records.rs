//! What is remembered beside the journal, written: each change as a statement, and what it means when that touches no
//! row.
use billing::id::AccountNumber;
use billing::time::Timestamp;
use tokio_postgres::types::ToSql;

use super::numbering::Numbering;
use super::rows::signed;
use super::session::Asked;
use super::trouble::Trouble;
use crate::{Account, ApiKey, Audit, CardRecord, Change, Document, Project, QuoteRecord, Reply};

pub const REGISTER: &str = "insert into accounts \
    (number, id, at, name, email, currency, timezone, address, tax_id, closed_at) \
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing";
pub const FINGERPRINT: &str = "insert into fingerprints (fingerprint, account) values ($1, $2) on conflict do nothing";
/// What an account is found by: written anew with each of its states.
pub const CALL: &str = "insert into account_words (word, account)
    select word, $2::bigint from unnest($1::text[]) as word on conflict do nothing";
pub const UNCALL: &str = "delete from account_words where account = $1";
/// All that may change is compared with what its writer read. A version would have to be counted by every writer, and
/// programs of before, which may serve beside this one, count none.
pub const CHANGE_ACCOUNT: &str = "update accounts set name = $2, email = $3, currency = $4, timezone = $5, \
    address = $6, tax_id = $7, closed_at = $8, \
    changed_at = (extract(epoch from statement_timestamp()) * 1000)::bigint \
    where number = $1 and name is not distinct from $9 and email is not distinct from $10 and currency = $11 \
    and timezone = $12 and address is not distinct from $13 and tax_id is not distinct from $14 \
    and closed_at is not distinct from $15 and (closed_at is null or $8::bigint is not null)";
pub const PUT_PROJECT: &str = "insert into projects (account, id, name, at, deleted_at) values ($1, $2, $3, $4, $5) \
    on conflict (account, id) do update set name = excluded.name, at = excluded.at, deleted_at = excluded.deleted_at";
pub const ADD_CARD: &str = "insert into rate_cards (version, effective_at, at, by, document) \
    values ($1, $2, $3, $4, $5) on conflict do nothing";
/// Numbered without a sequence: whoever took the number first makes the other try again.
pub const PUT_KEY: &str = "insert into api_keys (id, number, name, hash, scopes, at, revoked_at) \
    select $1::text, coalesce(max(number), 0) + 1, $2::text, $3::bytea, $4::text, $5::bigint, $6::bigint \
    from api_keys on conflict (id) do update set name = excluded.name, hash = excluded.hash, \
    scopes = excluded.scopes, at = excluded.at, revoked_at = excluded.revoked_at";
pub const ADD_DOCUMENT: &str = "insert into documents (account, kind, id, version, at, due_at, body) \
    values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
pub const CHANGE_DOCUMENT: &str = "update documents set version = $4, at = $5, due_at = $6, body = $7 \
    where account = $1 and kind = $2 and id = $3 and version + 1 = $4";
pub const FORGET_DOCUMENT: &str = "delete from documents where account = $1 and kind = $2 and id = $3 and version = $4";
pub const ADD_QUOTE: &str =
    "insert into quotes (account, id, expires_at, body) values ($1, $2, $3, $4) on conflict do nothing";
pub const ADD_REPLY: &str =
    "insert into replies (key, request, status, body) values ($1, $2, $3, $4) on conflict do nothing";
pub const ADD_AUDIT: &str =
    "insert into audit (number, at, by, action, subject, detail) values ($1, $2, $3, $4, $5, $6)";

/// What it means that a statement touched no row.
#[derive(Clone, Copy)]
enum OnNothing {
    Stale,
    Repeated,
    Fine,
}

/// A statement with all it is given.
pub struct Write {
    sql: &'static str,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
    on_nothing: OnNothing,
}

impl Write {
    pub fn asked(&self) -> Asked<'_> {
        (self.sql, self.params.iter().map(|it| &**it as &(dyn ToSql + Sync)).collect())
    }

    /// What it means that `touched` rows were.
    pub fn check(&self, touched: u64) -> Result<(), Trouble> {
        match self.on_nothing {
            OnNothing::Fine => Ok(()),
            _ if 0 < touched => Ok(()),
            OnNothing::Stale => Err(Trouble::Stale),
            OnNothing::Repeated => Err(Trouble::Repeated),
        }
    }
}

/// What it means that a key was taken, if one of `writes` may have met it.
pub fn meant(trouble: Trouble, writes: &[Write]) -> Trouble {
    let Trouble::Taken(constraint) = &trouble else { return trouble };
    let wrote = |sql| writes.iter().any(|it| it.sql == sql);
    // Where tables are spread over machines, a constraint's name goes on with the number of its part.
    if constraint.contains("api_keys_name") && wrote(PUT_KEY) {
        return Trouble::Repeated;
    }
    let is_number = constraint.contains("api_keys_number") || constraint.contains("audit_pkey");
    if is_number { Trouble::Again } else { trouble }
}

macro_rules! write {
    ($sql:ident, $on_nothing:ident, $($param:expr),+) => {
        vec![Write { sql: $sql, params: vec![$(Box::new($param)),+], on_nothing: OnNothing::$on_nothing }]
    };
}

/// The statements of a change that is not a post; `audits` gives the audit log's lines their numbers.
pub fn writes(change: &Change, audits: &Numbering) -> Vec<Write> {
    match change {
        Change::Post(_) => unreachable!("posts go to the journal"),
        Change::Register { account, fingerprints } => {
            let mut writes = register(account);
            writes.extend(call(account));
            writes.extend(remember(account.number, fingerprints));
            writes
        }
        Change::Fingerprints { account, fingerprints } => remember(*account, fingerprints),
        Change::Account { was, account } => {
            let mut writes = change_account(was, account);
            writes.extend(write!(UNCALL, Fine, signed(account.number.get())));
            writes.extend(call(account));
            writes
        }
        Change::Project(it) => write_project(it),
        Change::RateCard(CardRecord { version, effective_at, created_at, by, document }) => {
            let version = i64::from(*version);
            write!(ADD_CARD, Stale, version, effective_at.millis(), created_at.millis(), by.clone(), document.clone())
        }
        Change::ApiKey(it) => write_key(it),
        Change::Document(it) => write_document(it),
        Change::Arrived(it) => write_document(it)
            .into_iter()
            .map(|write| Write { sql: ADD_DOCUMENT, on_nothing: OnNothing::Repeated, ..write })
            .collect(),
        Change::Forget(it) => {
            let (number, version) = (signed(it.account.get()), signed(it.version));
            write!(FORGET_DOCUMENT, Stale, number, it.kind.clone(), it.id.clone(), version)
        }
        Change::Quote(QuoteRecord { account, id, expires_at, body }) => {
            write!(ADD_QUOTE, Repeated, signed(account.get()), id.clone(), expires_at.millis(), body.clone())
        }
        Change::Reply(Reply { key, request, status, body }) => {
            let (key, request) = (key.0.to_vec(), request.to_be_bytes().to_vec());
            write!(ADD_REPLY, Repeated, key, request, i64::from(*status), body.clone())
        }
        Change::Audit(Audit { at, by, action, subject, detail }) => {
            let (number, at) = (audits.next(*at), at.millis());
            write!(ADD_AUDIT, Stale, number, at, by.clone(), action.clone(), subject.clone(), detail.clone())
        }
    }
}

fn register(it: &Account) -> Vec<Write> {
    let mut params: Vec<Box<dyn ToSql + Sync + Send>> =
        vec![Box::new(signed(it.number.get())), Box::new(it.id.to_string()), Box::new(it.created_at.millis())];
    params.extend(profile(it));
    vec![Write { sql: REGISTER, params, on_nothing: OnNothing::Repeated }]
}

fn remember(account: AccountNumber, fingerprints: &[[u8; 32]]) -> Vec<Write> {
    let number = signed(account.get());
    fingerprints.iter().flat_map(|it| write!(FINGERPRINT, Repeated, it.to_vec(), number)).collect()
}

fn change_account(was: &Account, it: &Account) -> Vec<Write> {
    let mut params: Vec<Box<dyn ToSql + Sync + Send>> = vec![Box::new(signed(it.number.get()))];
    params.extend(profile(it).into_iter().chain(profile(was)));
    vec![Write { sql: CHANGE_ACCOUNT, params, on_nothing: OnNothing::Stale }]
}

/// What of an account may change.
fn profile(it: &Account) -> [Box<dyn ToSql + Sync + Send>; 7] {
    [
        Box::new(it.name.clone()),
        Box::new(it.email.clone()),
        Box::new(it.currency.as_str().to_owned()),
        Box::new(it.timezone.clone()),
        Box::new(it.address.clone()),
        Box::new(it.tax_id.clone()),
        Box::new(it.closed_at.map(Timestamp::millis)),
    ]
}

fn call(it: &Account) -> Vec<Write> {
    write!(CALL, Fine, it.words().into_iter().collect::<Vec<_>>(), signed(it.number.get()))
}

fn write_project(it: &Project) -> Vec<Write> {
    let (created_at, deleted_at) = (it.created_at.millis(), it.deleted_at.map(Timestamp::millis));
    write!(PUT_PROJECT, Stale, signed(it.account.get()), it.id.to_string(), it.name.clone(), created_at, deleted_at)
}

fn write_key(it: &ApiKey) -> Vec<Write> {
    let (hash, scopes) = (it.hash.to_vec(), it.scopes.join(" "));
    let revoked_at = it.revoked_at.map(Timestamp::millis);
    write!(PUT_KEY, Stale, it.id.clone(), it.name.clone(), hash, scopes, it.created_at.millis(), revoked_at)
}

fn write_document(it: &Document) -> Vec<Write> {
    let sql = if it.version == 1 { ADD_DOCUMENT } else { CHANGE_DOCUMENT };
    let (number, version, at) = (signed(it.account.get()), signed(it.version), it.at.millis());
    let due_at = it.due_at.map(Timestamp::millis);
    write!(sql, Stale, number, it.kind.clone(), it.id.clone(), version, at, due_at, it.body.clone())
}
