//! The thread that decides: recall what a group needs, decide each of it, have it committed.
mod once;

use std::collections::HashMap;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use billing::Refusal;
use billing::id::{AccountNumber, Place};
use billing::ledger::{Book, Command, Origin, Transaction};
use billing::time::Timestamp;
use crossbeam_channel::{Receiver, Sender};
use store::{Change, Document, Fault, Grip, NameHash, Post, Reserved, Store};

use super::books::Books;
use super::committer::{Committer, Group};
use super::documents::Versions;
use super::named::{Named, Names};
use super::{Ask, BROUGHT_MAX, CATCH_UP_GROUP_MAX, CATCH_UP_MAX, Companions, GROUP_MAX, Message, Ticket, Turned};
use crate::clock::Clock;

/// Books whose memory is waited for together: as many as the nearest memory holds.
const LOOKED_AT: usize = 64;

/// What a group brings.
#[derive(Default)]
struct Decided {
    named: Named,
    documents: Versions,
}

impl Decided {
    fn clear(&mut self) {
        self.named.clear();
        self.documents.clear();
    }
}

/// None where accounts were taken of another history than the books that were told to be at hand.
type Taken = Result<Option<Box<dyn Reserved>>, Fault>;

pub struct Decider {
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    epoch: Arc<AtomicU64>,
    companions: Companions,
    books: Books,
    /// The epoch `books` and `under_way` belong to.
    books_epoch: u64,
    /// The group being written and the one being settled, of which no read may tell yet.
    under_way: [Decided; 2],
    /// The group being decided.
    decided: Decided,
    /// What the store said of the names of this group.
    recalled: Names<Place>,
    /// What their keys stand for, as far as it could be read in one go.
    repeated: HashMap<Place, Arc<Transaction>>,
    /// Accounts of this group whose books cannot be read, and what is told of them: no other account waits for these.
    unreadable: HashMap<AccountNumber, Turned>,
    changes: Vec<Change>,
    /// Transactions of this group that time brought about.
    brought: usize,
}

impl Decider {
    pub fn new(store: Arc<dyn Store>, clock: Arc<Clock>, epoch: Arc<AtomicU64>, companions: Companions) -> Decider {
        Decider {
            store,
            clock,
            epoch,
            companions,
            books: Books::default(),
            books_epoch: 0,
            under_way: Default::default(),
            decided: Decided::default(),
            recalled: Names::default(),
            repeated: HashMap::new(),
            unreadable: HashMap::new(),
            changes: Vec::new(),
            brought: 0,
        }
    }

    pub fn run(mut self, committer: &Committer, waiting: &Receiver<Message>, hand_over: &Sender<Group>) {
        while let Ok(first) = waiting.recv() {
            let (tickets, is_last) = gather(first, waiting);
            let asks = asks_in(&tickets);
            let Ok(group) = self.guarded(|it| it.decide_group(tickets)) else {
                committer.lost(asks);
                if is_last {
                    return;
                }
                continue;
            };
            let Some(is_served) = committer.take(group, hand_over) else { return };
            if is_last {
                return;
            }
            if is_served {
                // With all before it: reads find them.
                self.under_way.iter_mut().for_each(Decided::clear);
            } else {
                // It was taken, so the one before is written, and all before that are settled: reads find those.
                self.under_way.rotate_right(1);
                std::mem::swap(&mut self.under_way[0], &mut self.decided);
            }
        }
    }

    /// Does something that may panic: what is asked of one account must not take all others along. Nothing that was at
    /// hand is trusted afterwards.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Decider) -> T) -> thread::Result<T> {
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if done.is_err() {
            self.give_up();
        }
        done
    }

    /// Forgets all books, and what was decided last.
    pub fn give_up(&mut self) {
        self.books.clear();
        self.changes.clear();
    }

    fn decide_group(&mut self, tickets: Vec<Ticket>) -> Group {
        self.begin();
        match self.recall(&tickets) {
            Ok(()) => self.decide_all(tickets),
            Err(fault) => {
                let turned = failed(&fault);
                let served = tickets.into_iter().map(|it| (vec![turned.clone(); it.asks.len()], it)).collect();
                Group { epoch: self.books_epoch, changes: Arc::default(), served }
            }
        }
    }

    /// Forgets what is of an epoch that has ended, and the group before.
    fn begin(&mut self) {
        let epoch = self.epoch.load(Ordering::Acquire);
        if epoch != self.books_epoch {
            self.books.clear();
            self.under_way.iter_mut().for_each(Decided::clear);
            self.books_epoch = epoch;
        }
        self.books.keep_up(self.store.breaks());
        self.decided.clear();
        self.unreadable.clear();
        self.brought = 0;
    }

    /// Decides all of a group, whose names and books have been recalled.
    fn decide_all(&mut self, tickets: Vec<Ticket>) -> Group {
        self.changes.reserve(tickets.iter().map(|it| it.asks.len()).sum());
        let served = tickets.into_iter().map(|ticket| self.serve(ticket)).collect();
        Group { epoch: self.books_epoch, changes: Arc::new(std::mem::take(&mut self.changes)), served }
    }

    /// Takes the accounts of some asks until these are committed, and recalls what is news of them. For stores that
    /// others commit to as well; nothing is under way meanwhile.
    pub fn reserve(&mut self, grip: Grip, asks: &[&Ask]) -> Taken {
        self.begin();
        let names: Vec<NameHash> = asks.iter().copied().flat_map(names_of).collect();
        let mut accounts = sorted(asks.iter().map(|it| it.account));
        match self.take(grip, &names, &accounts) {
            Err(fault) if !fault.is_away => {
                // What does not fit may be what is at hand.
                self.forget(accounts.iter().copied());
                self.set_apart(&mut accounts)?;
                self.take(grip, &names, &accounts)
            }
            taken => taken,
        }
    }

    fn take(&mut self, grip: Grip, names: &[NameHash], accounts: &[AccountNumber]) -> Taken {
        let at_hand = |it: &AccountNumber| (*it, self.books.get(*it).cloned());
        let accounts: Vec<(AccountNumber, Option<Arc<Book>>)> = accounts.iter().map(at_hand).collect();
        let reserved = self.store.reserve(grip, names, &accounts)?;
        let mut reserved = reserved.expect("a store that others commit to can be reserved");
        if !self.books.keep_up(self.store.breaks()) {
            reserved.release();
            return Ok(None);
        }
        let found = reserved.recalled();
        assert_eq!((found.named.len(), found.books.len()), (names.len(), accounts.len()), "each is answered");
        self.hear(names, found.named);
        for ((account, at_hand), book) in accounts.into_iter().zip(found.books) {
            match book {
                Some(book) => self.books.keep(account, book),
                None if at_hand.is_none() => self.books.keep(account, Arc::new(Book::open(account))),
                None => {}
            }
        }
        Ok(Some(reserved))
    }

    /// What comes of each of some asks whose accounts were taken, and what is to be written for it.
    pub fn decide_each(&mut self, asks: &[&Ask]) -> (Vec<Turned>, Vec<Change>) {
        let now = self.clock.now();
        self.changes.reserve(asks.len());
        let turned = asks.iter().map(|ask| self.decide(ask, now)).collect();
        (turned, std::mem::take(&mut self.changes))
    }

    /// Drops the books of accounts: what was decided on them was not written.
    pub fn forget(&mut self, accounts: impl Iterator<Item = AccountNumber>) {
        accounts.for_each(|it| self.books.drop(it));
    }

    /// One read for all that the group may ask of the store.
    fn recall(&mut self, tickets: &[Ticket]) -> Result<(), Fault> {
        let asks = || tickets.iter().flat_map(|it| &it.asks);
        let names: Vec<NameHash> = asks().flat_map(names_of).collect();
        let mut accounts = sorted(asks().map(|it| it.account).filter(|it| !self.books.contains(*it)));
        let found = match self.store.recall(&names, &accounts) {
            Err(fault) if !fault.is_away => {
                self.set_apart(&mut accounts)?;
                self.store.recall(&names, &accounts)?
            }
            found => found?,
        };
        assert_eq!((found.named.len(), found.books.len()), (names.len(), accounts.len()), "each is answered");
        self.hear(&names, found.named);
        for (account, book) in accounts.into_iter().zip(found.books) {
            self.books.keep(account, book.unwrap_or_else(|| Arc::new(Book::open(account))));
        }
        Ok(())
    }

    /// What the store said of the names of this group. What keys stand for is going to be told again: it is read at
    /// once, for others wait for these accounts meanwhile.
    fn hear(&mut self, names: &[NameHash], places: Vec<Option<Place>>) {
        self.recalled.clear();
        self.repeated.clear();
        self.recalled.extend(names.iter().zip(places).filter_map(|(name, place)| Some((*name, place?))));
        let mut places: Vec<Place> = self.recalled.iter().filter(|it| it.0.is_key()).map(|it| *it.1).collect();
        places.sort_unstable();
        places.dedup();
        if 1 < places.len()
            && let Ok(found) = self.store.transactions_at(&places)
        {
            self.repeated.extend(places.into_iter().zip(found).filter_map(|(place, it)| Some((place, it?))));
        }
    }

    /// Takes those whose books cannot be read out of some accounts: what is asked of them fails, and nothing else.
    fn set_apart(&mut self, accounts: &mut Vec<AccountNumber>) -> Result<(), Fault> {
        let unreadable = store::read_apart(&*self.store, accounts)?.unreadable;
        self.unreadable.extend(unreadable.iter().map(|(account, fault)| (*account, failed(fault))));
        accounts.retain(|it| !self.unreadable.contains_key(it));
        Ok(())
    }

    fn serve(&mut self, ticket: Ticket) -> (Vec<Turned>, Ticket) {
        let now = self.clock.now();
        let mut turned = Vec::with_capacity(ticket.asks.len());
        for some in ticket.asks.chunks(LOOKED_AT) {
            for ask in some {
                self.books.look_at(ask.account);
            }
            turned.extend(some.iter().map(|ask| self.decide(ask, now)));
        }
        (turned, ticket)
    }

    fn decide(&mut self, ask: &Ask, now: Timestamp) -> Turned {
        if let Some(told) = self.unreadable.get(&ask.account) {
            return told.clone();
        }
        if let Some(key) = &ask.key {
            match self.find(key.name) {
                Err(fault) => return failed(&fault),
                Ok(Some(before)) if before.origin.request == key.request => {
                    return Turned::Done { transaction: before, is_replay: true };
                }
                Ok(Some(_)) => return Turned::Refused(Refusal::IdempotencyConflict),
                Ok(None) => {}
            }
        }
        if ask.fact.is_some_and(|it| self.is_settled(it)) {
            return Turned::Overtaken;
        }
        match self.follows(&ask.also) {
            Err(fault) => return failed(&fault),
            Ok(false) => return Turned::Overtaken,
            Ok(true) => {}
        }
        let at = ask.decided_at(now);
        match self.settle(ask, at, self.room_for(ask)) {
            Err(fault) => return failed(&fault),
            Ok(true) => {}
            // What was posted stays; whoever asked for more than time's own comes again when the rest is.
            Ok(false) if ask.command.is_some() => return Turned::Busy,
            Ok(false) => return Turned::Unfinished,
        }
        let Some(command) = &ask.command else { return Turned::Idle };
        let command = match &ask.once {
            Some(once) => match self.unless_paid(once, command) {
                Ok(command) => command,
                Err(fault) => return failed(&fault),
            },
            None => command,
        };
        let book = self.books.get(ask.account).expect("its book was recalled");
        match book.decide(command, at) {
            Err(refusal) => Turned::Refused(refusal),
            Ok(mut transaction) => {
                transaction.origin = Origin {
                    key: ask.key.as_ref().map(|it| Arc::clone(&it.text)),
                    request: ask.key.as_ref().map_or(0, |it| it.request),
                    by: ask.by.clone(),
                };
                let settled = match self.settled_too(&transaction, ask.once.as_deref()) {
                    Ok(settled) => settled,
                    Err(fault) => return failed(&fault),
                };
                let key = ask.key.as_ref().map(|it| it.name);
                let transaction = self.post(transaction, key, (ask.fact, settled));
                self.bring(&ask.also);
                // What this command brought about belongs to it: it is written with it, or neither is.
                if let Err(fault) = self.settle(ask, at, usize::MAX) {
                    return failed(&fault);
                }
                Turned::Done { transaction, is_replay: false }
            }
        }
    }

    /// How much of what time has brought about may be posted for an ask.
    fn room_for(&self, ask: &Ask) -> usize {
        match ask.command {
            Some(_) => CATCH_UP_MAX.min(CATCH_UP_GROUP_MAX.saturating_sub(self.brought)),
            None => BROUGHT_MAX.saturating_sub(self.brought),
        }
    }

    /// Posts what time has brought about on the account, and says whether that was all of it.
    fn settle(&mut self, ask: &Ask, now: Timestamp, mut room: usize) -> Result<bool, Fault> {
        loop {
            let Some(book) = self.books.get(ask.account) else {
                // A generation has ended since the group's books were recalled.
                let found = self.store.recall(&[], &[ask.account])?.books.pop().flatten();
                self.books.keep(ask.account, found.unwrap_or_else(|| Arc::new(Book::open(ask.account))));
                continue;
            };
            let Some((command, when)) = book.due(now) else { return Ok(true) };
            if room == 0 {
                return Ok(false);
            }
            room -= 1;
            let transaction = book.decide(&command, when).expect("what is due is never refused");
            let fact = match command {
                Command::ExpireHold { hold } => Some(NameHash::hold_end(hold)),
                _ => None,
            };
            let settled = self.settled_too(&transaction, None)?;
            self.post(transaction, None, (fact, settled));
            self.brought += 1;
        }
    }

    /// Posts a transaction, and with it what it settles beside its fact: in its own name, or where that is taken, by a
    /// note.
    fn post(
        &mut self,
        transaction: Transaction,
        key: Option<NameHash>,
        (fact, too): (Option<NameHash>, Option<NameHash>),
    ) -> Arc<Transaction> {
        let posted = self.post_one(transaction, key, fact.or(too));
        if fact.is_some() && too.is_some() {
            let book = self.books.get(posted.place.account).expect("it was decided on its book");
            let note = book.decide(&Command::Note, posted.at).expect("a note is never refused");
            self.post_one(note, None, too);
        }
        posted
    }

    fn post_one(
        &mut self,
        transaction: Transaction,
        key: Option<NameHash>,
        fact: Option<NameHash>,
    ) -> Arc<Transaction> {
        let transaction = Arc::new(transaction);
        let book = self.books.get(transaction.place.account).expect("it was decided on its book");
        let brought = (self.companions)(book, &transaction);
        Arc::make_mut(book).apply(&transaction);
        self.decided.named.insert(key.into_iter().chain(fact), &transaction);
        let (posted, book) = (Arc::clone(&transaction), Arc::clone(book));
        self.changes.push(Change::Post(Post { transaction: posted, book, key, fact }));
        self.bring(&brought);
        transaction
    }

    /// Whether each document among `also` is the next version of what is known of it, and a profile made of what it is.
    fn follows(&self, also: &[Change]) -> Result<bool, Fault> {
        for change in also {
            let follows = match change {
                Change::Document(document) => document.version == self.version_of(document)? + 1,
                Change::Account { was, .. } => self.store.account_numbered(was.number)?.as_ref() == Some(&**was),
                _ => true,
            };
            if !follows {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The version that a document is known to be at.
    fn version_of(&self, document: &Document) -> Result<u64, Fault> {
        if let Some(version) = self.decided.documents.of(document) {
            return Ok(version);
        }
        // Under way or there by now, and then perhaps moved on by somebody else.
        let under_way = self.under_way.iter().find_map(|it| it.documents.of(document));
        let stored = self.store.document(document.account, &document.kind, &document.id)?;
        Ok(stored.map_or(0, |it| it.version).max(under_way.unwrap_or(0)))
    }

    fn bring(&mut self, also: &[Change]) {
        for change in also {
            if let Change::Document(document) = change {
                self.decided.documents.keep(document);
            }
            self.changes.push(change.clone());
        }
    }

    fn is_settled(&self, name: NameHash) -> bool {
        self.not_read_yet().any(|it| it.named.has(name)) || self.recalled.contains_key(&name)
    }

    /// Groups of which no read tells, the newest first.
    fn not_read_yet(&self) -> impl Iterator<Item = &Decided> {
        iter::once(&self.decided).chain(&self.under_way)
    }

    fn find(&self, name: NameHash) -> Result<Option<Arc<Transaction>>, Fault> {
        if let Some(transaction) = self.not_read_yet().find_map(|it| it.named.get(name)) {
            return Ok(Some(Arc::clone(transaction)));
        }
        match self.recalled.get(&name) {
            None => Ok(None),
            Some(place) if let Some(transaction) = self.repeated.get(place) => Ok(Some(Arc::clone(transaction))),
            Some(place) => match self.store.transaction(*place)? {
                Some(transaction) => Ok(Some(transaction)),
                None => Err(Fault::new("replaying a request", format!("{place} is named and not in the journal"))),
            },
        }
    }
}

/// How many asks some tickets have.
pub fn asks_in(tickets: &[Ticket]) -> usize {
    tickets.iter().map(|it| it.asks.len()).sum()
}

/// Each once, in order.
fn sorted(accounts: impl Iterator<Item = AccountNumber>) -> Vec<AccountNumber> {
    let mut accounts: Vec<AccountNumber> = accounts.collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}

fn names_of(ask: &Ask) -> impl Iterator<Item = NameHash> {
    let key = ask.key.as_ref().map(|it| it.name);
    let once = ask.once.iter().flat_map(|it| once::names_in(it)).flat_map(|it| [it, it.freed(1)]);
    key.into_iter().chain(ask.fact).chain(once)
}

fn failed(fault: &Fault) -> Turned {
    tracing::error!(fault = %fault, "deciding failed");
    Turned::of(fault)
}

/// All who wait, up to a group's worth, and whether they are the last.
pub fn gather(first: Message, waiting: &Receiver<Message>) -> (Vec<Ticket>, bool) {
    let mut tickets = Vec::new();
    let mut asks = 0;
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Stop => return (tickets, true),
            Message::Ticket(ticket) => {
                asks += ticket.asks.len();
                tickets.push(ticket);
            }
        }
        next = if asks < GROUP_MAX { waiting.try_recv().ok() } else { None };
    }
    (tickets, false)
}
