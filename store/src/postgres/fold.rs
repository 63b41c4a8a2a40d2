//! Usage, added up by the hour. Not at every transaction: an hour's row is rewritten when an account's version passes a
//! multiple of 64, and then takes in all since the last; a reader adds the few that came after. So a charge costs a
//! small part of a row, and a page still costs the same at a thousand and at a billion entries.
//!
//! Invariant: the rows of an account say what its transactions up to `folded(version)` come to. They change only under
//! the lock of its book, in the commit that brings the version there.
use std::collections::{BTreeMap, HashMap};

use billing::id::AccountNumber;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};

use super::Shared;
use super::books::{self, Span};
use super::rows::{self, column, number, signed, unsigned};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use crate::codec::{self, Json};
use crate::{Fault, Post, UsageRow};

/// Transactions of an account that are folded together.
const FOLDED_AT_ONCE: u64 = 64;

const DOING: &str = "folding usage";

/// What hours of accounts come to so far.
pub const HOURS: &str = "select account, hour, body from unnest($1::bigint[], $2::bigint[]) as wanted (owner, start) \
    join usage on account = wanted.owner and hour = wanted.start";
/// Of one: where accounts are spread over machines, each is asked of its own.
pub const HOURS_OF_ONE: &str = "select account, hour, body from usage where account = $1 and hour = any($2)";
pub const PUT_HOURS: &str = "insert into usage (account, hour, body) \
    select * from unnest($1::bigint[], $2::bigint[], $3::text[]) \
    on conflict (account, hour) do update set body = excluded.body";
/// One hour of one account: see [`super::write::MOVE_BOOK`].
pub const PUT_HOUR: &str = "insert into usage (account, hour, body) values ($1, $2, $3) \
    on conflict (account, hour) do update set body = excluded.body";
/// What is folded in a range of hours, each row with the version it is folded by; one row without an hour where there
/// is nothing.
pub const FOLDED: &str = "select b.version, u.hour, u.body from books b \
    left join usage u on u.account = b.account and $2 <= u.hour and u.hour < $3 where b.account = $1";

/// Up to which of its transactions an account at `version` has its usage folded.
pub fn folded(version: u64) -> u64 {
    version / FOLDED_AT_ONCE * FOLDED_AT_ONCE
}

type Sums = BTreeMap<UsageKey, UsageSum>;

/// Hours as they are to be written.
#[derive(Default)]
pub struct Hours {
    accounts: Vec<i64>,
    hours: Vec<i64>,
    bodies: Vec<String>,
}

impl Hours {
    pub fn ask<'a>(&'a self, is_distributed: bool, asked: &mut Vec<Asked<'a>>) {
        if is_distributed {
            let all = self.accounts.iter().zip(&self.hours).zip(&self.bodies);
            let each = all.map(|((account, hour), body)| vec![account as _, hour as _, body as _]);
            asked.extend(each.map(|it| (PUT_HOUR, it)));
        } else if !self.accounts.is_empty() {
            asked.push((PUT_HOURS, vec![&self.accounts, &self.hours, &self.bodies]));
        }
    }
}

/// What the hours come to that this commit folds. `posted` are its own transactions, which no statement finds yet.
pub async fn fold(
    shared: &Shared,
    session: &Session,
    spans: &[Span],
    posted: &HashMap<AccountNumber, Vec<&Post>>,
) -> Result<Hours, Trouble> {
    let passing: Vec<&Span> = spans.iter().filter(|it| folded(it.since) < folded(it.until)).collect();
    if passing.is_empty() {
        return Ok(Hours::default());
    }
    let mut sums = unfolded(shared, session, &passing).await?;
    for span in &passing {
        let sums = sums.entry(span.account).or_default();
        let until = folded(span.until);
        let transactions = posted[&span.account].iter().map(|it| &it.transaction);
        transactions.filter(|it| it.place.version <= until).for_each(|it| add(sums, it.usage()));
    }
    add_stored(shared, session, &mut sums).await?;
    let mut new = Hours::default();
    let mut json = Json::new();
    let mut accounts: Vec<_> = sums.into_iter().collect();
    accounts.sort_unstable_by_key(|it| it.0);
    for (account, sums) in accounts {
        let rows: Vec<(UsageKey, UsageSum)> = sums.into_iter().collect();
        for hour in rows.chunk_by(|one, other| one.0.hour == other.0.hour) {
            json.clear();
            codec::write_usage(&mut json, hour);
            new.accounts.push(signed(account.get()));
            new.hours.push(hour[0].0.hour.millis());
            new.bodies.push(json.as_str().to_owned());
        }
    }
    Ok(new)
}

/// What transactions of earlier commits come to that are folded now.
async fn unfolded(
    shared: &Shared,
    session: &Session,
    passing: &[&Span],
) -> Result<HashMap<AccountNumber, Sums>, Trouble> {
    let mut sums: HashMap<AccountNumber, Sums> = HashMap::new();
    let mut ranges = Vec::new();
    for span in passing {
        match shared.unfolded.take(session.breaks, span) {
            Some(known) => _ = sums.insert(span.account, known.into_iter().collect()),
            None => ranges.push(Span { account: span.account, since: folded(span.since), until: span.since }),
        }
    }
    for row in &books::spans(session, shared.is_distributed, &ranges).await? {
        let account = number(column(row, 0)?);
        let transaction = rows::read(row).map_err(|it| Fault { of: Some(account), ..it })?;
        add(sums.entry(transaction.place.account).or_default(), transaction.usage());
    }
    Ok(sums)
}

/// Adds what the hours come to already.
async fn add_stored(
    shared: &Shared,
    session: &Session,
    sums: &mut HashMap<AccountNumber, Sums>,
) -> Result<(), Trouble> {
    let hours = |it: &Sums| {
        let mut hours: Vec<i64> = it.keys().map(|it| it.hour.millis()).collect();
        hours.dedup();
        hours
    };
    let wanted: Vec<(i64, Vec<i64>)> = sums.iter().map(|(account, it)| (signed(account.get()), hours(it))).collect();
    let pairs = wanted.iter().flat_map(|(account, hours)| hours.iter().map(|hour| (*account, *hour)));
    let (accounts, starts): (Vec<i64>, Vec<i64>) = pairs.unzip();
    let asked: Vec<Asked<'_>> = match (accounts.is_empty(), shared.is_distributed) {
        (true, _) => Vec::new(),
        (false, false) => vec![(HOURS, vec![&accounts, &starts])],
        (false, true) => wanted.iter().map(|it| (HOURS_OF_ONE, vec![&it.0 as _, &it.1 as _])).collect(),
    };
    for row in session.query_all(DOING, &asked).await?.iter().flatten() {
        let account = number(column(row, 0)?);
        let stored = read_hour(account, column(row, 1)?, column(row, 2)?)?;
        let sums = sums.get_mut(&account).expect("only these accounts were asked for");
        stored.into_iter().for_each(|it| add(sums, Some(it)));
    }
    Ok(())
}

fn add(sums: &mut Sums, usage: Option<(UsageKey, UsageSum)>) {
    if let Some((key, sum)) = usage {
        sums.entry(key).or_default().add(&sum);
    }
}

fn read_hour(account: AccountNumber, hour: i64, body: &str) -> Result<Vec<(UsageKey, UsageSum)>, Fault> {
    let broken = |it| {
        let fault = Fault::new("reading usage", format!("{account}, hour {hour}: {it}"));
        Fault { of: Some(account), ..fault }
    };
    codec::read_usage(body, Timestamp::from_millis(hour)).map_err(broken)
}

/// An account's usage in hours that start at `from` or later and before `to`.
///
/// Two statements, and no more than one moment: the first says what is folded and how far, the second what came after
/// that. The journal only grows, so what it says later is what it said then and more.
pub async fn usage(
    session: &Session,
    account: AccountNumber,
    from: Timestamp,
    to: Timestamp,
) -> Result<(u64, Vec<UsageRow>), Trouble> {
    const DOING: &str = "reading usage";
    let (number, from, to) = (signed(account.get()), from.millis(), to.millis());
    let mut sums = Sums::new();
    let mut watermark = 0;
    for row in session.query(DOING, FOLDED, &[&number, &from, &to]).await? {
        watermark = signed(folded(unsigned(column(&row, 0)?)));
        if let Some(hour) = column::<Option<i64>>(&row, 1)? {
            read_hour(account, hour, column(&row, 2)?)?.into_iter().for_each(|it| add(&mut sums, Some(it)));
        }
    }
    let mut version = unsigned(watermark);
    for row in session.query(DOING, books::SPAN, &[&number, &watermark, &i64::MAX]).await? {
        let transaction = rows::read(&row)?;
        version = transaction.place.version;
        let usage = transaction.usage();
        add(&mut sums, usage.filter(|(key, _)| from <= key.hour.millis() && key.hour.millis() < to));
    }
    Ok((version, sums.into_iter().map(|(key, sum)| UsageRow { key, sum }).collect()))
}
