//! Budgets: set, counted up from the usage there was, looked up, deleted.
//!
//! A budget is decided on in the book. This file brings what the book cannot know: the account's calendar, and what
//! was used in the present periods before the budget was set. Invariant: nothing is counted twice or left out, however
//! much is charged meanwhile: the book counts from the version that set the budget, and this adds what the usage of a
//! known version comes to, less what the journal says was charged between the two.
use std::collections::BTreeMap;
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::{Book, Budget, BudgetScope, BudgetTerms, COUNTED_FOR, Command, Transaction};
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use billing::usage::{SERVER_METER, UsageKey};
use billing::zone::{Calendar, Period};

use super::order::done;
use super::servers::burn_terms;
use super::{By, Error};
use crate::app::{App, Known};
use crate::turnstile::{Ask, Turned};

/// How often counting begins again because another changed the budget meanwhile.
const ATTEMPTS_MAX: usize = 8;
/// Transactions read at once to tell apart what came after a budget was set.
const READ_AT_ONCE: usize = 1_000;

#[derive(Clone, Debug)]
pub struct BudgetOrder {
    pub account: Name,
    pub budget: Name,
    pub scope: BudgetScope,
    pub period: Period,
    pub limit: Credits,
    pub blocks: bool,
    pub by: By,
}

/// A budget as it stands at an instant.
#[derive(Clone, Debug)]
pub struct BudgetView {
    pub budget: Budget,
    /// The present period: its start, and when the next begins; none for a budget that has one for ever.
    pub start: Option<Timestamp>,
    pub resets_at: Option<Timestamp>,
    /// In it, what servers have used and is not yet settled included.
    pub used: Credits,
    /// By open holds.
    pub reserved: Credits,
    /// What may still be spent; nothing where it is passed.
    pub left: Credits,
    /// The highest threshold told in the present period, in percent.
    pub told: u8,
}

impl BudgetView {
    fn of(budget: &Budget, book: &Book, at: Timestamp) -> BudgetView {
        let (start, next) = budget.terms.around(at);
        let used = budget.used(at) + book.accrued_in(&budget.terms.scope, at);
        BudgetView {
            start: Some(start).filter(|_| budget.terms.period != Period::Total),
            resets_at: Some(next).filter(|it| *it < Timestamp::NEVER),
            used,
            reserved: budget.reserved,
            told: budget.periods.iter().find(|it| it.start == start).map_or(0, |it| it.told),
            left: (used + budget.reserved).short_of(budget.terms.limit),
            budget: budget.clone(),
        }
    }
}

impl App {
    /// Sets a budget, new or changed, and counts what its present periods have used. Says whether it is new.
    pub async fn put_budget(&self, order: BudgetOrder) -> Result<(BudgetView, bool), Error> {
        let known = self.known(&order.account)?;
        if known.account.closed_at.is_some() {
            return Err(Refusal::AccountClosed.into());
        }
        let BudgetOrder { mut scope, period, limit, blocks, .. } = order;
        for meters in [&mut scope.meters, &mut scope.except] {
            meters.sort();
            meters.dedup();
        }
        let before = self.book(known.account.number)?.budget(&order.budget).cloned();
        self.check_meters(&scope, before.as_ref().map(|it| &it.terms.scope))?;
        let terms =
            Arc::new(BudgetTerms { scope, period, limit, blocks, calendar: burn_terms(self, &known).calendar.clone() });
        if before.as_ref().is_none_or(|it| it.terms != terms) {
            self.set_budget(&known, &order.budget, terms, Some(&order.by)).await?;
        } else {
            self.count_budget(&known, &order.budget).await?;
        }
        Ok((self.budget(&order.account, &order.budget)?, before.is_none()))
    }

    /// Refuses a meter that no rate card has, which is a slip, unless the budget named it before. Server time has its
    /// meter whether or not a card prices it: what leaves it out is right either way.
    fn check_meters(&self, scope: &BudgetScope, before: Option<&BudgetScope>) -> Result<(), Refusal> {
        let cards = self.cards();
        let known = before.into_iter().flat_map(|it| it.meters.iter().chain(&it.except)).collect::<Vec<_>>();
        let is_unknown = |it: &&Text| !known.contains(it) && cards.iter().all(|card| card.meter(it).is_none());
        if let Some(unknown) = scope.meters.iter().find(is_unknown) {
            let why = format!("names `{unknown}`, which no rate card has: nothing would ever count towards it");
            return Err(Refusal::invalid("scope.meters", why));
        }
        if let Some(unknown) = scope.except.iter().filter(|it| ***it != *SERVER_METER).find(is_unknown) {
            let why = format!("names `{unknown}`, which no rate card has: nothing would ever be left out by it");
            return Err(Refusal::invalid("scope.except_meters", why));
        }
        Ok(())
    }

    pub fn budget(&self, account: &Name, id: &Name) -> Result<BudgetView, Error> {
        let found = self.budgets(account)?.into_iter().find(|it| it.budget.id == *id);
        Ok(found.ok_or(Refusal::BudgetNotFound)?)
    }

    /// An account's budgets by name, as they stand now.
    pub fn budgets(&self, account: &Name) -> Result<Vec<BudgetView>, Error> {
        let known = self.known(account)?;
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        let at = now.max(book.at);
        Ok(book.budgets().iter().map(|it| BudgetView::of(it, &book, at)).collect())
    }

    pub async fn delete_budget(&self, account: &Name, id: &Name, by: &By) -> Result<(), Error> {
        let known = self.known(account)?;
        let command = Command::DeleteBudget { budget: id.clone() };
        let noted = by.noted(self.now(), "budget.delete", account.to_string(), id.to_string());
        let also = noted.into_iter().collect();
        let ask = Ask { also, ..ask(known.account.number, command, Some(Arc::clone(&by.name))) };
        done(self.turnstile.take_one(ask).await).map(drop)
    }

    /// The same for accounts on which something is due.
    pub(super) async fn renew_all_budgets(&self, accounts: &[AccountNumber]) -> Result<(), Error> {
        for book in self.readable(accounts)?.iter().filter(|it| !it.budgets().is_empty()) {
            let Some(known) = self.known_number(book.account)? else { continue };
            match self.recount_budgets(&known).await {
                // What cannot be read of one is tried again in the next pass; others are due as well.
                Err(Error::Fault(fault)) if !fault.is_away => {
                    tracing::error!(account = %known.account.id, %fault, "counting budgets failed");
                }
                counted => counted?,
            }
        }
        Ok(())
    }

    /// Counts an account's budgets by its present calendar, where that is another than they were set by: the zone was
    /// changed, or a year has come that they did not know. And counts those that nobody has: who set them has died.
    pub async fn renew_budgets(&self, account: &Name) -> Result<(), Error> {
        let known = self.known(account)?;
        self.recount_budgets(&known).await
    }

    async fn recount_budgets(&self, known: &Known) -> Result<(), Error> {
        let calendar = burn_terms(self, known).calendar.clone();
        for budget in self.outdated_budgets(known, &calendar)? {
            if budget.terms.calendar == calendar {
                self.count_budget(known, &budget.id).await?;
                continue;
            }
            let terms = Arc::new(BudgetTerms { calendar: calendar.clone(), ..(*budget.terms).clone() });
            self.set_budget(known, &budget.id, terms, None).await?;
        }
        Ok(())
    }

    fn outdated_budgets(&self, known: &Known, calendar: &Calendar) -> Result<Vec<Budget>, Error> {
        let book = self.book(known.account.number)?;
        let is_outdated = |it: &&Budget| it.terms.calendar != *calendar || !it.is_counted();
        Ok(book.budgets().iter().filter(is_outdated).cloned().collect())
    }

    async fn set_budget(
        &self,
        known: &Known,
        id: &Name,
        terms: Arc<BudgetTerms>,
        by: Option<&By>,
    ) -> Result<(), Error> {
        let command = Command::SetBudget { budget: id.clone(), terms };
        let (subject, detail) = (known.account.id.to_string(), id.to_string());
        let noted = by.and_then(|it| it.noted(self.now(), "budget.put", subject, detail));
        let by = by.map(|it| Arc::clone(&it.name));
        let ask = Ask { also: noted.into_iter().collect(), ..ask(known.account.number, command, by) };
        done(self.turnstile.take_one(ask).await)?;
        self.count_budget(known, id).await
    }

    /// Adds what a budget's periods used before the version that set it, unless that was done.
    async fn count_budget(&self, known: &Known, id: &Name) -> Result<(), Error> {
        let account = known.account.number;
        for _ in 0..ATTEMPTS_MAX {
            let book = self.book(account)?;
            let budget = book.budget(id).ok_or(Refusal::BudgetNotFound)?;
            let Some(since) = budget.counting_since else { return Ok(()) };
            let used = self.used_before_set(account, budget, since)?;
            let command = Command::CountBudget { budget: id.clone(), since, used };
            match self.turnstile.take_one(ask(account, command, None)).await {
                // Counted, set anew or deleted by another: look again.
                Turned::Refused(Refusal::BudgetNotFound) => {}
                turned => return done(turned).map(drop),
            }
        }
        Err(Error::Busy)
    }

    /// What was used of a budget up to version `since`, by the starts of its periods.
    fn used_before_set(
        &self,
        account: AccountNumber,
        budget: &Budget,
        since: u64,
    ) -> Result<Vec<(Timestamp, Credits)>, Error> {
        let terms = &budget.terms;
        let from = match terms.period {
            Period::Total => Timestamp::EPOCH,
            _ => terms.around(self.now() - COUNTED_FOR).0,
        };
        let (version, rows) = self.store.usage_as_of(account, from, Timestamp::NEVER)?;
        let mut sums: BTreeMap<Timestamp, Credits> = BTreeMap::new();
        let mut add = |key: &UsageKey, credits: Credits| {
            if from <= key.hour && terms.scope.admits(&key.meter, key.project.as_ref(), key.actor.as_ref()) {
                *sums.entry(terms.around(key.hour).0).or_default() += credits;
            }
        };
        rows.iter().for_each(|it| add(&it.key, it.sum.credits));
        // What came after is counted in the book.
        let mut above = version + 1;
        while since + 1 < above {
            let room = usize::try_from(above - 1 - since).map_or(READ_AT_ONCE, |it| it.min(READ_AT_ONCE));
            let newest: Vec<Arc<Transaction>> = self.store.transactions(account, above, room)?;
            let Some(oldest) = newest.last() else { break };
            above = oldest.place.version;
            newest.iter().filter_map(|it| it.usage()).for_each(|(key, sum)| add(&key, -sum.credits));
        }
        Ok(sums.into_iter().filter(|(_, credits)| !credits.is_zero()).collect())
    }
}

fn ask(account: AccountNumber, command: Command, by: Option<Text>) -> Ask {
    Ask { account, command: Some(command), key: None, by, fact: None, once: None, also: Vec::new() }
}
