//! Which credits pay for which work: those of scoped grants for theirs alone, general ones for any.
//!
//! What is available is the sum of both, and so says nothing of what is left for a piece of work. Lines (credits run
//! low, run out, are bought again) are about work that would be refused, so they are measured here.
use alloc::vec::Vec;

use super::journal::{Balance, Draw, Pot, Transaction, What};
use super::{Book, Grant, Scope};
use crate::id::Name;
use crate::money::Credits;
use crate::time::Timestamp;
use crate::usage::SERVER_METER;

/// The meter and the project of work that only general credits pay for.
const ANY_WORK: (&str, Option<&Name>) = ("", None);

impl Book {
    /// Whether a grant is for some work only. They come first in draw order, so one look is enough.
    pub fn has_scoped(&self) -> bool {
        self.grants.first().is_some_and(|it| !it.is_general())
    }

    /// What could be spent at `at` on any work whatever: what is available, but for scoped credits.
    pub fn general(&self, at: Timestamp) -> Credits {
        self.spendable(ANY_WORK.0, ANY_WORK.1, at)
    }

    /// Credits of live grants that are for some work only, by their scope in draw order, at `at`: free ones, less what
    /// running servers have used of them. Where something is owed, less than their sum may be available.
    pub fn scoped(&self, at: Timestamp) -> Vec<(&Scope, Credits)> {
        let mut sums: Vec<(&Scope, Credits)> = Vec::new();
        let mut accrued = if self.has_scoped() { self.accrued(at).at_least_zero() } else { Credits::ZERO };
        for grant in self.grants.iter().take_while(|it| !it.is_general()).filter(|it| it.live_at(at)) {
            let taken = self.burnt_from(grant, at).min(accrued);
            accrued -= taken;
            let (scope, left) = (&grant.terms.scope, grant.remaining - taken);
            match sums.iter_mut().find(|it| it.0 == scope) {
                Some(sum) => sum.1 += left,
                None if left.is_positive() => sums.push((scope, left)),
                None => {}
            }
        }
        sums
    }

    /// What could be spent at `at` on other work than servers': what is available, but for what is for servers only.
    pub fn beside_servers(&self, at: Timestamp) -> Credits {
        let only_servers = |it: &Scope| !it.meters.is_empty() && it.meters.iter().all(|it| &**it == SERVER_METER);
        let apart: Credits = self.scoped(at).iter().filter(|it| only_servers(it.0)).map(|it| it.1).sum();
        self.balance(at).available() - apart
    }

    /// What was unspent for the work that `transaction` is about, before it and after. What is held counts as unspent.
    ///
    /// That is what general credits there are, as long as there are any: they are drawn last, so whoever draws them has
    /// no others. Where there are none, it is what pays for this very work: so credits for some work are a line of
    /// their own, and no line is told of twice because two kinds of work come to it one after the other.
    pub fn unspent(&self, transaction: &Transaction) -> (Credits, Credits) {
        let total = |it: Balance| it.posted - it.accrued;
        // As it was last written down: what time has used since then counts as well.
        let was = total(self.balance(self.at));
        let now = total(transaction.after);
        if !self.has_scoped() && !brings_scoped(&transaction.what) {
            return (was, now);
        }
        let moved = self.moved_by(transaction);
        let for_work = |(meter, project): (&str, Option<&Name>)| {
            let apart = match &moved {
                Some(after) => after.apart(meter, project, transaction.at),
                None => self.apart(meter, project, transaction.at) - self.drawn_apart(meter, project, transaction),
            };
            (was - self.apart(meter, project, self.at), now - apart)
        };
        let general = for_work(ANY_WORK);
        if general.0.is_positive() { general } else { for_work(self.work_of_transaction(transaction)) }
    }

    /// Unspent credits that do not pay for work of `meter` for `project`, less what running servers have used of them.
    fn apart(&self, meter: &str, project: Option<&Name>, at: Timestamp) -> Credits {
        let others = self.grants.iter().filter(|it| !it.admits(meter, project));
        let unspent = |it: &Grant| it.held + if it.live_at(at) { it.remaining } else { Credits::ZERO };
        others.map(unspent).sum::<Credits>() - self.burnt_apart(meter, project, at)
    }

    /// What a charge draws of credits that do not pay for work of `meter` for `project`. What a settlement draws
    /// servers have used before.
    fn drawn_apart(&self, meter: &str, project: Option<&Name>, transaction: &Transaction) -> Credits {
        let What::Charged { draws, settled: None, .. } = &transaction.what else { return Credits::ZERO };
        let is_apart = |it: &&Draw| self.grant(it.grant).is_some_and(|it| !it.admits(meter, project));
        draws.iter().filter(|it| it.pot != Pot::Expired).filter(is_apart).map(|it| it.credits).sum()
    }

    /// The book after a transaction that moves credits of grants otherwise than by drawing or holding them.
    fn moved_by(&self, transaction: &Transaction) -> Option<Book> {
        let moves = matches!(
            transaction.what,
            What::Granted { .. }
                | What::Reversed(_)
                | What::Voided { .. }
                | What::Expired { .. }
                | What::Withdrawn(_)
                | What::Restored { .. }
                | What::Frozen { .. }
        );
        moves.then(|| {
            let mut after = self.clone();
            after.apply(transaction);
            after
        })
    }

    /// The work a transaction is about: its own, or the first that a grant is for. Credits for servers only bring no
    /// other work back; of servers the ladder tells.
    fn work_of_transaction<'a>(&'a self, transaction: &'a Transaction) -> (&'a str, Option<&'a Name>) {
        let of_scope = |it: &'a Scope| match it.meters.iter().find(|it| &***it != SERVER_METER) {
            None if !it.meters.is_empty() => ANY_WORK,
            meter => (meter.map_or(ANY_WORK.0, |it| &**it), it.projects.first()),
        };
        let of_grant = |id| self.grant(id).map_or(ANY_WORK, |it| of_scope(&it.terms.scope));
        match &transaction.what {
            What::Charged { work, .. } | What::Held { work, .. } => (&work.usage.meter, work.project.as_ref()),
            What::Reversed(it) => (&it.work.usage.meter, it.work.project.as_ref()),
            What::Extended { hold, .. } | What::Released { hold, .. } => {
                let work = self.hold(*hold).map(|it| &it.work);
                work.map_or(ANY_WORK, |it| (&it.usage.meter, it.project.as_ref()))
            }
            What::Granted { terms, .. } | What::Restored { terms, .. } => of_scope(&terms.scope),
            What::Voided { grant, .. } | What::Expired { grant, .. } | What::Frozen { grant, .. } => of_grant(*grant),
            What::Withdrawn(it) => of_grant(it.grant),
            _ => ANY_WORK,
        }
    }
}

/// Whether credits for some work only come with it.
fn brings_scoped(what: &What) -> bool {
    match what {
        What::Granted { terms, .. } | What::Restored { terms, .. } => !terms.scope.is_general(),
        What::Reversed(it) => it.reopened.iter().any(|(_, terms)| !terms.scope.is_general()),
        _ => false,
    }
}
