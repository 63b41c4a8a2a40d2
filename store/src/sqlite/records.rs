//! What is remembered beside the journal: small tables, written and read as they are.
use billing::id::{AccountNumber, Name, ParseNameError};
use billing::money::{Currency, ParseCurrencyError};
use billing::time::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{signed, unsigned};
use crate::record::end_of;
use crate::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Document, Fault, Kinds, NameHash, Project, QuoteRecord,
    Reply,
};

const WRITING: &str = "writing a record";
const READING: &str = "reading a record";

/// Does a change that is not a post.
pub fn write(file: &Connection, change: &Change) -> Result<(), CommitError> {
    match change {
        Change::Post(_) => unreachable!("posts go to the journal"),
        Change::Register { account, fingerprints } => register(file, account, fingerprints),
        Change::Fingerprints { account, fingerprints } => remember(file, *account, fingerprints),
        Change::Account { was, account } => profile(file, was, account),
        Change::Project(it) => project(file, it),
        Change::RateCard(it) => {
            let query = "insert into rate_cards (version, effective_at, at, by, document) values (?1, ?2, ?3, ?4, ?5) \
                         on conflict do nothing";
            let (effective_at, at) = (it.effective_at.millis(), it.created_at.millis());
            let added = run(file, query, (it.version, effective_at, at, &it.by, &it.document))?;
            if added == 0 { Err(CommitError::Stale) } else { Ok(()) }
        }
        Change::ApiKey(it) => api_key(file, it),
        Change::Document(it) => document_change(file, it),
        Change::Arrived(it) => arrival(file, it),
        Change::Forget(it) => {
            let query = "delete from documents where account = ?1 and kind = ?2 and id = ?3 and version = ?4";
            let gone = run(file, query, (signed(it.account.get()), &it.kind, &it.id, signed(it.version)))?;
            if gone == 0 { Err(CommitError::Stale) } else { Ok(()) }
        }
        Change::Quote(it) => {
            let query =
                "insert into quotes (account, id, expires_at, body) values (?1, ?2, ?3, ?4) on conflict do nothing";
            let added = run(file, query, (signed(it.account.get()), &it.id, it.expires_at.millis(), &it.body))?;
            if added == 0 { Err(CommitError::Repeated) } else { Ok(()) }
        }
        Change::Reply(it) => {
            let query =
                "insert into replies (key, request, status, body) values (?1, ?2, ?3, ?4) on conflict do nothing";
            let added = run(file, query, (it.key.0, it.request.to_be_bytes(), it.status, &it.body))?;
            if added == 0 { Err(CommitError::Repeated) } else { Ok(()) }
        }
        Change::Audit(it) => {
            let query = "insert into audit (at, by, action, subject, detail) values (?1, ?2, ?3, ?4, ?5)";
            run(file, query, (it.at.millis(), &it.by, &it.action, &it.subject, &it.detail))?;
            Ok(())
        }
    }
}

fn run(file: &Connection, query: &str, columns: impl Params) -> Result<usize, Fault> {
    let fault = |it| Fault::new(WRITING, it);
    file.prepare_cached(query).map_err(fault)?.execute(columns).map_err(fault)
}

fn account_columns(it: &Account) -> impl Params {
    (
        signed(it.number.get()),
        it.id.to_string(),
        it.created_at.millis(),
        it.name.clone(),
        it.email.clone(),
        it.currency.as_str().to_owned(),
        it.timezone.clone(),
        it.address.clone(),
        it.tax_id.clone(),
        it.closed_at.map(Timestamp::millis),
    )
}

fn register(file: &Connection, account: &Account, fingerprints: &[[u8; 32]]) -> Result<(), CommitError> {
    let query = "insert into accounts (number, id, at, name, email, currency, timezone, address, tax_id, closed_at) \
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) on conflict do nothing";
    if run(file, query, account_columns(account))? == 0 {
        return Err(CommitError::Repeated);
    }
    call(file, account)?;
    remember(file, account.number, fingerprints)
}

fn remember(file: &Connection, account: AccountNumber, fingerprints: &[[u8; 32]]) -> Result<(), CommitError> {
    let query = "insert into fingerprints (fingerprint, account) values (?1, ?2) on conflict do nothing";
    for fingerprint in fingerprints {
        if run(file, query, (fingerprint, signed(account.get())))? == 0 {
            return Err(CommitError::Repeated);
        }
    }
    Ok(())
}

/// Writes a profile, if it is still what its writer read: all that may change of it is compared.
fn profile(file: &Connection, was: &Account, it: &Account) -> Result<(), CommitError> {
    let query = "update accounts set name = ?2, email = ?3, currency = ?4, timezone = ?5, address = ?6, tax_id = ?7, \
                 closed_at = ?8 \
                 where number = ?1 and name is ?9 and email is ?10 and currency is ?11 and timezone is ?12 \
                 and address is ?13 and tax_id is ?14 and closed_at is ?15 and (closed_at is null or ?8 is not null)";
    let number = signed(it.number.get());
    let closed_at = |it: &Account| it.closed_at.map(Timestamp::millis);
    let is = params![it.name, it.email, it.currency.as_str(), it.timezone, it.address, it.tax_id, closed_at(it)];
    let before =
        params![was.name, was.email, was.currency.as_str(), was.timezone, was.address, was.tax_id, closed_at(was)];
    let columns = [params![number], is, before].concat();
    if run(file, query, &*columns)? == 0 {
        return Err(CommitError::Stale);
    }
    run(file, "delete from account_words where account = ?1", [number])?;
    Ok(call(file, it)?)
}

/// Writes what an account is found by.
fn call(file: &Connection, it: &Account) -> Result<(), Fault> {
    let query = "insert into account_words (word, account) values (?1, ?2)";
    it.words().iter().try_for_each(|word| run(file, query, (word, signed(it.number.get()))).map(drop))
}

fn project(file: &Connection, it: &Project) -> Result<(), CommitError> {
    let query = "insert into projects (account, id, name, at, deleted_at) values (?1, ?2, ?3, ?4, ?5) on conflict do \
                 update set name = excluded.name, at = excluded.at, deleted_at = excluded.deleted_at";
    let (created_at, deleted_at) = (it.created_at.millis(), it.deleted_at.map(Timestamp::millis));
    run(file, query, (signed(it.account.get()), it.id.as_str(), &it.name, created_at, deleted_at))?;
    Ok(())
}

fn api_key(file: &Connection, it: &ApiKey) -> Result<(), CommitError> {
    let taken = "select 1 from api_keys where name = ?1 and id <> ?2";
    if one(file, taken, (&it.name, &it.id), |_| Ok(()))?.is_some() {
        return Err(CommitError::Repeated);
    }
    let query = "insert into api_keys (id, name, hash, scopes, at, revoked_at) values (?1, ?2, ?3, ?4, ?5, ?6) on \
                 conflict (id) do update set name = excluded.name, hash = excluded.hash, scopes = excluded.scopes, \
                 at = excluded.at, revoked_at = excluded.revoked_at";
    let scopes = it.scopes.join(" ");
    let revoked_at = it.revoked_at.map(Timestamp::millis);
    run(file, query, (&it.id, &it.name, it.hash, scopes, it.created_at.millis(), revoked_at))?;
    Ok(())
}

fn arrival(file: &Connection, it: &Document) -> Result<(), CommitError> {
    let columns = (
        signed(it.account.get()),
        &it.kind,
        &it.id,
        signed(it.version),
        it.at.millis(),
        it.due_at.map(Timestamp::millis),
        &it.body,
    );
    if run(file, ADD_DOCUMENT, columns)? == 0 { Err(CommitError::Repeated) } else { Ok(()) }
}

const ADD_DOCUMENT: &str = "insert into documents (account, kind, id, version, at, due_at, body) \
                            values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing";

fn document_change(file: &Connection, it: &Document) -> Result<(), CommitError> {
    let (number, version) = (signed(it.account.get()), signed(it.version));
    let due_at = it.due_at.map(Timestamp::millis);
    let columns = (number, &it.kind, &it.id, version, it.at.millis(), due_at, &it.body);
    let query = if it.version == 1 {
        ADD_DOCUMENT
    } else {
        "update documents set version = ?4, at = ?5, due_at = ?6, body = ?7 \
         where account = ?1 and kind = ?2 and id = ?3 and version = ?4 - 1"
    };
    if run(file, query, columns)? == 0 { Err(CommitError::Stale) } else { Ok(()) }
}

fn one<T>(
    file: &Connection,
    query: &str,
    columns: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, Fault> {
    let fault = |it| Fault::new(READING, it);
    file.prepare_cached(query).map_err(fault)?.query_row(columns, read).optional().map_err(fault)
}

pub fn all<T>(
    file: &Connection,
    query: &str,
    columns: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Fault> {
    let fault = |it| Fault::new(READING, it);
    let mut statement = file.prepare_cached(query).map_err(fault)?;
    let rows = statement.query_map(columns, read).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

pub const ACCOUNT: &str =
    "select number, id, at, name, email, currency, timezone, address, tax_id, closed_at from accounts";

pub fn read_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        number: number(row, 0)?,
        id: name(row, 1)?,
        created_at: instant(row, 2)?,
        name: row.get(3)?,
        email: row.get(4)?,
        currency: currency(row, 5)?,
        timezone: row.get(6)?,
        address: row.get(7)?,
        tax_id: row.get(8)?,
        closed_at: maybe_instant(row, 9)?,
    })
}

pub fn account(file: &Connection, id: &Name) -> Result<Option<Account>, Fault> {
    one(file, &format!("{ACCOUNT} where id = ?1"), [id.as_str()], read_account)
}

pub fn account_numbered(file: &Connection, number: AccountNumber) -> Result<Option<Account>, Fault> {
    one(file, &format!("{ACCOUNT} where number = ?1"), [signed(number.get())], read_account)
}

pub fn accounts(file: &Connection, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault> {
    let after = after.map_or("", Name::as_str);
    all(file, &format!("{ACCOUNT} where ?1 < id order by id limit ?2"), (after, rows_max(limit)), read_account)
}

pub fn accounts_called(file: &Connection, beginning: &str, limit: usize) -> Result<Vec<Account>, Fault> {
    let query = format!(
        "{ACCOUNT} where number in (select account from account_words where ?1 <= word and word < ?2 order by word \
         limit ?3) order by id"
    );
    let beginning = beginning.to_lowercase();
    all(file, &query, (&beginning, end_of(&beginning), rows_max(limit)), read_account)
}

pub fn fingerprints_known(file: &Connection, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault> {
    let known = |it| one(file, "select 1 from fingerprints where fingerprint = ?1", [it], |_| Ok(()));
    fingerprints.iter().map(|it| Ok(known(it)?.is_some())).collect()
}

pub fn projects(file: &Connection, account: AccountNumber) -> Result<Vec<Project>, Fault> {
    let query = "select account, id, name, at, deleted_at from projects where account = ?1 order by id";
    all(file, query, [signed(account.get())], read_project)
}

pub fn read_project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        account: number(row, 0)?,
        id: name(row, 1)?,
        name: row.get(2)?,
        created_at: instant(row, 3)?,
        deleted_at: maybe_instant(row, 4)?,
    })
}

pub fn rate_cards(file: &Connection) -> Result<Vec<CardRecord>, Fault> {
    all(file, "select version, effective_at, at, by, document from rate_cards order by version", [], |row| {
        Ok(CardRecord {
            version: row.get(0)?,
            effective_at: instant(row, 1)?,
            created_at: instant(row, 2)?,
            by: row.get(3)?,
            document: row.get(4)?,
        })
    })
}

pub fn api_keys(file: &Connection) -> Result<Vec<ApiKey>, Fault> {
    all(file, "select id, name, hash, scopes, at, revoked_at from api_keys order by rowid", [], |row| {
        Ok(ApiKey {
            id: row.get(0)?,
            name: row.get(1)?,
            hash: row.get(2)?,
            scopes: row.get_ref(3)?.as_str()?.split_whitespace().map(str::to_owned).collect(),
            created_at: instant(row, 4)?,
            revoked_at: maybe_instant(row, 5)?,
        })
    })
}

pub fn quote(file: &Connection, account: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault> {
    let query = "select expires_at, body from quotes where account = ?1 and id = ?2";
    one(file, query, (signed(account.get()), id), |row| {
        Ok(QuoteRecord { account, id: id.to_owned(), expires_at: instant(row, 0)?, body: row.get(1)? })
    })
}

pub const DOCUMENT: &str = "select account, kind, id, version, at, due_at, body from documents";

pub fn read_document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        account: number(row, 0)?,
        kind: row.get(1)?,
        id: row.get(2)?,
        version: unsigned(row.get(3)?),
        at: instant(row, 4)?,
        due_at: maybe_instant(row, 5)?,
        body: row.get(6)?,
    })
}

pub fn document(file: &Connection, account: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Fault> {
    let query = format!("{DOCUMENT} where account = ?1 and kind = ?2 and id = ?3");
    one(file, &query, (signed(account.get()), kind, id), read_document)
}

pub fn documents(
    file: &Connection,
    account: AccountNumber,
    kind: &str,
    before: Option<&str>,
    limit: usize,
) -> Result<Vec<Document>, Fault> {
    let number = signed(account.get());
    match before {
        Some(before) => {
            let query = format!("{DOCUMENT} where account = ?1 and kind = ?2 and id < ?3 order by id desc limit ?4");
            all(file, &query, (number, kind, before, rows_max(limit)), read_document)
        }
        None => {
            let query = format!("{DOCUMENT} where account = ?1 and kind = ?2 order by id desc limit ?3");
            all(file, &query, (number, kind, rows_max(limit)), read_document)
        }
    }
}

/// The next kind of which anything is due at any time.
const NEXT_KIND: &str = "select kind from documents where ?1 < kind and due_at is not null order by kind limit 1";
/// Found in the index alone, and only then read.
const DUE_OF_KIND: &str = "select account, kind, id, version, at, due_at, body from (
        select account, kind, id from documents where kind = ?1 and due_at <= ?2 order by due_at limit ?3
    ) cross join documents using (account, kind, id)";

pub fn documents_due(file: &Connection, kinds: Kinds<'_>, at: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
    let mut due: Vec<Document> = Vec::new();
    for kind in wanted(file, kinds)? {
        due.extend(all(file, DUE_OF_KIND, (&kind, at.millis(), rows_max(limit)), read_document)?);
    }
    due.sort_by_key(|it| it.due_at);
    Ok(due)
}

/// The kinds that are asked for. Where it is all but some, from kind to kind: what is due of one is not walked over.
fn wanted(file: &Connection, kinds: Kinds<'_>) -> Result<Vec<String>, Fault> {
    if let Kinds::Of(kinds) = kinds {
        return Ok(kinds.iter().map(|it| (*it).to_owned()).collect());
    }
    let (mut found, mut before) = (Vec::new(), String::new());
    while let Some(kind) = one(file, NEXT_KIND, [&before], |row| row.get::<_, String>(0))? {
        if kinds.has(&kind) {
            found.push(kind.clone());
        }
        before = kind;
    }
    Ok(found)
}

pub fn documents_at_rest(
    file: &Connection,
    kind: &str,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<Document>, Fault> {
    // As the index says it of which kinds it is.
    let query = format!(
        "{DOCUMENT} where kind = ?1 and due_at is null and kind <> 'account_month' and kind <> 'house_month' \
         and kind <> 'request' and kind <> 'utilisation' and at < ?2 order by at limit ?3"
    );
    all(file, &query, (kind, before.millis(), rows_max(limit)), read_document)
}

pub fn payments(file: &Connection, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
    let query = format!("{DOCUMENT} where kind = 'payment' and at < ?1 order by at desc limit ?2");
    all(file, &query, (before.millis(), rows_max(limit)), read_document)
}

pub fn reply(file: &Connection, key: NameHash) -> Result<Option<Reply>, Fault> {
    one(file, "select request, status, body from replies where key = ?1", [key.0], |row| {
        Ok(Reply { key, request: u128::from_be_bytes(row.get(0)?), status: row.get(1)?, body: row.get(2)? })
    })
}

pub fn audit(file: &Connection, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault> {
    let query =
        "select number, at, by, action, subject, detail from audit where number < ?1 order by number desc limit ?2";
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    all(file, query, (before, rows_max(limit)), |row| Ok((unsigned(row.get(0)?), read_audit(row)?)))
}

pub fn read_audit(row: &Row<'_>) -> rusqlite::Result<Audit> {
    Ok(Audit { at: instant(row, 1)?, by: row.get(2)?, action: row.get(3)?, subject: row.get(4)?, detail: row.get(5)? })
}

pub fn rows_max(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<AccountNumber> {
    Ok(AccountNumber::from_random(unsigned(row.get(column)?)))
}

pub fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

fn maybe_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Name> {
    let malformed =
        |it: ParseNameError| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, it.to_string().into());
    row.get_ref(column)?.as_str()?.parse().map_err(malformed)
}

fn currency(row: &Row<'_>, column: usize) -> rusqlite::Result<Currency> {
    let malformed =
        |_: ParseCurrencyError| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "not a currency".into());
    row.get_ref(column)?.as_str()?.parse().map_err(malformed)
}
