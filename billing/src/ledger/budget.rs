//! Budgets: how much may be spent on something within a period, told of as it is used up, and refused beyond it where
//! the budget blocks.
//!
//! Part of the book, because a budget is decided with the very charge that would pass it, and because a book is what
//! cannot be decided twice. Must never read usage: what was used before a budget was set is handed over once, and
//! counted from there. Invariant: a counter is the sum of the usage roll-up of its period over what the budget admits.
mod notices;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::journal::{What, Work};
use super::notice::Notice;
use super::{Book, Hold, LATE_MAX};
use crate::id::Name;
use crate::money::Credits;
use crate::rating::Text;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::time::{Span, Timestamp};
use crate::usage::SERVER_METER;
use crate::zone::{Calendar, Period};

/// Budgets an account may have: a bound on what one decision looks at.
pub const BUDGETS_MAX: usize = 20;
/// Percent of a budget at which it is told of.
pub const THRESHOLDS: [u8; 4] = [50, 75, 90, 100];
/// How long after its end a period is counted on: as long as an event of it may still come in.
pub const COUNTED_FOR: Span = Span::from_millis(LATE_MAX.millis() + Span::DAY.millis());

/// What a budget is for. What is left out admits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BudgetScope {
    pub project: Option<Name>,
    /// A user, an agent, or an API key of the platform's customer.
    pub actor: Option<Name>,
    pub meters: Vec<Text>,
    /// Meters that it is not for: all others are admitted, also those that a later rate card brings.
    pub except: Vec<Text>,
}

impl BudgetScope {
    pub fn admits(&self, meter: &str, project: Option<&Name>, actor: Option<&Name>) -> bool {
        let fits = |own: &Option<Name>, said: Option<&Name>| own.is_none() || own.as_ref() == said;
        let names = |meters: &[Text]| meters.iter().any(|it| &**it == meter);
        let meter_fits = (self.meters.is_empty() || names(&self.meters)) && !names(&self.except);
        meter_fits && fits(&self.project, project) && fits(&self.actor, actor)
    }
    pub fn admits_work(&self, work: &Work) -> bool {
        self.admits(&work.usage.meter, work.project.as_ref(), work.actor.as_ref())
    }
    pub fn admits_server(&self, server: &Server) -> bool {
        self.admits(SERVER_METER, server.project.as_ref(), None)
    }
}

/// What was agreed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetTerms {
    pub scope: BudgetScope,
    pub period: Period,
    pub limit: Credits,
    /// Whether what would pass it is refused.
    pub blocks: bool,
    /// By which its periods begin and end.
    pub calendar: Calendar,
}

impl BudgetTerms {
    /// The period `at` lies in: its start, and the start of the next.
    pub fn around(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        self.calendar.around(self.period, at)
    }

    /// The highest threshold that `used` comes to; 0 for none.
    fn passed(&self, used: Credits) -> u8 {
        let comes_to =
            |percent: &&u8| i128::from(self.limit.micros()) * i128::from(**percent) <= i128::from(used.micros()) * 100;
        let passed = THRESHOLDS.iter().rev().find(comes_to).filter(|_| used.is_positive());
        passed.copied().unwrap_or_default()
    }

    /// Whether the two count the same.
    fn counts_like(&self, other: &BudgetTerms) -> bool {
        (&self.scope, self.period, &self.calendar) == (&other.scope, other.period, &other.calendar)
    }
}

/// What was used in one period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    pub start: Timestamp,
    /// Start of the next.
    pub next: Timestamp,
    pub used: Credits,
    /// The highest threshold that was told.
    pub told: u8,
}

/// A budget and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    pub id: Name,
    pub terms: Arc<BudgetTerms>,
    /// The version that set it, until what was used before is counted too: until then it neither blocks nor tells.
    pub counting_since: Option<u64>,
    /// In order of time: those of which something may still come in, and in which something was used.
    pub periods: Vec<Counted>,
    /// In open holds for what it admits.
    pub reserved: Credits,
    /// Its servers were told to stop until then.
    pub stop_until: Option<Timestamp>,
}

impl Budget {
    /// Used in the period `at` lies in, as far as it is settled.
    pub fn used(&self, at: Timestamp) -> Credits {
        let found = self.periods.iter().rev().find(|it| it.start <= at && at < it.next);
        found.map_or(Credits::ZERO, |it| it.used)
    }
    pub fn is_counted(&self) -> bool {
        self.counting_since.is_none()
    }

    fn add(&mut self, hour: Timestamp, credits: Credits, at: Timestamp) {
        if let Some(found) = self.periods.iter_mut().rev().find(|it| it.start <= hour && hour < it.next) {
            found.used = found.used.saturating_add(credits);
            return;
        }
        let (start, next) = self.terms.around(hour);
        if at < next + COUNTED_FOR && !credits.is_zero() {
            let place = self.periods.partition_point(|it| it.start < start);
            self.periods.insert(place, Counted { start, next, used: credits, told: 0 });
        }
    }

    fn set(&mut self, terms: &Arc<BudgetTerms>, (at, version): (Timestamp, u64)) {
        if !self.terms.counts_like(terms) {
            // What was told of a period is told, also where a new calendar has it counted anew.
            let is_for_the_same = self.terms.scope == terms.scope && self.terms.period == terms.period;
            self.periods.retain(|it| is_for_the_same && terms.around(it.start) == (it.start, it.next));
            self.periods.iter_mut().for_each(|it| it.used = Credits::ZERO);
            self.counting_since = Some(version);
        }
        self.terms = Arc::clone(terms);
        if self.is_counted() {
            self.look_ahead(at);
        }
    }

    fn counted(&mut self, used: &[(Timestamp, Credits)], at: Timestamp) {
        used.iter().for_each(|(start, credits)| self.add(*start, *credits, at));
        self.periods.retain(|it| !it.used.is_zero());
        self.counting_since = None;
        self.look_ahead(at);
        // Servers that were told to stop are stopped for the rest of what is the period now.
        self.stop_until = self.stop_until.map(|it| if at < it { self.terms.around(at).1 } else { it });
    }

    /// Of the present period a higher limit has thresholds ahead again. What others had passed when the budget was set
    /// is no news.
    fn look_ahead(&mut self, at: Timestamp) {
        for it in &mut self.periods {
            let passed = self.terms.passed(it.used);
            it.told = if it.start <= at && at < it.next { it.told.min(passed) } else { passed };
        }
    }
}

/// What happened to a budget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BudgetChange {
    Set {
        budget: Name,
        terms: Arc<BudgetTerms>,
    },
    /// What was used in each period before `since`, the version that set it, by the periods' starts.
    Counted {
        budget: Name,
        since: u64,
        used: Vec<(Timestamp, Credits)>,
    },
    Deleted {
        budget: Name,
    },
}

/// What is to be spent on, as budgets see it.
#[derive(Clone, Copy, Debug)]
pub struct Spending<'a> {
    pub meter: &'a str,
    pub project: Option<&'a Name>,
    pub actor: Option<&'a Name>,
    /// In the period of this instant.
    pub when: Timestamp,
}

impl<'a> Spending<'a> {
    pub fn of(work: &'a Work, when: Timestamp) -> Spending<'a> {
        Spending { meter: &work.usage.meter, project: work.project.as_ref(), actor: work.actor.as_ref(), when }
    }
}

/// An account's budgets, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Budgets(Vec<Budget>);

impl Budgets {
    fn place_of(&self, id: &Name) -> Result<usize, usize> {
        self.0.binary_search_by(|it| it.id.cmp(id))
    }

    /// Counts what is done on a book of `version`; `hold` is what it is done to.
    fn count(&mut self, what: &What, hold: Option<&Hold>, (at, version): (Timestamp, u64)) {
        let held = |budget: &Budget| hold.filter(|it| budget.terms.scope.admits_work(&it.work));
        for budget in &mut self.0 {
            let scope = &budget.terms.scope;
            match what {
                What::Charged { work, credits, closing, .. } => {
                    if closing.is_some() {
                        budget.reserved -= held(budget).map_or(Credits::ZERO, Hold::credits);
                    }
                    if budget.terms.scope.admits_work(work) {
                        budget.add(work.hour, *credits, at);
                    }
                }
                What::Held { work, draws, .. } if scope.admits_work(work) => {
                    budget.reserved += draws.iter().map(|it| it.credits).sum();
                }
                What::Extended { draws, .. } if held(budget).is_some() => {
                    budget.reserved += draws.iter().map(|it| it.credits).sum();
                }
                What::Released { .. } => budget.reserved -= held(budget).map_or(Credits::ZERO, Hold::credits),
                What::Reversed(it) if scope.admits_work(&it.work) => budget.add(it.work.hour, -it.credits, at),
                _ => {}
            }
        }
        if let What::Budget(change) = what {
            self.change(change, (at, version));
        }
        self.0.iter_mut().for_each(|it| it.periods.retain(|it| at < it.next + COUNTED_FOR));
    }

    fn change(&mut self, change: &BudgetChange, (at, version): (Timestamp, u64)) {
        match change {
            BudgetChange::Set { budget, terms } => match self.place_of(budget) {
                Ok(place) => self.0[place].set(terms, (at, version)),
                Err(place) => {
                    let budget = Budget {
                        id: budget.clone(),
                        terms: Arc::clone(terms),
                        counting_since: Some(version),
                        periods: Vec::new(),
                        reserved: Credits::ZERO,
                        stop_until: None,
                    };
                    self.0.insert(place, budget);
                }
            },
            BudgetChange::Counted { budget, used, .. } => {
                let place = self.place_of(budget).expect("what is counted was set");
                self.0[place].counted(used, at);
            }
            BudgetChange::Deleted { budget } => {
                let place = self.place_of(budget).expect("what is deleted was set");
                self.0.remove(place);
            }
        }
    }

    fn take(&mut self, notice: &Notice, at: Timestamp) {
        let (Notice::BudgetReached { budget, .. }
        | Notice::BudgetStop { budget, .. }
        | Notice::BudgetResume { budget, .. }) = notice
        else {
            return;
        };
        // One that was deleted may have said its last word with it.
        let Ok(place) = self.place_of(budget) else { return };
        let budget = &mut self.0[place];
        match notice {
            Notice::BudgetReached { percent, start, .. } => {
                let found = budget.periods.iter_mut().find(|it| it.start == *start);
                found.expect("a threshold is of a period that is counted").told = *percent;
            }
            Notice::BudgetStop { .. } => budget.stop_until = Some(budget.terms.around(at).1),
            _ => budget.stop_until = None,
        }
    }
}

impl Book {
    /// By name.
    pub fn budgets(&self) -> &[Budget] {
        self.budgets.as_ref().map_or(&[], |it| &it.0)
    }
    pub fn budget(&self, id: &Name) -> Option<&Budget> {
        let budgets = self.budgets.as_ref()?;
        budgets.place_of(id).ok().map(|it| &budgets.0[it])
    }

    /// Puts back what was read of a stored book. For whoever stores books, and nobody else.
    pub fn restore_budgets(&mut self, mut budgets: Vec<Budget>) {
        for budget in &mut budgets {
            budget.reserved = self.reserved_for(&budget.terms.scope);
        }
        self.budgets = (!budgets.is_empty()).then(|| alloc::boxed::Box::new(Budgets(budgets)));
        self.due_at = self.next_due().map_or(Timestamp::NEVER, |(when, _)| when);
    }

    /// What running servers have used of a budget and is not settled.
    pub fn accrued_in(&self, scope: &BudgetScope, at: Timestamp) -> Credits {
        let own = self.servers().iter().filter(|it| scope.admits_server(it));
        own.map(|it| it.unsettled(at, self.calendar())).sum()
    }

    /// Refuses what would pass a budget that blocks.
    ///
    /// # Errors
    /// [`Refusal::BudgetExceeded`], of the first by name.
    pub fn within_budgets(&self, spending: Spending<'_>, required: Credits, at: Timestamp) -> Result<(), Refusal> {
        if self.budgets.is_none() || required.is_zero() {
            return Ok(());
        }
        self.fits_budgets(spending, required, None, at)
    }

    pub(super) fn fits_budgets(
        &self,
        spending: Spending<'_>,
        required: Credits,
        freed: Option<&Hold>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        self.fits(spending, required, |budget| self.spoken_for(budget, spending.when, freed, at))
    }

    /// As [`Book::within_budgets`], for a server of `project` that is to start: what others that were ordered before
    /// will start on is reserved for them, as it is of the balance.
    pub(super) fn has_budget_to_start(
        &self,
        project: Option<&Name>,
        required: Credits,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let spending = Spending { meter: SERVER_METER, project, actor: None, when: at };
        self.fits(spending, required, |budget| {
            let ordered = self.servers().iter().filter(|it| budget.terms.scope.admits_server(it));
            let to_come = ordered.map(|it| it.to_come()).sum();
            let (used, reserved) = self.spoken_for(budget, at, None, at);
            (used, reserved.saturating_add(to_come))
        })
    }

    /// `spoken_for` says of a budget what is used of it, and what is reserved.
    fn fits(
        &self,
        spending: Spending<'_>,
        required: Credits,
        spoken_for: impl Fn(&Budget) -> (Credits, Credits),
    ) -> Result<(), Refusal> {
        for budget in self.blocking(spending) {
            let (used, reserved) = spoken_for(budget);
            if budget.terms.limit < used.saturating_add(reserved).saturating_add(required) {
                let (_, next) = budget.terms.around(spending.when);
                return Err(Refusal::BudgetExceeded {
                    budget: budget.id.clone(),
                    limit: budget.terms.limit,
                    used,
                    reserved,
                    required,
                    resets_at: Some(next).filter(|it| *it < Timestamp::NEVER),
                });
            }
        }
        Ok(())
    }

    /// What all budgets leave, once a hold is `freed`; none where no budget blocks it.
    pub(super) fn room_in_budgets(
        &self,
        spending: Spending<'_>,
        freed: Option<&Hold>,
        at: Timestamp,
    ) -> Option<Credits> {
        let room = |budget: &Budget| {
            let (used, reserved) = self.spoken_for(budget, spending.when, freed, at);
            used.saturating_add(reserved).short_of(budget.terms.limit)
        };
        self.blocking(spending).map(room).min()
    }

    fn blocking<'a>(&'a self, it: Spending<'a>) -> impl Iterator<Item = &'a Budget> {
        let blocks = |budget: &&Budget| budget.terms.blocks && budget.is_counted();
        self.budgets()
            .iter()
            .filter(blocks)
            .filter(move |budget| budget.terms.scope.admits(it.meter, it.project, it.actor))
    }

    /// Of the period `when` lies in: used, and where that is now, what servers accrued and holds reserve.
    fn spoken_for(&self, budget: &Budget, when: Timestamp, freed: Option<&Hold>, at: Timestamp) -> (Credits, Credits) {
        let (start, next) = budget.terms.around(when);
        let used = budget.used(when);
        if at < start || next <= at {
            return (used, Credits::ZERO);
        }
        let freed = freed.filter(|it| budget.terms.scope.admits_work(&it.work)).map_or(Credits::ZERO, Hold::credits);
        (used.saturating_add(self.accrued_in(&budget.terms.scope, at)), budget.reserved - freed)
    }

    pub(super) fn set_budget(&self, budget: &Name, terms: &Arc<BudgetTerms>) -> Result<What, Refusal> {
        if terms.limit < Credits::ZERO || Credits::MAX < terms.limit {
            return Err(Refusal::invalid("credits", "must be 0 or more, and at most 1000000000"));
        }
        if self.budget(budget).is_none() && BUDGETS_MAX <= self.budgets().len() {
            return Err(Refusal::invalid("budget", format_args!("is one too many: {BUDGETS_MAX} is the most")));
        }
        Ok(What::Budget(BudgetChange::Set { budget: budget.clone(), terms: Arc::clone(terms) }))
    }

    pub(super) fn count_budget(
        &self,
        budget: &Name,
        since: u64,
        used: &[(Timestamp, Credits)],
    ) -> Result<What, Refusal> {
        match self.budget(budget) {
            Some(it) if it.counting_since == Some(since) => {
                Ok(What::Budget(BudgetChange::Counted { budget: budget.clone(), since, used: used.to_vec() }))
            }
            _ => Err(Refusal::BudgetNotFound),
        }
    }

    pub(super) fn delete_budget(&self, budget: &Name) -> Result<What, Refusal> {
        self.budget(budget).ok_or(Refusal::BudgetNotFound)?;
        Ok(What::Budget(BudgetChange::Deleted { budget: budget.clone() }))
    }

    /// Counts what a transaction is about to do, before it is done.
    pub(super) fn count_budgets(&mut self, what: &What, at: Timestamp, version: u64) {
        if self.budgets.is_none() && !matches!(what, What::Budget(_)) {
            return;
        }
        let mut budgets = self.budgets.take().unwrap_or_default();
        budgets.count(what, self.hold_of(what), (at, version));
        if let What::Budget(BudgetChange::Set { budget, .. }) = what {
            let place = budgets.place_of(budget).expect("it was set just now");
            budgets.0[place].reserved = self.reserved_for(&budgets.0[place].terms.scope);
        }
        self.budgets = Some(budgets).filter(|it| !it.0.is_empty());
    }

    pub(super) fn take_budget_notice(&mut self, notice: &Notice, at: Timestamp) {
        if let Some(budgets) = &mut self.budgets {
            budgets.take(notice, at);
        }
    }

    fn reserved_for(&self, scope: &BudgetScope) -> Credits {
        self.holds.iter().filter(|it| scope.admits_work(&it.work)).map(Hold::credits).sum()
    }

    fn hold_of(&self, what: &What) -> Option<&Hold> {
        match what {
            What::Charged { closing: Some(closing), .. } => self.hold(closing.hold),
            What::Extended { hold, .. } | What::Released { hold, .. } => self.hold(*hold),
            _ => None,
        }
    }
}
