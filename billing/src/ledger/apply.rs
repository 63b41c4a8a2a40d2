//! Applying: a transaction makes the next book of the one before. It cannot refuse; what does not fit is a bug, found
//! by an assertion before anything is committed and after anything is loaded.
use alloc::sync::Arc;

use super::grant::{Grant, Terms};
use super::journal::{Draw, Pot, Reversal, Transaction, What};
use super::{Book, Hold, LATE_MAX};
use crate::id::{GrantId, HoldId};
use crate::money::Credits;
use crate::rating::Text;
use crate::time::Timestamp;

impl Book {
    /// Folds the next transaction of this account in.
    ///
    /// # Panics
    /// When it is not the next one, when it overdraws a grant, or when the balance it states is not the balance that
    /// comes out: each is a bug, and no book that has it may be used.
    pub fn apply(&mut self, transaction: &Transaction) {
        assert_eq!(self.next_place(), transaction.place, "transactions are folded in order");
        assert!(self.at <= transaction.at, "time does not go back in {:?}", self.account);
        let at = transaction.at;
        self.keep_accrued(at);
        self.count_budgets(&transaction.what, at, transaction.place.version);
        match &transaction.what {
            What::Granted { grant, terms } => self.insert(*grant, terms).remaining += terms.credits,
            What::Repaid { grant, credits, regranted, .. } => self.apply_repaid(*grant, *credits, regranted.as_ref()),
            What::Charged { draws, owed, closing, .. } => {
                draws.iter().for_each(|it| self.take(it));
                self.debt += *owed;
                self.assert_floor(transaction);
                if let Some(closing) = closing {
                    self.give_back(&closing.released);
                    self.remove_hold(closing.hold);
                }
                if let Some((meter, value)) = transaction.paid_once() {
                    self.waive_used((meter, &value));
                }
            }
            What::Held { hold, work, draws, expires_at, .. } => {
                self.reserve(draws);
                let (draws, work) = (draws.clone(), Arc::clone(work));
                self.holds.push(Hold { id: *hold, work, used: None, draws, expires_at: *expires_at });
            }
            What::Extended { hold, draws, reserved, used, expires_at, .. } => {
                self.reserve(draws);
                let hold = self.holds.iter_mut().find(|it| it.id == *hold).expect("an extended hold is open");
                // A stream extends many times from the same grant: one draw a grant, however long it flows.
                for draw in draws {
                    match hold.draws.iter_mut().find(|it| it.grant == draw.grant) {
                        Some(reserved) => reserved.credits += draw.credits,
                        None => hold.draws.push(*draw),
                    }
                }
                assert_eq!(hold.credits(), *reserved, "a hold reserves what it says");
                hold.used.clone_from(used);
                hold.expires_at = *expires_at;
            }
            What::Released { hold, draws, .. } => {
                self.give_back(draws);
                self.remove_hold(*hold);
            }
            What::Reversed(reversal) => self.apply_reversal(reversal),
            What::Voided { grant, credits, .. } => self.known(*grant).remaining -= *credits,
            What::Expired { grant, credits } => {
                let grant = self.known(*grant);
                grant.remaining -= *credits;
                grant.expired += *credits;
            }
            What::Closed => self.closed = true,
            What::Withdrawn(it) => self.apply_withdrawn(it),
            What::Restored { withdrawal, terms } => self.apply_restored(withdrawal, terms),
            What::Frozen { grant, is_frozen, expires_at } => self.apply_frozen(*grant, *is_frozen, *expires_at, at),
            What::Topup(change) => self.apply_topup(change, at),
            What::Server(report) => self.apply_report(report, at),
            What::BurnTerms(terms) => self.apply_burn_terms(terms),
            What::Noticed | What::Budget(_) => {}
        }
        self.apply_settlement(transaction);
        self.take_notices(transaction);
        self.settle_topup(transaction);
        self.version = transaction.place.version;
        self.at = at;
        self.forget(at);
        self.due_at = self.next_due().map_or(Timestamp::NEVER, |(when, _)| when);
        assert_eq!(self.balance(at), transaction.after, "the balance stated is the balance, {:?}", transaction.id());
    }

    /// Servers take no account below its floor.
    fn assert_floor(&self, transaction: &Transaction) {
        if let What::Charged { owed, settled: Some(_), .. } = &transaction.what {
            let floor = self.burning.terms.grace.debt_max;
            assert!(owed.is_zero() || self.debt <= floor, "{:?} is below its floor", self.account);
        }
    }

    fn take_notices(&mut self, transaction: &Transaction) {
        for notice in &transaction.notices {
            self.burning.ladder.take(notice, transaction.at);
            self.take_budget_notice(notice, transaction.at);
        }
    }

    fn apply_reversal(&mut self, reversal: &Reversal) {
        for (id, terms) in &reversal.reopened {
            self.insert(*id, terms);
        }
        for draw in &reversal.draws {
            let grant = self.known(draw.grant);
            match draw.pot {
                Pot::Free => grant.remaining += draw.credits,
                Pot::Expired => grant.expired += draw.credits,
                Pot::Held => unreachable!("nothing is given back into a hold"),
            }
        }
        for (grant, credits) in &reversal.unlost {
            self.unlose(*grant, *credits);
        }
        self.debt -= reversal.forgiven;
        assert!(Credits::ZERO <= self.debt, "no more is forgiven than is owed");
        if let Some((grant, terms)) = &reversal.regranted {
            self.insert(*grant, terms).remaining += terms.credits;
        }
    }

    pub(super) fn insert(&mut self, id: GrantId, terms: &Arc<Terms>) -> &mut Grant {
        let mut grant = Grant::new(id, Arc::clone(terms), self.expiry_of(id, terms));
        grant.is_frozen = self.is_frozen(id);
        self.put(grant)
    }

    /// Puts a grant in its place in draw order.
    pub(super) fn put(&mut self, grant: Grant) -> &mut Grant {
        let place = self.grants.partition_point(|it| it.comes_before(&grant));
        self.grants.insert(place, grant);
        &mut self.grants[place]
    }

    pub(super) fn known(&mut self, id: GrantId) -> &mut Grant {
        self.grants.iter_mut().find(|it| it.id == id).expect("a grant that is drawn from is in the book")
    }

    fn take(&mut self, draw: &Draw) {
        let grant = self.known(draw.grant);
        let pot = match draw.pot {
            Pot::Free => &mut grant.remaining,
            Pot::Held => &mut grant.held,
            Pot::Expired => &mut grant.expired,
        };
        *pot -= draw.credits;
        assert!(Credits::ZERO <= *pot, "{:?} is never overdrawn", draw.grant);
    }

    fn reserve(&mut self, draws: &[Draw]) {
        for draw in draws {
            self.take(draw);
            self.known(draw.grant).held += draw.credits;
        }
    }

    /// What was held is free again. Where the grant has expired meanwhile, it is due to expire at once.
    fn give_back(&mut self, draws: &[Draw]) {
        for draw in draws {
            let grant = self.known(draw.grant);
            grant.held -= draw.credits;
            grant.remaining += draw.credits;
            assert!(Credits::ZERO <= grant.held, "no more is given back than was held");
        }
    }

    /// What is paid for now costs no other hold anything: should it expire, it captures nothing for it.
    fn waive_used(&mut self, paid: (&Text, &str)) {
        for hold in &mut self.holds {
            if let Some(used) = hold.used.as_mut().filter(|it| it.is_paid_with(paid)) {
                *used = Arc::new(used.again());
            }
        }
    }

    fn remove_hold(&mut self, hold: HoldId) {
        let place = self.holds.iter().position(|it| it.id == hold).expect("a hold that ends is open");
        self.holds.remove(place);
    }

    /// Drops grants nothing can come of: used up, or expired so long ago that no late event may draw on them.
    fn forget(&mut self, at: Timestamp) {
        self.forget_servers(at);
        self.grants.retain(|it| {
            let reachable = it.expired.is_positive() && at < it.expires_at() + LATE_MAX;
            it.remaining.is_positive() || it.held.is_positive() || reachable
        });
    }
}
