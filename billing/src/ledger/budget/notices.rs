//! What budgets give occasion to say: thresholds that are passed, servers that are to stop and may resume, and when.
//!
//! Changes nothing: what is said here, the counters take when it is applied. Invariant: a budget that is not counted
//! yet says nothing and is due for nothing, because nobody knows whether it has room.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::journal::What;
use super::super::notice::Notice;
use super::super::{Book, Due};
use super::{Budget, BudgetTerms, Counted, THRESHOLDS};
use crate::id::Name;
use crate::server::{Phase, Server};
use crate::time::Timestamp;

impl Book {
    /// What `what` gives occasion to say of budgets.
    pub(in crate::ledger) fn budget_notices(&self, what: &What, at: Timestamp, notices: &mut Vec<Notice>) {
        if self.budgets.is_none() && !matches!(what, What::Budget(_)) {
            return;
        }
        let mut next = self.budgets.as_deref().cloned().unwrap_or_default();
        next.count(what, self.hold_of(what), (at, self.version + 1));
        let servers_of = |budget: &Budget, only: fn(Phase) -> bool| -> Vec<Name> {
            let own = self.servers().iter().filter(|it| budget.terms.scope.admits_server(it) && only(it.run.phase));
            own.map(|it| it.id.clone()).collect()
        };
        let stops = |budget: &Budget| -> Vec<Name> {
            let (limit, used) = (budget.terms.limit, budget.used(at));
            let is_used_up = budget.terms.blocks && limit <= used && used.is_positive();
            if is_used_up { servers_of(budget, |it| it == Phase::Running) } else { Vec::new() }
        };
        let is_over = |budget: &Budget| budget.stop_until.is_some_and(|it| it <= at);
        for budget in self.budgets().iter().filter(|it| it.stop_until.is_some()) {
            let then = next.place_of(&budget.id).ok().map(|it| &next.0[it]);
            let has_room = |it: &Budget| it.used(at) < it.terms.limit;
            // When the period is over that is the end of it, but for servers that have used up the next one, too.
            let may_resume = |it: &Budget| has_room(it) || is_over(budget) && stops(it).is_empty();
            // One that is being counted has shown neither.
            if then.is_none_or(|it| !it.terms.blocks || it.is_counted() && may_resume(it)) {
                let servers = servers_of(budget, |it| !it.is_over());
                notices.push(Notice::BudgetResume { budget: budget.id.clone(), servers });
            }
        }
        for budget in next.0.iter().filter(|it| it.is_counted()) {
            let BudgetTerms { limit, .. } = *budget.terms;
            for Counted { start, next, used, told } in budget.periods.iter().copied() {
                let passed = budget.terms.passed(used);
                for percent in THRESHOLDS.into_iter().filter(|it| told < *it && *it <= passed) {
                    let budget = budget.id.clone();
                    notices.push(Notice::BudgetReached { budget, percent, used, limit, start, next });
                }
            }
            let servers = if budget.stop_until.is_none() || is_over(budget) { stops(budget) } else { Vec::new() };
            if !servers.is_empty() {
                notices.push(Notice::BudgetStop { budget: budget.id.clone(), servers });
            }
        }
    }

    /// When the period is over for whose rest servers were told to stop.
    pub(in crate::ledger) fn budgets_due(&self) -> Option<(Timestamp, Due)> {
        let ends = self.budgets().iter().filter(|it| it.is_counted()).filter_map(|it| it.stop_until);
        let soonest = ends.min().filter(|it| *it < Timestamp::NEVER)?;
        Some((soonest.max(self.at), Due::Budgets))
    }

    /// The settlement with which servers use a budget up that blocks, where that comes before `next`: so it is known
    /// to the millisecond, and not at the hour's end.
    pub(in crate::ledger) fn budget_settlement(&self, next: Timestamp) -> Option<(Timestamp, Due)> {
        if next <= self.at || !self.has_servers() {
            return None;
        }
        let counts = |it: &&Budget| it.terms.blocks && it.is_counted() && it.stop_until.is_none();
        self.budgets().iter().filter(counts).filter_map(|it| self.used_up_by_servers(it, next)).min_by_key(|it| it.0)
    }

    fn used_up_by_servers(&self, budget: &Budget, next: Timestamp) -> Option<(Timestamp, Due)> {
        let BudgetTerms { scope, limit, .. } = &*budget.terms;
        let left = budget.used(self.at).short_of(*limit);
        if left.is_zero() || self.accrued_in(scope, next) < left {
            return None;
        }
        let (mut before, mut when) = (self.at.millis() - 1, next.millis());
        while 1 < when - before {
            let middle = before + (when - before) / 2;
            let is_used_up = left <= self.accrued_in(scope, Timestamp::from_millis(middle));
            if is_used_up { when = middle } else { before = middle }
        }
        let when = Timestamp::from_millis(when);
        let burns = |it: &&Arc<Server>| it.run.phase == Phase::Running && scope.admits_server(it) && it.run.at < when;
        let server = self.servers().iter().find(burns)?;
        Some((when, Due::Settle(server.id.clone()))).filter(|it| it.0 < next)
    }
}
