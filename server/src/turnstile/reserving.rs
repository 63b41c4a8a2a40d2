//! The thread of a store that others commit to as well: take the accounts, decide, commit, answer; one turn after
//! another.
//!
//! A turn has two rounds at most. In the first, accounts of which little is asked are taken loosely: nobody waits for
//! anybody, and what was decided on a book that another process changed meanwhile is not written. In the second, those
//! accounts are taken firmly, with the ones of which much is asked: nobody else changes them between being read and
//! being written. So whoever was overtaken has its turn at once, and one lock serves the many who want the same
//! account.
//!
//! All that a turn has of one account is in the same round, in the order it came. There are several of these threads,
//! and each has accounts of its own: a group is decided while others are being written.
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use billing::id::AccountNumber;
use crossbeam_channel::Receiver;
use store::{Change, CommitError, Fault, Grip};

use super::committer::{Committer, timed};
use super::decider::{Decider, asks_in, gather};
use super::{ATTEMPTS_MAX, Ask, Message, Ticket, Turned};

/// An account of which so much is asked in one turn is taken firmly: a lock costs each less than being overtaken would.
const HOT: usize = 32;
/// Fewer asks than these are taken firmly as well: to ask twice before writing would cost more than their locks.
const LOOSE_MIN: usize = 64;
/// Of so many that are asked, one that another was faster at is many.
const OVERTAKEN_MANY: usize = 4;
/// Turns after which it is forgotten at which accounts another was faster.
const CONTENDED_FOR: u32 = 32;

pub fn run(decider: Decider, committer: &Committer, waiting: &Receiver<Message>) {
    let mut turns = Turns { decider, committer, contended: HashSet::new(), since: 0 };
    while let Ok(first) = waiting.recv() {
        let (tickets, is_last) = gather(first, waiting);
        let asks = asks_in(&tickets);
        // A turn that panics lets go of what it had taken, and takes no other along.
        if asks != 0 && catch_unwind(AssertUnwindSafe(|| turns.serve(tickets))).is_err() {
            turns.decider.give_up();
            committer.lost(asks);
        }
        if is_last {
            return;
        }
    }
}

struct Turns<'a> {
    decider: Decider,
    committer: &'a Committer,
    /// Accounts at which another was faster lately: they are taken firmly at once.
    contended: HashSet<AccountNumber>,
    /// Turns since the contended were forgotten.
    since: u32,
}

/// One thing that is asked, by the places of its ticket and within it.
type Place = (usize, usize);

impl Turns<'_> {
    fn serve(&mut self, tickets: Vec<Ticket>) {
        let mut turned: Vec<Vec<Option<Turned>>> = tickets.iter().map(|it| vec![None; it.asks.len()]).collect();
        let rest = match self.rounds(&tickets, &mut turned) {
            // What was overtaken each time is told to come back.
            Ok(()) => Turned::Busy,
            Err(fault) => self.committer.failed(&fault),
        };
        let told = |it: Vec<Option<Turned>>| it.into_iter().map(|it| it.unwrap_or_else(|| rest.clone())).collect();
        self.committer.answer(turned.into_iter().map(told).zip(tickets).collect());
    }

    /// Gives each its answer, as far as there is one.
    fn rounds(&mut self, tickets: &[Ticket], turned: &mut [Vec<Option<Turned>>]) -> Result<(), Fault> {
        let (loose, mut firm) = self.parted(tickets);
        let is_worth_it = LOOSE_MIN <= loose.len();
        firm.extend(if is_worth_it { self.round(Grip::Loose, tickets, loose, turned)? } else { loose });
        firm.sort_unstable();
        for _ in 0..ATTEMPTS_MAX {
            if firm.is_empty() {
                break;
            }
            firm = self.round(Grip::Firm, tickets, firm, turned)?;
        }
        Ok(())
    }

    /// What is to be taken loosely, and what firmly.
    fn parted(&mut self, tickets: &[Ticket]) -> (Vec<Place>, Vec<Place>) {
        self.since += 1;
        if CONTENDED_FOR < self.since {
            self.contended.clear();
            self.since = 0;
        }
        let mut asked: HashMap<AccountNumber, usize> = HashMap::new();
        tickets.iter().flat_map(|it| &it.asks).for_each(|it| *asked.entry(it.account).or_default() += 1);
        // What is written beside transactions is written whole or not at all.
        let is_loose =
            |it: &Ask| it.also.is_empty() && asked[&it.account] < HOT && !self.contended.contains(&it.account);
        let firm: HashSet<AccountNumber> =
            tickets.iter().flat_map(|it| &it.asks).filter(|it| !is_loose(it)).map(|it| it.account).collect();
        let places =
            tickets.iter().enumerate().flat_map(|(ticket, it)| (0..it.asks.len()).map(move |ask| (ticket, ask)));
        places.partition(|(ticket, ask)| !firm.contains(&tickets[*ticket].asks[*ask].account))
    }

    /// Takes, decides and commits, and gives each its answer; returns what must be decided again.
    fn round(
        &mut self,
        grip: Grip,
        tickets: &[Ticket],
        places: Vec<Place>,
        turned: &mut [Vec<Option<Turned>>],
    ) -> Result<Vec<Place>, Fault> {
        let asks: Vec<&Ask> = places.iter().map(|(ticket, ask)| &tickets[*ticket].asks[*ask]).collect();
        let Some(reserved) = self.decider.reserve(grip, &asks)? else { return Ok(places) };
        let (mut answers, mut changes) = self.decider.decide_each(&asks);
        let mut late = if reserved.is_sure() { HashSet::new() } else { unsure(&asks, &answers) };
        // What is written beside transactions is written with all of them or not at all.
        let is_whole = late.is_empty() || changes.iter().all(|it| matches!(it, Change::Post(_)));
        late.extend(asks.iter().filter(|_| !is_whole).map(|it| it.account));
        leave_out(&late, &mut changes);
        if changes.is_empty() || !is_whole {
            reserved.release();
        } else {
            let (committed, took) = timed(|| reserved.commit(&changes));
            match committed {
                Ok(overtaken) => {
                    let overtaken: HashSet<AccountNumber> = overtaken.into_iter().collect();
                    leave_out(&overtaken, &mut changes);
                    self.committer.wrote(&changes, took);
                    // Where few were, they had bad luck: it will hardly be the same again.
                    if asks.len() < OVERTAKEN_MANY * overtaken.len() {
                        self.contended.extend(&overtaken);
                    }
                    late.extend(overtaken);
                }
                Err(CommitError::Stale | CommitError::Repeated) => late.extend(asks.iter().map(|it| it.account)),
                Err(CommitError::Fault(fault)) => {
                    self.decider.forget(asks.iter().map(|it| it.account));
                    let Some(account) = fault.of.filter(|of| asks.iter().any(|it| it.account == *of)) else {
                        return Err(fault);
                    };
                    // What cannot be read of one account is its own misfortune: all others are decided again.
                    let told = self.committer.failed(&fault);
                    let failed = asks.iter().zip(&mut answers).filter(|it| it.0.account == account);
                    failed.for_each(|it| *it.1 = told.clone());
                    late = asks.iter().map(|it| it.account).filter(|it| *it != account).collect();
                }
            }
        }
        self.decider.forget(late.iter().copied());
        let mut left = Vec::new();
        for ((place, ask), answer) in places.into_iter().zip(asks).zip(answers) {
            if late.contains(&ask.account) {
                left.push(place);
            } else {
                turned[place.0][place.1] = Some(answer);
            }
        }
        Ok(left)
    }
}

/// Accounts some of whose answers rest on what their books do not allow, where nothing yet says that these are the
/// newest. A charge is made sure of by its commit, and what is repeated was done whatever the book.
fn unsure(asks: &[&Ask], answers: &[Turned]) -> HashSet<AccountNumber> {
    let each = asks.iter().zip(answers);
    each.filter(|(_, answer)| !matches!(answer, Turned::Done { .. })).map(|(ask, _)| ask.account).collect()
}

/// Nothing is written of these accounts.
fn leave_out(accounts: &HashSet<AccountNumber>, changes: &mut Vec<Change>) {
    if !accounts.is_empty() {
        changes.retain(|it| !matches!(it, Change::Post(it) if accounts.contains(&it.book.account)));
    }
}
