//! The one write: everything a commit changes, as statements that each take many rows, sent in one go.
//!
//! It is handed the versions its changes were decided on. Where the accounts are locked these are theirs, and what does
//! not follow is found before anything is written. Where they are not, each book moves only if it is still where it
//! was and nobody else is moving it: the accounts that others were faster at are left out, with all that was decided
//! about them.
use std::collections::{BTreeMap, HashMap, HashSet};

use billing::id::{AccountNumber, Place};
use billing::ledger::Book;
use billing::time::Timestamp;
use futures_util::future::join;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Shared;
use super::books::{self, Span};
use super::fold;
use super::records::{self, Write};
use super::rows::{self, NewRows, column, number, signed};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use crate::codec::{self, Json};
use crate::{Change, Fault, Post};

const DOING: &str = "committing";
/// Rows of the journal in one statement: while the server inserts these the next are made.
const ROWS_AT_ONCE: usize = 512;
/// Where accounts are spread over machines, up to so many rows of the journal are sent each by itself. A commit of one
/// account is then one machine's own, made durable by one sync and never in doubt; rows that are copied to a machine
/// are prepared there first, also where no other takes part. Of many rows, each would cost more than that.
pub const ROWS_EACH_MAX: usize = 16;
/// A book that is longer is not told beside its version: it would cost each charge more than others save by it.
const HEAD_BYTES_MAX: usize = 512;

/// Versions of the books that are to be moved on. An account that has none has no transactions yet.
pub type Versions = HashMap<AccountNumber, u64>;

/// Moves books on that are still where they were.
macro_rules! move_books {
    () => {
        "update books set version = new.version, due_at = new.due_at, head = new.head \
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) \
            as new (account, since, version, due_at, head) \
         where books.account = new.account and books.version = new.since"
    };
}
macro_rules! add_books {
    () => {
        "insert into books (account, version, due_at) select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])"
    };
}
/// What a transaction of ours begins with. It is sent together with the statements behind it, which would stand on
/// their own, and for good, where the server did not begin one: so these do nothing but inside.
const BEGIN: &str = "begin; set local scrip.inside = '1'";
macro_rules! is_inside {
    () => {
        "current_setting('scrip.inside', true) = '1'"
    };
}
pub const MOVE_BOOKS: &str = move_books!();
/// Books of accounts that had none: another's, made meanwhile, is refused by the primary key.
pub const ADD_BOOKS: &str = add_books!();
/// Where accounts are spread over machines, each has statements of its own, which go straight to where it belongs. One
/// that moves several books may run once at a time on each part of a table, until its transaction ends. Rows of a query
/// are copied there by way of the coordinator, which keeps to itself why one was refused, or, with an `on conflict`,
/// writes them to files on each machine first.
pub const MOVE_BOOK: &str = "update books set version = $3, due_at = $4, head = $5 where account = $1 and version = $2";
pub const ADD_BOOK: &str = "insert into books (account, version, due_at) values ($1, $2, $3)";
/// The same, saying which were moved: of accounts that are not locked.
pub const MOVE_BOOKS_LEFT: &str = concat!(move_books!(), " and ", is_inside!(), " returning books.account");
/// The same where other nodes are about: what one of them is about to move is left out at once. Two groups of many
/// accounts nearly always have some in common, so to wait would be to write one group after another.
pub const MOVE_BOOKS_FREE: &str = concat!(
    "update books set version = free.version, due_at = free.due_at, head = free.head from ( \
         select books.account, new.version, new.due_at, new.head \
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) \
            as new (account, since, version, due_at, head) \
         join books on books.account = new.account and books.version = new.since \
         where ",
    is_inside!(),
    " for update of books skip locked) as free \
     where books.account = free.account returning books.account"
);
pub const ADD_BOOKS_LEFT: &str =
    concat!(add_books!(), " where ", is_inside!(), " on conflict do nothing returning account");
pub const PUT_SNAPSHOTS: &str = "insert into snapshots (account, version, body) \
    select * from unnest($1::bigint[], $2::bigint[], $3::text[]) \
    on conflict (account) do update set version = excluded.version, body = excluded.body";
/// Of one, as [`MOVE_BOOK`].
pub const PUT_SNAPSHOT: &str = "insert into snapshots (account, version, body) values ($1, $2, $3) \
    on conflict (account) do update set version = excluded.version, body = excluded.body";

/// Writes `changes` to accounts that are locked, and commits.
pub async fn write(shared: &Shared, session: &Session, versions: &Versions, changes: &[Change]) -> Result<(), Trouble> {
    let moves = Moves::of(shared, versions, changes)?;
    let mut asked: Vec<Asked<'_>> = Vec::new();
    if shared.is_distributed {
        asked.extend(moves.old.each().map(|it| (MOVE_BOOK, it.to_vec())));
        asked.extend(moves.new.each().map(|[account, _, version, due, _]| (ADD_BOOK, vec![account, version, due])));
    } else {
        moves.old.ask(MOVE_BOOKS, &mut asked);
        moves.new.ask_new(ADD_BOOKS, &mut asked);
    }
    finish(shared, session, (&moves, &HashSet::new()), changes, asked).await
}

/// Writes `changes` to accounts that are not locked, and commits: the accounts that were not where they were are told,
/// and nothing of theirs is written. Begins a transaction, in place of the one in which they are read, if there is one.
pub async fn write_loosely(
    shared: &Shared,
    session: &Session,
    versions: &Versions,
    changes: &[Change],
    is_reading: bool,
) -> Result<Vec<AccountNumber>, Trouble> {
    let moves = Moves::of(shared, versions, changes)?;
    let mut asked: Vec<Asked<'_>> = Vec::new();
    moves.old.ask(if is_reading { MOVE_BOOKS_FREE } else { MOVE_BOOKS_LEFT }, &mut asked);
    moves.new.ask_new(ADD_BOOKS_LEFT, &mut asked);
    session.prepare(&asked.iter().map(|it| it.0).collect::<Vec<_>>()).await?;
    let begin = if is_reading { format!("commit; {BEGIN}") } else { BEGIN.to_owned() };
    let (begun, moved) = join(session.run(DOING, &begin), session.query_all(DOING, &asked)).await;
    begun?;
    let account = |it: &Row| column(it, 0).map(number);
    let moved: HashSet<AccountNumber> = moved?.iter().flatten().map(account).collect::<Result<_, Fault>>()?;
    let late: HashSet<AccountNumber> = moves.posts.keys().copied().filter(|account| !moved.contains(account)).collect();
    if !late.is_empty() {
        shared.sees_others();
    }
    let has_others = changes.iter().any(|it| !matches!(it, Change::Post(_)));
    if has_others && !late.is_empty() {
        return Err(Trouble::Stale);
    }
    if !late.is_empty() && late.len() == moves.posts.len() {
        session.run(DOING, "rollback").await?;
    } else {
        finish(shared, session, (&moves, &late), changes, Vec::new()).await?;
    }
    Ok(late.into_iter().collect())
}

/// Writes all but the books, of all but those that are `late`, behind what is `asked` already; and commits.
async fn finish<'a>(
    shared: &Shared,
    session: &Session,
    (moves, late): (&'a Moves<'a>, &HashSet<AccountNumber>),
    changes: &'a [Change],
    mut asked: Vec<Asked<'a>>,
) -> Result<(), Trouble> {
    let books = asked.len();
    let spans: Vec<Span> = moves.spans.iter().filter(|it| !late.contains(&it.account)).copied().collect();
    let folded = fold::fold(shared, session, &spans, &moves.posts).await?;
    let snapshots = Snapshots::of(moves, &spans);
    snapshots.ask(shared.is_distributed, &mut asked);
    folded.ask(shared.is_distributed, &mut asked);
    let first_record = asked.len();
    let records = changes.iter().filter(|it| !matches!(it, Change::Post(_)));
    let records: Vec<Write> = records.flat_map(|it| records::writes(it, &shared.audits)).collect();
    asked.extend(records.iter().map(Write::asked));
    let post = |it: &'a Change| if let Change::Post(post) = it { Some(post) } else { None };
    let posts = changes.iter().filter_map(post).filter(|it| !late.contains(&it.book.account));
    let posts: Vec<&Post> = posts.collect();
    let (each, posts) =
        posts.split_at(if shared.is_distributed && posts.len() <= ROWS_EACH_MAX { posts.len() } else { 0 });
    let each = NewRows::of(each);
    asked.extend(each.each().map(|it| (rows::INSERT_ONE, it)));
    let rows = posts.chunks(ROWS_AT_ONCE).map(async |chunk| {
        let rows = NewRows::of(chunk);
        session.execute(rows::INSERT, &rows.columns()).await
    });
    session.prepare(&[rows::INSERT]).await?;
    // Where only transactions are written nothing is left that could say no, so the end is sent along.
    let ending = records.is_empty().then_some("commit");
    let touched = session.execute_in_turn(DOING, &asked, rows.collect(), ending).await;
    let touched = touched.map_err(|it| records::meant(it, &records))?;
    let moved: u64 = touched[..books].iter().sum();
    assert!(books == 0 || moved == moves.posts.len() as u64, "a book that is locked is there");
    if ending.is_none() {
        records.iter().zip(&touched[first_record..]).try_for_each(|(it, touched)| it.check(*touched))?;
        session.run(DOING, "commit").await?;
    }
    shared.unfolded.posted(session.breaks, &spans, &moves.posts);
    Ok(())
}

/// What is posted, account by account, and where that brings the books.
#[derive(Default)]
struct Moves<'a> {
    old: NewBooks,
    new: NewBooks,
    spans: Vec<Span>,
    posts: HashMap<AccountNumber, Vec<&'a Post>>,
}

#[derive(Default)]
struct NewBooks {
    accounts: Vec<i64>,
    since: Vec<i64>,
    versions: Vec<i64>,
    due: Vec<Option<i64>>,
    heads: Vec<Option<String>>,
}

#[derive(Default)]
struct Snapshots {
    accounts: Vec<i64>,
    versions: Vec<i64>,
    bodies: Vec<String>,
}

impl Moves<'_> {
    /// Sorts what is posted by account.
    ///
    /// # Errors
    /// `Stale` when a transaction does not follow from the one before it.
    fn of<'a>(shared: &Shared, versions: &Versions, changes: &'a [Change]) -> Result<Moves<'a>, Trouble> {
        let mut moves = Moves::default();
        // In the order of their accounts: so whoever moves books meets others' in one order.
        let mut accounts: BTreeMap<AccountNumber, Vec<&Post>> = BTreeMap::new();
        for change in changes {
            let Change::Post(post) = change else { continue };
            let Place { account, version } = post.transaction.place;
            let posts = accounts.entry(account).or_default();
            let since = || versions.get(&account).copied().unwrap_or_default();
            if version != posts.last().map_or_else(since, |it| it.book.version) + 1 {
                return Err(Trouble::Stale);
            }
            posts.push(post);
        }
        let tells_heads = shared.tells_heads();
        let mut json = Json::new();
        for (account, posts) in accounts {
            let (since, book) = (versions.get(&account), &posts[posts.len() - 1].book);
            let head = tells_heads.then(|| head(&mut json, book)).flatten();
            let books = if since.is_none() { &mut moves.new } else { &mut moves.old };
            let since = since.copied().unwrap_or_default();
            books.push(since, book, head);
            moves.spans.push(Span { account, since, until: book.version });
            moves.posts.insert(account, posts);
        }
        Ok(moves)
    }
}

/// All of a book but the terms of its grants, if that is not long.
fn head(json: &mut Json, book: &Book) -> Option<String> {
    // Each takes more than sixteen bytes: to write down what is too long would cost its length at each commit.
    if HEAD_BYTES_MAX / 16 < book.grants().len() + book.holds().len() + book.servers().iter().count() {
        return None;
    }
    json.clear();
    codec::write_lean_book(json, book);
    Some(json.as_str()).filter(|it| it.len() <= HEAD_BYTES_MAX).map(str::to_owned)
}

impl NewBooks {
    fn push(&mut self, since: u64, book: &Book, head: Option<String>) {
        self.accounts.push(signed(book.account.get()));
        self.since.push(signed(since));
        self.versions.push(signed(book.version));
        self.due.push(Some(book.due_at()).filter(|it| *it < Timestamp::NEVER).map(Timestamp::millis));
        self.heads.push(head);
    }

    fn ask<'a>(&'a self, sql: &'static str, asked: &mut Vec<Asked<'a>>) {
        if !self.accounts.is_empty() {
            asked.push((sql, vec![&self.accounts, &self.since, &self.versions, &self.due, &self.heads]));
        }
    }

    fn ask_new<'a>(&'a self, sql: &'static str, asked: &mut Vec<Asked<'a>>) {
        if !self.accounts.is_empty() {
            asked.push((sql, vec![&self.accounts, &self.versions, &self.due]));
        }
    }

    /// Each as [`MOVE_BOOK`] takes it.
    fn each(&self) -> impl Iterator<Item = [&(dyn ToSql + Sync); 5]> {
        (0..self.accounts.len()).map(|it| -> [&(dyn ToSql + Sync); 5] {
            [&self.accounts[it], &self.since[it], &self.versions[it], &self.due[it], &self.heads[it]]
        })
    }
}

impl Snapshots {
    /// Of those accounts whose turn it is.
    fn of(moves: &Moves<'_>, spans: &[Span]) -> Snapshots {
        let mut snapshots = Snapshots::default();
        let mut json = Json::new();
        for span in spans.iter().filter(|it| books::takes_snapshot(it.since, it.until)) {
            let posts = &moves.posts[&span.account];
            json.clear();
            codec::write_book(&mut json, &posts[posts.len() - 1].book);
            snapshots.accounts.push(signed(span.account.get()));
            snapshots.versions.push(signed(span.until));
            snapshots.bodies.push(json.as_str().to_owned());
        }
        snapshots
    }

    fn ask<'a>(&'a self, is_distributed: bool, asked: &mut Vec<Asked<'a>>) {
        if is_distributed {
            let all = self.accounts.iter().zip(&self.versions).zip(&self.bodies);
            let each = all.map(|((account, version), body)| vec![account as _, version as _, body as _]);
            asked.extend(each.map(|it| (PUT_SNAPSHOT, it)));
        } else if !self.accounts.is_empty() {
            asked.push((PUT_SNAPSHOTS, vec![&self.accounts, &self.versions, &self.bodies]));
        }
    }
}
