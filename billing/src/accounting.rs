//! Accounting: what an account's transactions come to in credits and in money, one transaction at a time.
//!
//! Paid credits are money received for work not yet done: **deferred**. It is **recognised** as revenue when the
//! credits go: by use, or because they expire or are taken back unspent (breakage). What a grant has recognised is
//!
//! > its cost × credits gone ÷ its credits, rounded down to the minor unit; with its last credit, all that is left.
//!
//! That is the one rounding. It is by grant and from the grant's beginning, so months of a grant add up to its cost,
//! and recognised + deferred = received − refunded − taken back by banks, to the minor unit, always.
//!
//! Sums are totals: of an account's month they are the size of what went through it, of a house of what all have.
//! Must never know months: a tally does not ask when. Invariant: what is summed of the ledger is zero.
use alloc::collections::BTreeMap;

use crate::id::GrantId;
use crate::ledger::{Cause, Entry, LedgerAccount, Reversal, Terms, Transaction, What};
use crate::money::{Credits, Currency, Money};
use crate::time::{Span, Timestamp};
use crate::total::TotalCredits;

/// A grant somebody paid for, as the accounts see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PaidGrant {
    /// Tax aside.
    pub cost: Money,
    pub credits: Credits,
    pub used: Credits,
    /// Expired, or taken back unspent.
    pub forfeited: Credits,
    /// Gone back for money, unspent, or spent and reversed since.
    pub returned: Credits,
    /// What went back for those and for others that were spent, in minor units.
    pub refunded: i64,
}

/// Revenue, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Revenue {
    /// Credits that were used.
    pub used: i128,
    /// Credits that never will be.
    pub breakage: i128,
}

impl PaidGrant {
    /// None for a grant nobody paid for.
    pub fn of(terms: &Terms) -> Option<PaidGrant> {
        let none = Credits::ZERO;
        let of =
            |cost| PaidGrant { cost, credits: terms.credits, used: none, forfeited: none, returned: none, refunded: 0 };
        terms.cost.filter(|_| terms.credits.is_positive()).map(of)
    }

    /// Credits the account still has of it.
    pub fn left(&self) -> Credits {
        self.credits - self.used - self.forfeited - self.returned
    }

    /// Nothing of it is left; only a correction can change that.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Recognised so far, in minor units.
    fn earned(&self) -> i64 {
        let kept = self.cost.amount - self.refunded;
        if self.is_over() {
            return kept;
        }
        share(self.cost.amount, self.used + self.forfeited, self.credits).min(kept)
    }

    pub fn revenue(&self) -> Revenue {
        let (earned, gone) = (self.earned(), self.used + self.forfeited);
        let breakage = if gone.is_positive() { share(earned, self.forfeited, gone) } else { 0 };
        Revenue { used: i128::from(earned - breakage), breakage: i128::from(breakage) }
    }

    /// Received for credits that are still there.
    pub fn deferred(&self) -> i64 {
        self.cost.amount - self.refunded - self.earned()
    }

    fn take(&mut self, entry: &Entry) {
        let credits = entry.credits;
        match (&entry.from, &entry.to) {
            (LedgerAccount::Grants | LedgerAccount::Held, LedgerAccount::Usage(_) | LedgerAccount::Debt) => {
                self.used += credits;
            }
            (LedgerAccount::Usage(_), LedgerAccount::Grants | LedgerAccount::Held) => self.used -= credits,
            (LedgerAccount::Breakage, LedgerAccount::Usage(_)) => {
                self.forfeited -= credits;
                self.used += credits;
            }
            (LedgerAccount::Usage(_), LedgerAccount::Breakage) => {
                self.used -= credits;
                self.forfeited += credits;
            }
            (LedgerAccount::Grants, LedgerAccount::Breakage | LedgerAccount::Voided) => self.forfeited += credits,
            (LedgerAccount::Grants, LedgerAccount::Refunded | LedgerAccount::Clawback) => self.returned += credits,
            (LedgerAccount::Breakage, LedgerAccount::Refunded | LedgerAccount::Clawback) => {
                self.forfeited -= credits;
                self.returned += credits;
            }
            (LedgerAccount::Refunded | LedgerAccount::Clawback, LedgerAccount::Grants) => self.returned -= credits,
            // Into a hold and out of it; or its own beginning.
            _ => {}
        }
    }
}

/// `whole` × `part` ÷ `all`, rounded down.
fn share(whole: i64, part: Credits, all: Credits) -> i64 {
    let exact = i128::from(whole) * i128::from(part.micros());
    i64::try_from(exact.div_euclid(i128::from(all.micros()))).expect("a share is no more than the whole")
}

/// Money of one currency that some transactions moved, in minor units, tax aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Takings {
    /// For grants.
    pub received: i128,
    pub refunded: i128,
    /// By lost disputes.
    pub clawed_back: i128,
    pub revenue: Revenue,
}

impl Takings {
    /// What they added to what is deferred.
    pub fn deferred(&self) -> i128 {
        self.received - self.refunded - self.clawed_back - self.revenue.used - self.revenue.breakage
    }
    pub fn add(&mut self, other: &Takings) {
        self.received += other.received;
        self.refunded += other.refunded;
        self.clawed_back += other.clawed_back;
        self.revenue.used += other.revenue.used;
        self.revenue.breakage += other.revenue.breakage;
    }
}

/// What some transactions came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    pub transactions: u64,
    /// What each ledger account gained. Together zero.
    pub ledger: BTreeMap<LedgerAccount, TotalCredits>,
    pub money: BTreeMap<Currency, Takings>,
}

impl Sums {
    pub fn add(&mut self, other: &Sums) {
        self.transactions += other.transactions;
        for (account, credits) in &other.ledger {
            *self.ledger.entry(account.clone()).or_default() += *credits;
        }
        for (currency, takings) in &other.money {
            self.money.entry(*currency).or_default().add(takings);
        }
    }

    /// What one ledger account gained.
    pub fn of(&self, account: &LedgerAccount) -> TotalCredits {
        self.ledger.get(account).copied().unwrap_or_default()
    }

    /// What customers have: free, in holds, less what they owe.
    pub fn outstanding(&self) -> TotalCredits {
        self.of(&LedgerAccount::Grants) + self.of(&LedgerAccount::Held) + self.of(&LedgerAccount::Debt)
    }
}

/// The instant by which a transaction is put in a day and in a month: its own. But what a server used up to the very
/// instant it is settled at was used before it, so the hour that ends a month is of that month, though it is settled as
/// the next begins. What was told late is settled when it is told, beyond the stretch it is of, and is of that time.
pub fn booked_at(transaction: &Transaction) -> Timestamp {
    let until = match &transaction.what {
        What::Charged { settled: Some(it), .. } | What::Reversed(Reversal { settled: Some(it), .. }) => it.until,
        _ => None,
    };
    if until == Some(transaction.at) { transaction.at - Span::from_millis(1) } else { transaction.at }
}

/// How far an account's transactions are counted, and the paid grants that those to come may touch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub version: u64,
    pub paid: BTreeMap<GrantId, PaidGrant>,
}

impl Tally {
    /// Counts the account's next transaction. `forgotten` is asked for a paid grant that was over and is not in the
    /// tally any more, when a correction reaches back to it.
    pub fn count(
        &mut self,
        transaction: &Transaction,
        forgotten: &mut dyn FnMut(GrantId) -> Option<PaidGrant>,
    ) -> Sums {
        assert_eq!(transaction.place.version, self.version + 1, "transactions are counted in order, once each");
        self.version += 1;
        let mut sums = Sums { transactions: 1, ..Sums::default() };
        if let Some((grant, terms)) = transaction.granted()
            && let Some(paid) = PaidGrant::of(terms)
        {
            sums.money.entry(paid.cost.currency).or_default().received += i128::from(paid.cost.amount);
            self.paid.insert(grant, paid);
        }
        self.withdraw(transaction, &mut sums, forgotten);
        for entry in transaction.entries() {
            *sums.ledger.entry(entry.from.clone()).or_default() -= entry.credits;
            *sums.ledger.entry(entry.to.clone()).or_default() += entry.credits;
            let reaches_back = matches!(entry.from, LedgerAccount::Usage(_) | LedgerAccount::Breakage);
            let Some(grant) = entry.grant else { continue };
            self.change(
                grant,
                &mut sums,
                |it| it.take(&entry),
                if reaches_back { Some(&mut *forgotten) } else { None },
            );
        }
        self.unlose(transaction, &mut sums, forgotten);
        sums
    }

    /// What was spent of a grant when its money went back, and came back since: it was not used, nor left to expire.
    fn unlose(
        &mut self,
        transaction: &Transaction,
        sums: &mut Sums,
        forgotten: &mut dyn FnMut(GrantId) -> Option<PaidGrant>,
    ) {
        let repaid;
        let unlost = match &transaction.what {
            What::Reversed(reversal) => &reversal.unlost[..],
            What::Repaid { grant, unlost, .. } if unlost.is_positive() => {
                repaid = [(*grant, *unlost)];
                &repaid
            }
            _ => return,
        };
        for (grant, credits) in unlost {
            let unuse = |it: &mut PaidGrant| {
                it.used -= *credits;
                it.returned += *credits;
            };
            self.change(*grant, sums, unuse, Some(&mut *forgotten));
        }
    }

    /// The money of a refund, of a lost dispute, or of a refund that failed after all.
    fn withdraw(
        &mut self,
        transaction: &Transaction,
        sums: &mut Sums,
        forgotten: &mut dyn FnMut(GrantId) -> Option<PaidGrant>,
    ) {
        let (withdrawal, net) = match &transaction.what {
            What::Withdrawn(it) => (it, it.net),
            What::Restored { withdrawal, .. } => (withdrawal, -withdrawal.net),
            _ => return,
        };
        let known = self.change(withdrawal.grant, sums, |it| it.refunded += net, Some(forgotten));
        let Some(currency) = known else { return };
        let takings = sums.money.entry(currency).or_default();
        match withdrawal.cause {
            Cause::Refund => takings.refunded += i128::from(net),
            Cause::Dispute => takings.clawed_back += i128::from(net),
        }
    }

    /// Changes a paid grant, and adds what that does to revenue. Its currency; None for one nobody paid for.
    fn change(
        &mut self,
        grant: GrantId,
        sums: &mut Sums,
        change: impl FnOnce(&mut PaidGrant),
        forgotten: Option<&mut dyn FnMut(GrantId) -> Option<PaidGrant>>,
    ) -> Option<Currency> {
        let mut known = self.paid.get(&grant).copied();
        if known.is_none() {
            known = forgotten.and_then(|look| look(grant));
        }
        let mut paid = known?;
        let before = paid.revenue();
        change(&mut paid);
        assert!(Credits::ZERO <= paid.left(), "no more goes of a grant than there was");
        let after = paid.revenue();
        let revenue = &mut sums.money.entry(paid.cost.currency).or_default().revenue;
        revenue.used += after.used - before.used;
        revenue.breakage += after.breakage - before.breakage;
        self.paid.insert(grant, paid);
        Some(paid.cost.currency)
    }

    /// The tally as it is carried into the next month: without what is over. Those are where they were found last.
    pub fn carried(&self) -> Tally {
        let open = self.paid.iter().filter(|(_, it)| !it.is_over()).map(|(id, it)| (*id, *it));
        Tally { version: self.version, paid: open.collect() }
    }

    pub fn deferred(&self, currency: Currency) -> i128 {
        self.paid.values().filter(|it| it.cost.currency == currency).map(|it| i128::from(it.deferred())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_earns_as_its_credits_go_and_all_of_it_with_the_last() {
        let grant = |used: i64, forfeited: i64, returned: i64, refunded| PaidGrant {
            cost: Money { amount: 1_000, currency: Currency::EUR },
            credits: Credits::whole(300),
            used: Credits::whole(used),
            forfeited: Credits::whole(forfeited),
            returned: Credits::whole(returned),
            refunded,
        };
        for (used, forfeited, returned, refunded, (earned, breakage, deferred)) in [
            (0, 0, 0, 0, (0, 0, 1_000)),
            (100, 0, 0, 0, (333, 0, 667)),
            (200, 0, 0, 0, (666, 0, 334)),
            (300, 0, 0, 0, (1_000, 0, 0)),
            (100, 100, 0, 0, (333, 333, 334)),
            (0, 300, 0, 0, (0, 1_000, 0)),
            (100, 0, 200, 666, (334, 0, 0)),
            (100, 0, 100, 333, (333, 0, 334)),
            // A bank took all of it back: what was earned is earned no more.
            (100, 0, 200, 1_000, (0, 0, 0)),
            (300, 0, 0, 1_000, (0, 0, 0)),
        ] {
            let grant = grant(used, forfeited, returned, refunded);
            let revenue = grant.revenue();
            assert_eq!((revenue.used, revenue.breakage, grant.deferred()), (earned, breakage, deferred), "{grant:?}");
        }
    }

    /// What a house that sells at a hundredth of a cent, or in a currency of many zeros, comes to in a lifetime.
    #[test]
    fn what_all_accounts_come_to_is_exact_beyond_what_one_may_have() {
        let most = i128::from(i64::MAX);
        let takings =
            Takings { received: most, refunded: 5, clawed_back: 7, revenue: Revenue { used: most - 20, breakage: 3 } };
        let dong: Currency = "vnd".parse().unwrap();
        let one = Sums {
            transactions: 1,
            ledger: BTreeMap::from([
                (LedgerAccount::Issuance(crate::ledger::Source::Purchase), TotalCredits::from_micros(-most)),
                (LedgerAccount::Grants, TotalCredits::from_micros(most - 1)),
                (LedgerAccount::Held, TotalCredits::from_micros(1)),
            ]),
            money: BTreeMap::from([(dong, takings)]),
        };
        let mut all = Sums::default();
        (0..1_000).for_each(|_| all.add(&one));
        assert_eq!(all.of(&LedgerAccount::Grants).micros(), 1_000 * (most - 1));
        assert_eq!(all.outstanding().micros(), 1_000 * most);
        assert!(all.ledger.values().copied().sum::<TotalCredits>().is_zero());
        let (takings, revenue) = (all.money[&dong], all.money[&dong].revenue);
        assert_eq!((takings.received, takings.deferred()), (1_000 * most, 1_000 * (20 - 5 - 7 - 3)));
        assert_eq!((revenue.used, revenue.breakage), (1_000 * (most - 20), 3_000));
    }
}
