//! The one write: everything a commit changes, as statements that each take many rows, sent in one go.
//!
//! Runs in a transaction that holds the locks of every account it posts to, and knows their versions: what does not
//! follow is found before anything is written.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use billing::id::{AccountNumber, Place};
use billing::ledger::{Book, Transaction};
use billing::time::Timestamp;

use super::Shared;
use super::books::{self, Span};
use super::fold;
use super::records::{self, Write};
use super::rows::{self, NewRows, signed};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use crate::codec::{self, Json};
use crate::{Change, Post};

const DOING: &str = "committing";

/// Versions of the books that are locked. An account that has none has no transactions yet.
pub type Versions = HashMap<AccountNumber, u64>;

/// Books that were there, with the guard that finds a row nobody had locked.
pub const UPDATE_BOOKS: &str = "update books set version = new.version, due_at = new.due_at \
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as new (account, since, version, due_at) \
    where books.account = new.account and books.version = new.since";
/// Books of accounts that had none: another's, made meanwhile, is refused by the primary key.
pub const INSERT_BOOKS: &str = "insert into books (account, version, due_at) \
    select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])";
pub const PUT_SNAPSHOTS: &str = "insert into snapshots (account, version, body) \
    select * from unnest($1::bigint[], $2::bigint[], $3::text[]) \
    on conflict (account) do update set version = excluded.version, body = excluded.body";

/// Writes `changes` and commits.
pub async fn write(shared: &Shared, session: &Session, versions: &Versions, changes: &[Change]) -> Result<(), Trouble> {
    let posts = Posts::of(versions, changes)?;
    let records: Vec<Write> =
        changes.iter().filter(|it| !matches!(it, Change::Post(_))).flat_map(records::writes).collect();
    let folded = fold::fold(shared, session, &posts.spans, &posts.transactions).await?;
    let mut asked: Vec<Asked<'_>> = Vec::new();
    posts.ask(&mut asked);
    folded.ask(&mut asked);
    let first_record = asked.len();
    asked.extend(records.iter().map(Write::asked));
    if records.is_empty() {
        // The locks were held and the versions compared: nothing is left that could say no.
        let touched = session.execute_all(DOING, &asked, Some("commit")).await?;
        posts.check(&touched);
        return Ok(());
    }
    let touched = session.execute_all(DOING, &asked, None).await.map_err(|it| records::meant(it, &records))?;
    posts.check(&touched);
    records.iter().zip(&touched[first_record..]).try_for_each(|(it, touched)| it.check(*touched))?;
    session.run(DOING, "commit").await
}

/// What is posted, account by account.
#[derive(Default)]
struct Posts<'a> {
    journal: NewRows<'a>,
    old: NewBooks,
    new: NewBooks,
    snapshots: Snapshots,
    spans: Vec<Span>,
    transactions: HashMap<AccountNumber, Vec<&'a Arc<Transaction>>>,
}

#[derive(Default)]
struct NewBooks {
    accounts: Vec<i64>,
    since: Vec<i64>,
    versions: Vec<i64>,
    due: Vec<Option<i64>>,
}

#[derive(Default)]
struct Snapshots {
    accounts: Vec<i64>,
    versions: Vec<i64>,
    bodies: Vec<String>,
}

impl Posts<'_> {
    /// Sorts what is posted by account.
    ///
    /// # Errors
    /// `Stale` when a transaction does not follow from the one before it.
    fn of<'a>(versions: &Versions, changes: &'a [Change]) -> Result<Posts<'a>, Trouble> {
        let mut posts = Posts::default();
        let mut json = Json::new();
        let mut books: BTreeMap<AccountNumber, (u64, &Post)> = BTreeMap::new();
        for change in changes {
            let Change::Post(post) = change else { continue };
            let Place { account, version } = post.transaction.place;
            let locked = versions.get(&account).copied().unwrap_or_default();
            let (since, last) = books.entry(account).or_insert((locked, post));
            let before = if Arc::ptr_eq(&last.transaction, &post.transaction) { *since } else { last.book.version };
            if version != before + 1 {
                return Err(Trouble::Stale);
            }
            *last = post;
            posts.journal.push(post, &mut json);
            posts.transactions.entry(account).or_default().push(&post.transaction);
        }
        for (since, post) in books.into_values() {
            let is_new = !versions.contains_key(&post.book.account);
            if is_new { &mut posts.new } else { &mut posts.old }.push(since, &post.book);
            if books::takes_snapshot(since, post.book.version) {
                posts.snapshots.push(&post.book, &mut json);
            }
            posts.spans.push(Span { account: post.book.account, since, until: post.book.version });
        }
        Ok(posts)
    }

    fn ask<'a>(&'a self, asked: &mut Vec<Asked<'a>>) {
        let Posts { journal, old, new, snapshots, .. } = self;
        if !old.accounts.is_empty() {
            asked.push((UPDATE_BOOKS, vec![&old.accounts, &old.since, &old.versions, &old.due]));
        }
        if !new.accounts.is_empty() {
            asked.push((INSERT_BOOKS, vec![&new.accounts, &new.versions, &new.due]));
        }
        if !snapshots.accounts.is_empty() {
            asked.push((PUT_SNAPSHOTS, vec![&snapshots.accounts, &snapshots.versions, &snapshots.bodies]));
        }
        if !journal.accounts.is_empty() {
            asked.push((rows::INSERT, journal.columns()));
        }
    }

    fn check(&self, touched: &[u64]) {
        let books = [self.old.accounts.len(), self.new.accounts.len()];
        let expected = books.into_iter().filter(|it| 0 < *it).map(|it| it as u64);
        assert!(expected.zip(touched).all(|(it, touched)| it == *touched), "a book that is locked is there");
    }
}

impl NewBooks {
    fn push(&mut self, since: u64, book: &Book) {
        self.accounts.push(signed(book.account.get()));
        self.since.push(signed(since));
        self.versions.push(signed(book.version));
        self.due.push(Some(book.due_at()).filter(|it| *it < Timestamp::NEVER).map(Timestamp::millis));
    }
}

impl Snapshots {
    fn push(&mut self, book: &Book, json: &mut Json) {
        json.clear();
        codec::write_book(json, book);
        self.accounts.push(signed(book.account.get()));
        self.versions.push(signed(book.version));
        self.bodies.push(json.as_str().to_owned());
    }
}
