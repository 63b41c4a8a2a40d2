//! Deciding: a command and an instant give a transaction, or a refusal. Nothing changes here.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::budget::Spending;
use super::command::{Captured, Command, Over, Spend};
use super::grant::{Grant, Terms};
use super::journal::{Balance, Closing, Draw, HoldEnd, Origin, Pot, Transaction, What, Work};
use super::{Book, EARLY_MAX, GRANTS_MAX, HOLDS_MAX, Hold, LATE_MAX};
use crate::id::{GrantId, HoldId};
use crate::money::Credits;
use crate::refusal::Refusal;
use crate::time::Timestamp;

impl Book {
    /// What `command` would do at `at`, in a book that has been brought up to `at`. Changes nothing.
    ///
    /// # Errors
    /// The refusal that stands first in [`Refusal`]'s order, where several apply to one command.
    pub fn decide(&self, command: &Command, at: Timestamp) -> Result<Transaction, Refusal> {
        // A clock that went back does not take the account with it.
        let at = at.max(self.at);
        let what = match command {
            Command::Grant(terms) => self.grant_credits(terms, at)?,
            Command::Charge(spend) => self.charge(spend, at)?,
            Command::Hold { work, credits, expires_at } => self.open_hold(work, *credits, *expires_at, at)?,
            Command::Extend { hold, more, used, expires_at } => {
                self.extend(*hold, *more, (used.as_ref(), *expires_at), at)?
            }
            Command::Capture(captured) => self.capture(captured, at)?,
            Command::Release { hold } => self.release(*hold, HoldEnd::Released)?,
            Command::Reverse(reverse) => self.reverse(reverse, at)?,
            Command::Void { grant, keep, reason } => {
                let grant = self.grants.iter().find(|it| it.id == *grant).ok_or(Refusal::NothingToVoid)?;
                let credits =
                    Some(grant.remaining - *keep).filter(|it| it.is_positive()).ok_or(Refusal::NothingToVoid)?;
                What::Voided { grant: grant.id, credits, reason: Arc::clone(reason) }
            }
            Command::Close if self.closed => return Err(Refusal::AccountClosed),
            Command::Close => What::Closed,
            Command::Withdraw(asked) => self.withdraw(asked)?,
            Command::Restore { withdrawal, terms } => {
                What::Restored { withdrawal: withdrawal.clone(), terms: Arc::clone(terms) }
            }
            Command::Freeze { grant, is_frozen, expires_at } => self.freeze(*grant, *is_frozen, *expires_at, at),
            Command::SetTopup { rule, is_on, charge_now_max } => self.set_topup(rule, *is_on, *charge_now_max, at)?,
            Command::FailTopup { payment, failure, is_over } => self.fail_topup(*payment, *failure, *is_over)?,
            Command::StartTopup => self.start_topup(at)?,
            Command::ExpireHold { hold } => self.expire_hold(*hold, at)?,
            Command::ExpireGrant { grant } => {
                let grant = self.grant(*grant).ok_or(Refusal::GrantNotFound)?;
                What::Expired { grant: grant.id, credits: grant.remaining }
            }
            Command::Repay { grant } => self.repay(*grant, at)?,
            Command::Server(report) => self.report(report, at)?,
            Command::BurnTerms(terms) => What::BurnTerms(Arc::clone(terms)),
            Command::Settle { server } => self.settle(server, at)?,
            Command::Ladder | Command::Budgets | Command::Note => What::Noticed,
            Command::SetBudget { budget, terms } => self.set_budget(budget, terms)?,
            Command::CountBudget { budget, since, used } => self.count_budget(budget, *since, used)?,
            Command::DeleteBudget { budget } => self.delete_budget(budget)?,
        };
        let after = self.after(&what, at);
        let mut notices = self.notices(command, &what, &after, at);
        self.budget_notices(&what, at, &mut notices);
        Ok(Transaction { place: self.next_place(), at, origin: Origin::default(), what, after, notices })
    }

    fn grant_credits(&self, terms: &Arc<Terms>, at: Timestamp) -> Result<What, Refusal> {
        amount_of(terms.credits, "credits")?;
        if terms.expires_at <= at || terms.expires_at <= terms.effective_at {
            return Err(Refusal::invalid("expires_at", "must be in the future, and after the grant takes effect"));
        }
        // Credits that were paid for are never refused: the money is there.
        if terms.payment.is_none() && GRANTS_MAX <= self.grants.len() {
            return Err(Refusal::invalid("account", format_args!("has {GRANTS_MAX} live grants, the most it may")));
        }
        Ok(What::Granted { grant: GrantId::new(at, self.next_place()), terms: Arc::clone(terms) })
    }

    fn charge(&self, spend: &Spend, at: Timestamp) -> Result<What, Refusal> {
        let work = &spend.work;
        self.admits(work, at)?;
        let required = work.price.credits;
        self.within_budgets(Spending::of(work, work.hour), required, at)?;
        let (draws, owed) = self.draw(work, required, at);
        if owed.is_positive() || self.debt.is_positive() || self.has_servers() {
            let available = self.spendable_on(work, at);
            // What running servers have used is not in the grants any more, though it is still to be drawn from them.
            let short = (self.debt + owed).max(required - available);
            // A free charge is written down whatever the balance: the customer sees that it was free.
            if available < required && !required.is_zero() && spend.debt_max < short {
                return Err(Refusal::InsufficientCredits { required, available });
            }
        }
        Ok(What::Charged { work: Arc::clone(work), credits: required, draws, owed, closing: None, settled: None })
    }

    fn open_hold(
        &self,
        work: &Arc<Work>,
        credits: Credits,
        expires_at: Timestamp,
        at: Timestamp,
    ) -> Result<What, Refusal> {
        self.in_time(work, at)?;
        // A promise may be of nothing: what is free, or paid for already.
        if work.quote.is_none() || !credits.is_zero() {
            amount_of(credits, "credits")?;
        }
        in_future(expires_at, at)?;
        self.open_for_work()?;
        if HOLDS_MAX <= self.holds.len() {
            return Err(Refusal::TooManyHolds { most: HOLDS_MAX });
        }
        self.within_budgets(Spending::of(work, at), credits, at)?;
        let (draws, beyond) = self.draw_or_refuse(work, credits, at)?;
        let (hold, work) = (HoldId::new(at, self.next_place()), Arc::clone(work));
        Ok(What::Held { hold, work, draws, expires_at, beyond })
    }

    fn extend(
        &self,
        hold: HoldId,
        more: Credits,
        (used, expires_at): (Option<&Arc<Work>>, Option<Timestamp>),
        at: Timestamp,
    ) -> Result<What, Refusal> {
        if more < Credits::ZERO || Credits::MAX < more {
            return Err(Refusal::invalid("credits", "must be 0 or more, and at most 1000000000"));
        }
        expires_at.map_or(Ok(()), |it| in_future(it, at))?;
        self.open_for_work()?;
        let hold = self.open_one(hold)?;
        let expires_at = expires_at.unwrap_or(hold.expires_at);
        self.within_budgets(Spending::of(&hold.work, at), more, at)?;
        let (draws, beyond) = self.draw_or_refuse(&hold.work, more, at)?;
        let (reserved, used) = (hold.credits() + more, used.or(hold.used.as_ref()).cloned());
        Ok(What::Extended { hold: hold.id, draws, reserved, used, expires_at, beyond })
    }

    fn capture(&self, captured: &Captured, at: Timestamp) -> Result<What, Refusal> {
        self.open_one(captured.hold)?;
        self.in_time(&captured.work, at)?;
        self.close_by_charge(captured, HoldEnd::Captured, at)
    }

    fn expire_hold(&self, hold: HoldId, at: Timestamp) -> Result<What, Refusal> {
        let hold = self.open_one(hold)?;
        match &hold.used {
            Some(used) => {
                let captured = Captured { hold: hold.id, work: Arc::clone(used), over: Over::ToLimit };
                self.close_by_charge(&captured, HoldEnd::Expired, at)
            }
            None => self.release(hold.id, HoldEnd::Expired),
        }
    }

    /// Spends a hold on `work`: from what it reserved, in order; then from what is available; the rest goes back.
    fn close_by_charge(&self, captured: &Captured, end: HoldEnd, at: Timestamp) -> Result<What, Refusal> {
        let hold = self.open_one(captured.hold)?;
        let work = &captured.work;
        let required = work.price.credits;
        let (mut draws, released) = split(&hold.draws, required);
        let beyond = hold.credits().short_of(required);
        let spending = Spending::of(work, work.hour);
        if captured.over == Over::Draw && beyond.is_positive() {
            self.fits_budgets(spending, required, Some(hold), at)?;
        }
        let available = self.spendable_on(work, at).at_least_zero();
        // What is held was promised; only what goes beyond it is for budgets to allow.
        let allowed = self.room_in_budgets(spending, Some(hold), at).map(|it| hold.credits().short_of(it));
        let drawn = match captured.over {
            Over::Draw if available < beyond => {
                return Err(Refusal::InsufficientCredits { required, available: hold.credits() + available });
            }
            Over::Draw => beyond,
            Over::ToLimit => beyond.min(available).min(allowed.unwrap_or(beyond)),
        };
        let (fresh, owed) = self.draw(work, drawn, at);
        assert!(owed.is_zero(), "no more is drawn than is available");
        draws.extend(fresh);
        let shortfall = beyond - drawn;
        let closing = Closing { hold: hold.id, end, released, shortfall };
        let credits = required - shortfall;
        Ok(What::Charged { work: Arc::clone(work), credits, draws, owed, closing: Some(closing), settled: None })
    }

    fn release(&self, hold: HoldId, end: HoldEnd) -> Result<What, Refusal> {
        let hold = self.open_one(hold)?;
        Ok(What::Released { hold: hold.id, draws: hold.draws.clone(), end })
    }

    /// Refuses work that may not be done at all, whatever it costs.
    fn admits(&self, work: &Work, at: Timestamp) -> Result<(), Refusal> {
        self.in_time(work, at)?;
        self.open_for_work()
    }

    fn open_for_work(&self) -> Result<(), Refusal> {
        if self.closed { Err(Refusal::AccountClosed) } else { Ok(()) }
    }

    fn in_time(&self, work: &Work, at: Timestamp) -> Result<(), Refusal> {
        assert!(Credits::ZERO <= work.price.credits && work.price.credits <= Credits::MAX, "a price is in bounds");
        if at + EARLY_MAX < work.occurred_at {
            return Err(Refusal::invalid("at", "is in the future; send usage once it has happened"));
        }
        if work.occurred_at < at - LATE_MAX {
            return Err(Refusal::invalid("at", "is more than 35 days ago, the most that usage may be late"));
        }
        Ok(())
    }

    fn open_one(&self, hold: HoldId) -> Result<&Hold, Refusal> {
        self.hold(hold).ok_or(Refusal::HoldNotFound)
    }

    fn spendable_on(&self, work: &Work, at: Timestamp) -> Credits {
        let admitted = |it: &&Grant| it.admits(&work.usage.meter, work.project.as_ref());
        let pots = self.grants.iter().filter(admitted).filter_map(|it| pot_for(it, work.occurred_at, at));
        let burnt = self.burnt_of(&work.usage.meter, work.project.as_ref(), at);
        pots.map(|(_, credits)| credits).sum::<Credits>() - self.debt - burnt
    }

    /// What a hold reserves for `work`, and what the work could draw beyond that.
    fn draw_or_refuse(&self, work: &Work, credits: Credits, at: Timestamp) -> Result<(Vec<Draw>, Credits), Refusal> {
        // A hold reserves from what is free now; only finished work may reach back to expired grants.
        let available = self.spendable(&work.usage.meter, work.project.as_ref(), at);
        let left = self.room_in_budgets(Spending::of(work, at), None, at);
        let beyond = |room: Credits| left.map_or(room, |it| room.min(it - credits)).at_least_zero();
        if credits.is_zero() {
            return Ok((Vec::new(), beyond(available)));
        }
        if available < credits {
            return Err(Refusal::InsufficientCredits { required: credits, available });
        }
        let admitted = |it: &&Grant| it.live_at(at) && it.admits(&work.usage.meter, work.project.as_ref());
        let pots = self.grants.iter().filter(admitted).map(|it| (it.id, Pot::Free, it.remaining));
        let (draws, owed) = take(pots, credits);
        assert!(owed.is_zero(), "no more is held than is available");
        Ok((draws, beyond(available - credits)))
    }

    /// Draws `credits` for `work` in draw order: first from grants that were live when it happened, then from those
    /// that are live now. What no grant covers is owed.
    pub(super) fn draw(&self, work: &Work, credits: Credits, at: Timestamp) -> (Vec<Draw>, Credits) {
        let admitted = |it: &&Grant| it.admits(&work.usage.meter, work.project.as_ref());
        let (then, now) = (work.occurred_at, at);
        let pot = move |it: &Grant| pot_for(it, then, now).map(|(pot, credits)| (it.id, pot, credits));
        let first = self.grants.iter().filter(admitted).filter(move |it| it.live_at(then)).filter_map(pot);
        let later = self.grants.iter().filter(admitted).filter(move |it| !it.live_at(then)).filter_map(pot);
        take(first.chain(later), credits)
    }

    /// The balance once `what` is done.
    fn after(&self, what: &What, at: Timestamp) -> Balance {
        let Balance { mut posted, mut held, mut accrued, mut debt } = self.balance(at);
        let live = |grant: &GrantId| self.grant(*grant).is_some_and(|it| it.live_at(at));
        // Credits that go back to a grant which has expired or is yet to begin do not count as posted.
        let returned =
            |draws: &[Draw]| -> Credits { draws.iter().filter(|it| live(&it.grant)).map(|it| it.credits).sum() };
        match what {
            What::Granted { terms, .. } if terms.live_at(at) => posted += terms.credits,
            What::Granted { .. } | What::Closed | What::Topup(_) => {}
            What::Withdrawn(it) => {
                posted -= it.owed + if live(&it.grant) { it.credits } else { Credits::ZERO };
                debt += it.owed;
            }
            What::Restored { withdrawal: it, terms } => {
                let is_live = self.would_live(it.grant, terms, at);
                posted += if is_live { it.credits } else { Credits::ZERO };
            }
            What::Frozen { grant, is_frozen, expires_at } => {
                posted += self.thawed(*grant, *is_frozen, *expires_at, at);
            }
            What::Repaid { grant, credits, regranted, .. } => {
                posted += if live(grant) { Credits::ZERO } else { *credits };
                debt -= *credits - regranted.as_ref().map_or(Credits::ZERO, |(_, terms)| terms.credits);
            }
            What::Charged { credits, draws, owed, closing, settled, .. } => {
                accrued -= settled.as_ref().map_or(Credits::ZERO, |it| *credits + it.beyond);
                let revived: Credits = draws.iter().filter(|it| it.pot == Pot::Expired).map(|it| it.credits).sum();
                posted -= sum(draws) - revived + *owed;
                debt += *owed;
                held -= draws.iter().filter(|it| it.pot == Pot::Held).map(|it| it.credits).sum();
                if let Some(closing) = closing {
                    held -= sum(&closing.released);
                    posted -= sum(&closing.released) - returned(&closing.released);
                }
            }
            What::Held { draws, .. } | What::Extended { draws, .. } => held += sum(draws),
            What::Released { draws, .. } => {
                held -= sum(draws);
                posted -= sum(draws) - returned(draws);
            }
            What::Reversed(it) => {
                accrued += it.settled.as_ref().map_or(Credits::ZERO, |settled| it.credits + settled.beyond);
                let freed = it.draws.iter().filter(|it| it.pot == Pot::Free && !self.is_frozen(it.grant));
                let freed: Credits = freed.map(|it| it.credits).sum();
                let regranted = it.regranted.as_ref().map_or(Credits::ZERO, |(_, terms)| terms.credits);
                posted += freed + it.forgiven + regranted;
                debt -= it.forgiven;
            }
            What::Voided { grant, credits, .. } if live(grant) => posted -= *credits,
            // An expired grant's rest, and one that never began, were not counted at `at`.
            What::Voided { .. } | What::Expired { .. } | What::Noticed | What::Budget(_) => {}
            What::Server(_) | What::BurnTerms(_) => accrued = self.accrued_after(what, at),
        }
        Balance { posted, held, accrued, debt }
    }
}

pub(super) fn amount_of(credits: Credits, field: &str) -> Result<(), Refusal> {
    if credits.is_positive() && credits <= Credits::MAX {
        return Ok(());
    }
    Err(Refusal::invalid(field, "must be more than 0 and at most 1000000000"))
}

fn in_future(expires_at: Timestamp, at: Timestamp) -> Result<(), Refusal> {
    if expires_at <= at { Err(Refusal::invalid("expires_at", "must be in the future")) } else { Ok(()) }
}

/// What work that happened `then` may draw from a grant `now`: what is free while the grant lives; once it has expired,
/// what expired of it, if it lived then.
fn pot_for(grant: &Grant, then: Timestamp, now: Timestamp) -> Option<(Pot, Credits)> {
    if grant.live_at(now) {
        return Some((Pot::Free, grant.remaining));
    }
    Some((Pot::Expired, grant.expired)).filter(|_| grant.live_at(then))
}

/// Takes `due` from `pots` in order; what they lack is returned second.
fn take(pots: impl Iterator<Item = (GrantId, Pot, Credits)>, mut due: Credits) -> (Vec<Draw>, Credits) {
    let mut draws = Vec::new();
    for (grant, pot, credits) in pots {
        if due.is_zero() {
            break;
        }
        let taken = due.min(credits);
        if taken.is_positive() {
            draws.push(Draw { grant, credits: taken, pot });
            due -= taken;
        }
    }
    (draws, due)
}

/// The first `credits` of a hold's draws, to be spent, and the rest, to be given back.
fn split(draws: &[Draw], credits: Credits) -> (Vec<Draw>, Vec<Draw>) {
    let (mut spent, mut released, mut due) = (Vec::new(), Vec::new(), credits);
    for draw in draws {
        let taken = due.min(draw.credits);
        due -= taken;
        if taken.is_positive() {
            spent.push(Draw { credits: taken, pot: Pot::Held, ..*draw });
        }
        if taken < draw.credits {
            released.push(Draw { credits: draw.credits - taken, pot: Pot::Held, ..*draw });
        }
    }
    (spent, released)
}

fn sum(draws: &[Draw]) -> Credits {
    draws.iter().map(|it| it.credits).sum()
}
