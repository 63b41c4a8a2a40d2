//! Verifying: everything the store answers is made again from the journal alone, and compared.
//!
//! Knows the port and the rules, no adapter. It reads the journal once, as a stream; what it holds grows with the
//! accounts, never with their transactions. It wants a store that nobody writes to meanwhile: what is committed while
//! it runs may be listed as a difference.
mod said;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use billing::id::{AccountNumber, ChargeId, Place};
use billing::ledger::{Book, COUNTED_FOR, Draw, Grant, LedgerAccount, Transaction, What};
use billing::money::Credits;
use billing::time::Timestamp;
use billing::total::TotalCredits;
use billing::usage::{UsageKey, UsageSum};

use crate::{Fault, Movable, NameHash, UsageRow};

/// Differences listed in full; of more, only how many.
const LISTED_MAX: usize = 1_000;
/// Names or accounts asked for in one go.
const ASKED_MAX: usize = 1_000;
/// Unreadable rows passed over before the journal is given up.
const UNREADABLE_MAX: u64 = 100;

/// What was verified, and what was wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub transactions: u64,
    pub accounts: u64,
    pub names: u64,
    pub usage_rows: u64,
    /// Sums of each ledger account over the whole house, in micro-credits. Together zero.
    pub sums: BTreeMap<LedgerAccount, i128>,
    /// The first of them.
    pub differences: Vec<Difference>,
    /// All of them.
    pub difference_count: u64,
}

impl Report {
    /// A budget's counters are the sums of the usage of its periods.
    fn compare_budgets(&mut self, book: &Book, rows: &[UsageRow]) {
        for budget in book.budgets().iter().filter(|it| it.is_counted()) {
            let scope = &budget.terms.scope;
            let own =
                rows.iter().filter(|it| scope.admits(&it.key.meter, it.key.project.as_ref(), it.key.actor.as_ref()));
            let mut sums: BTreeMap<Timestamp, (Credits, Credits)> = BTreeMap::new();
            for row in own {
                let (start, next) = budget.terms.around(row.key.hour);
                if book.at < next + COUNTED_FOR {
                    sums.entry(start).or_default().0 += row.sum.credits;
                }
            }
            budget.periods.iter().for_each(|it| sums.entry(it.start).or_default().1 += it.used);
            for (start, (expected, found)) in sums.into_iter().filter(|(_, (expected, found))| expected != found) {
                let place = format!("{}, budget {} from {}", book.account, budget.id, said::instant(start));
                self.differs("budget", place, format!("{expected} credits"), format!("{found} credits"));
            }
        }
    }

    pub fn is_clean(&self) -> bool {
        self.difference_count == 0
    }

    fn differs(&mut self, what: &'static str, place: String, expected: String, found: String) {
        self.difference_count += 1;
        if self.differences.len() < LISTED_MAX {
            self.differences.push(Difference { what, place, expected, found });
        }
    }
}

/// Something the store answered otherwise than its journal says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What was compared: `book`, `usage`, `name`, `version` …
    pub what: &'static str,
    /// Of which account, transaction or row.
    pub place: String,
    pub expected: String,
    pub found: String,
}

/// Verifies all of `store`. `progress` is told how many transactions of how many are done.
///
/// # Errors
/// When the store cannot be read at all. A journal row that cannot be is a difference.
pub fn verify(store: &dyn Movable, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, Fault> {
    let mut replay = Replay {
        store,
        report: Report::default(),
        accounts: HashMap::new(),
        reversals: HashMap::new(),
        freed: HashMap::new(),
        names: Vec::new(),
    };
    replay.read_journal(progress)?;
    replay.compare_names();
    replay.compare_accounts()?;
    let sum: i128 = replay.report.sums.values().sum();
    if sum != 0 {
        let found = format!("{} credits", TotalCredits::from_micros(sum));
        replay.report.differs("double entry", "the house".to_owned(), "0 credits".to_owned(), found);
    }
    Ok(replay.report)
}

struct Replay<'a> {
    store: &'a dyn Movable,
    report: Report,
    accounts: HashMap<AccountNumber, Folded>,
    /// How often each charge was reversed; most never are.
    reversals: HashMap<ChargeId, u64>,
    /// How often what was paid for once was given back, where it was.
    freed: HashMap<NameHash, u64>,
    /// Names yet to be asked for, and the transactions they should lead to.
    names: Vec<(NameHash, Place)>,
}

/// What an account's transactions so far come to.
struct Folded {
    book: Arc<Book>,
    /// What its last transaction paid for once, beside another thing that it settled: the next has the name of it.
    noted: Option<NameHash>,
    /// What the transaction before freed, which one after it has the name of.
    freed: Option<NameHash>,
    /// None of it is compared once a transaction did not fit: everything after it would differ.
    is_broken: bool,
    /// Sums of the account's own ledger accounts, in micro-credits.
    grants: i128,
    held: i128,
    debt: i128,
    usage: Checksum,
}

/// A sum over usage that does not depend on how it is cut into rows or in what order it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Checksum(u64);

impl Checksum {
    fn add(&mut self, key: &UsageKey, sum: &UsageSum) {
        let weigh = |name: &str| {
            let mut hasher = DefaultHasher::new();
            (key, name).hash(&mut hasher);
            hasher.finish()
        };
        let mut add = |name: &str, amount: u64| self.0 = self.0.wrapping_add(weigh(name).wrapping_mul(amount));
        add(" credits", sum.credits.micros().cast_unsigned());
        add(" count", sum.count);
        sum.quantities.iter().for_each(|(name, quantity)| add(name, *quantity));
    }
}

impl Replay<'_> {
    fn read_journal(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Fault> {
        let total = self.store.journal_length()?;
        let (mut last, mut unreadable) = (0, 0);
        loop {
            let store = self.store;
            let read = store.posts(last, &mut |sequence, transaction, fact| {
                if sequence != last + 1 {
                    self.report.differs(
                        "journal",
                        format!("row {sequence}"),
                        (last + 1).to_string(),
                        sequence.to_string(),
                    );
                }
                last = sequence;
                self.take(&transaction, fact);
                if ASKED_MAX <= self.names.len() {
                    self.compare_names();
                }
                if sequence % 1_000 == 0 {
                    progress(sequence, total);
                }
                Ok(())
            });
            let Err(fault) = read else { break };
            unreadable += 1;
            if UNREADABLE_MAX < unreadable || total <= last {
                return Err(fault);
            }
            last += 1;
            self.report.differs("journal", format!("row {last}"), "a transaction".to_owned(), fault.to_string());
        }
        progress(last, total.max(last));
        Ok(())
    }

    fn take(&mut self, transaction: &Transaction, fact: Option<NameHash>) {
        let Place { account, version } = transaction.place;
        self.report.transactions += 1;
        let folded = self.accounts.entry(account).or_insert_with(|| Folded {
            book: Arc::new(Book::open(account)),
            noted: None,
            freed: None,
            is_broken: false,
            grants: 0,
            held: 0,
            debt: 0,
            usage: Checksum::default(),
        });
        let key = transaction.origin.key.as_deref().map(|it| NameHash::key(account, it));
        self.names.extend(key.into_iter().chain(fact).map(|it| (it, transaction.place)));
        let times_freed = |freed: &HashMap<NameHash, u64>, once| freed.get(&once).copied().unwrap_or_default();
        let paid = NameHash::paid_once(transaction).map(|it| it.after(times_freed(&self.freed, it)));
        let mut settled = folded.noted.take().or_else(|| settled_by(transaction, paid, &mut self.reversals));
        folded.noted = paid.filter(|it| settled != Some(*it));
        // Journals of before anything was freed do not say that it was: there it stays paid for.
        if let Some(once) = std::mem::replace(&mut folded.freed, NameHash::freed_once(transaction)) {
            let times = times_freed(&self.freed, once) + 1;
            if fact == Some(once.freed(times)) {
                self.freed.insert(once, times);
                settled = fact;
            }
        }
        if settled.is_some() && settled != fact {
            let place = format!("a name of {}", transaction.place);
            self.report.differs("name", place, said::name(settled), said::name(fact));
        }
        if folded.is_broken {
            return;
        }
        let expected = folded.book.version + 1;
        if version != expected {
            folded.is_broken = true;
            let place = account.to_string();
            self.report.differs("version", place, expected.to_string(), version.to_string());
            return;
        }
        if !adds_up(transaction) {
            let (place, found) = (transaction.place.to_string(), said::transaction(transaction));
            let found = format!("{found} that their parts do not come to");
            self.report.differs("transaction", place, "credits that are the sum of their parts".to_owned(), found);
        }
        if !moved_on(&mut folded.book, transaction) {
            folded.is_broken = true;
            let (place, found) = (transaction.place.to_string(), said::transaction(transaction));
            self.report.differs("transaction", place, "one that follows from those before it".to_owned(), found);
            return;
        }
        folded.enter(transaction, &mut self.report.sums);
        if let Some((key, sum)) = transaction.usage() {
            folded.usage.add(&key, &sum);
        }
    }

    fn compare_names(&mut self) {
        let asked = std::mem::take(&mut self.names);
        let names: Vec<NameHash> = asked.iter().map(|(name, _)| *name).collect();
        let store = self.store;
        let named = one_by_one(&names, |it| store.recall(it, &[]).map(|it| it.named));
        for ((_, expected), found) in asked.iter().zip(named) {
            self.report.names += 1;
            if !matches!(found, Ok(Some(it)) if it == *expected) {
                self.report.differs(
                    "name",
                    format!("a name of {expected}"),
                    expected.to_string(),
                    said::led_to(&found),
                );
            }
        }
    }

    fn compare_accounts(&mut self) -> Result<(), Fault> {
        let mut accounts: Vec<(AccountNumber, Folded)> = std::mem::take(&mut self.accounts).into_iter().collect();
        accounts.sort_unstable_by_key(|(it, _)| *it);
        self.report.accounts = accounts.len() as u64;
        let store = self.store;
        for some in accounts.chunks(ASKED_MAX) {
            let numbers: Vec<AccountNumber> = some.iter().map(|(it, _)| *it).collect();
            let books = one_by_one(&numbers, |it| store.recall(&[], it).map(|it| it.books));
            for ((account, folded), found) in some.iter().zip(books).filter(|((_, folded), _)| !folded.is_broken) {
                self.compare_book(&folded.book, found);
                folded.compare_sums(&mut self.report);
                self.compare_usage(*account, folded)?;
            }
        }
        Ok(())
    }

    fn compare_book(&mut self, expected: &Book, found: Result<Option<Arc<Book>>, Fault>) {
        let (account, version) = (expected.account, expected.version);
        let lacks = |found: String| vec![("version", version.to_string(), found)];
        let differing = match found {
            Ok(Some(found)) if *found == *expected => return,
            Ok(Some(found)) => said::books(expected, &found),
            Ok(None) => lacks("no book".to_owned()),
            Err(fault) => lacks(fault.to_string()),
        };
        for (part, expected, found) in differing {
            self.report.differs("book", format!("{account}, {part}"), expected, found);
        }
    }

    fn compare_usage(&mut self, account: AccountNumber, folded: &Folded) -> Result<(), Fault> {
        let found = match self.store.usage(account, Timestamp::from_millis(i64::MIN), Timestamp::NEVER) {
            Ok(found) => found,
            Err(fault) => {
                let place = account.to_string();
                self.report.differs("usage", place, "rows that can be read".to_owned(), fault.to_string());
                return Ok(());
            }
        };
        self.report.usage_rows += found.len() as u64;
        let mut checksum = Checksum::default();
        found.iter().for_each(|it| checksum.add(&it.key, &it.sum));
        if checksum == folded.usage {
            self.report.compare_budgets(&folded.book, &found);
            return Ok(());
        }
        // Which row it is takes the account's transactions once more: that is rare, and one account at a time.
        let mut rows: BTreeMap<UsageKey, (UsageSum, UsageSum)> = BTreeMap::new();
        for row in found {
            rows.entry(row.key).or_default().1.add(&row.sum);
        }
        let mut before = folded.book.version + 1;
        while 1 < before {
            let transactions = self.store.transactions(account, before, ASKED_MAX)?;
            let Some(oldest) = transactions.last() else { break };
            before = oldest.place.version;
            for (key, sum) in transactions.iter().filter_map(|it| it.usage()) {
                rows.entry(key).or_default().0.add(&sum);
            }
        }
        for (key, (expected, found)) in rows.into_iter().filter(|(_, (expected, found))| expected != found) {
            let place = format!("{account}, {}", said::usage_key(&key));
            self.report.differs("usage", place, said::usage_sum(&expected), said::usage_sum(&found));
        }
        Ok(())
    }
}

/// Moves `book` on by `transaction`, and says whether that follows from it.
///
/// The rules assert that each transaction fits the book before it. In a journal that may be damaged that is the very
/// question, and one that does not fit must not end the process.
pub(crate) fn moved_on(book: &mut Arc<Book>, transaction: &Transaction) -> bool {
    transaction.place.version == book.version + 1
        && catch_unwind(AssertUnwindSafe(|| Arc::make_mut(book).apply(transaction))).is_ok()
}

/// What a transaction settled for ever, as far as that follows from itself and the name by which it `paid` for
/// something once. `reversals` counts each charge's.
fn settled_by(
    transaction: &Transaction,
    paid: Option<NameHash>,
    reversals: &mut HashMap<ChargeId, u64>,
) -> Option<NameHash> {
    match &transaction.what {
        What::Charged { closing: Some(closing), .. } => Some(NameHash::hold_end(closing.hold)),
        What::Released { hold, .. } => Some(NameHash::hold_end(*hold)),
        What::Charged { closing: None, .. } => paid,
        // Time of a server that is taken back is no reversal that anybody asked for.
        What::Reversed(it) if it.settled.is_none() => {
            let count = reversals.entry(it.charge).or_default();
            *count += 1;
            Some(NameHash::reversal(it.charge, *count))
        }
        _ => None,
    }
}

/// Asks for all at once; when that fails, for each by itself: one that cannot be read hides no other.
fn one_by_one<Q, A>(questions: &[Q], ask: impl Fn(&[Q]) -> Result<Vec<A>, Fault>) -> Vec<Result<A, Fault>> {
    let one = |it| ask(std::slice::from_ref(it)).map(|mut answers| answers.remove(0));
    match ask(questions) {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(_) => questions.iter().map(one).collect(),
    }
}

/// Whether what a charge or a reversal moved is what its draws moved.
fn adds_up(transaction: &Transaction) -> bool {
    let sum = |draws: &[Draw]| draws.iter().map(|it| it.credits).sum::<Credits>();
    match &transaction.what {
        What::Charged { credits, draws, owed, .. } => *credits == sum(draws) + *owed,
        What::Reversed(it) => {
            let regranted = it.regranted.as_ref().map_or(Credits::ZERO, |(_, terms)| terms.credits);
            it.credits == sum(&it.draws) + it.forgiven + regranted
        }
        _ => true,
    }
}

impl Folded {
    fn enter(&mut self, transaction: &Transaction, sums: &mut BTreeMap<LedgerAccount, i128>) {
        for entry in transaction.entries() {
            let credits = i128::from(entry.credits.micros());
            for (ledger_account, moved) in [(entry.from, -credits), (entry.to, credits)] {
                match ledger_account {
                    LedgerAccount::Grants => self.grants += moved,
                    LedgerAccount::Held => self.held += moved,
                    LedgerAccount::Debt => self.debt += moved,
                    _ => {}
                }
                *sums.entry(ledger_account).or_default() += moved;
            }
        }
    }

    /// The account's entries add up to what its book says.
    fn compare_sums(&self, report: &mut Report) {
        let book = &self.book;
        let total = |part: fn(&Grant) -> Credits| i128::from(book.grants().iter().map(part).sum::<Credits>().micros());
        let debt = -i128::from(book.debt().micros());
        for (name, expected, found) in [
            ("grants", total(|it| it.remaining), self.grants),
            ("held", total(|it| it.held), self.held),
            ("debt", debt, self.debt),
        ] {
            if expected != found {
                let place = format!("{}, {name}", book.account);
                let credits = |micros| format!("{} credits", TotalCredits::from_micros(micros));
                report.differs("double entry", place, credits(expected), credits(found));
            }
        }
    }
}
