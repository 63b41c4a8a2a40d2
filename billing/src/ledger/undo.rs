//! Undoing: where credits go when work is taken back.
//!
//! They return to the very grants they came from, the last drawn first; to what expired of one that has expired since;
//! and what had been owed is owed no longer. Two roads lead here. A charge is reversed by hand; or facts told late say
//! that a server did not run, and its latest draws are unwound. Of a server both may happen to one hour, so what went
//! back by either road is remembered with the server (`server::undone`), and nothing goes back twice.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Book;
use super::LATE_MAX;
use super::burn::Settled;
use super::command::Reverse;
use super::decide::amount_of;
use super::grant::{Scope, Source, Terms};
use super::journal::{Draw, Pot, Reversal, What, Work};
use crate::id::{ChargeId, GrantId, Name};
use crate::money::Credits;
use crate::rating::Text;
use crate::refusal::Refusal;
use crate::server::{Drawn, PartKind, Server};
use crate::time::Timestamp;

/// What goes back, and where.
#[derive(Default)]
struct Back {
    draws: Vec<Draw>,
    reopened: Vec<(GrantId, Arc<Terms>)>,
    unlost: Vec<(GrantId, Credits)>,
    /// Not of a grant, or of one whose money went: less is owed, or it comes as credits of its own.
    unowed: Credits,
}

/// Walks a charge's draws from the last, past what was reversed before.
struct Unwinding {
    skip: Credits,
    due: Credits,
}

impl Unwinding {
    fn take(&mut self, credits: Credits) -> Credits {
        let left = credits - self.skip.min(credits);
        self.skip -= self.skip.min(credits);
        let taken = self.due.min(left);
        self.due -= taken;
        taken
    }
}

impl Back {
    fn give(&mut self, book: &Book, (id, terms): (GrantId, &Arc<Terms>), credits: Credits, at: Timestamp) {
        let mut credits = credits;
        let mut pot = Pot::Free;
        if book.has_expired(id, terms, at) {
            pot = Pot::Expired;
            // Had it not been spent it would have expired, and nothing be owed for it now.
            let before: Credits = self.unlost.iter().filter(|it| it.0 == id).map(|it| it.1).sum();
            let unlost = credits.min(book.lost(id) - before);
            if unlost.is_positive() {
                self.unlost.push((id, unlost));
                self.unowed += unlost;
                credits -= unlost;
            }
        }
        if credits.is_zero() {
            return;
        }
        if book.grant(id).is_none() && !self.reopened.iter().any(|(it, _)| *it == id) {
            self.reopened.push((id, Arc::clone(terms)));
        }
        match self.draws.iter_mut().find(|it| it.grant == id) {
            Some(draw) => draw.credits += credits,
            None => self.draws.push(Draw { grant: id, credits, pot }),
        }
    }
}

impl Book {
    /// Unwinds the recorded draws from the last to the first: debt was last, so it goes first.
    pub(super) fn reverse(&self, reverse: &Reverse, at: Timestamp) -> Result<What, Refusal> {
        let of_charge = (reverse.charged, reverse.reversed);
        let left = self.left_to_reverse(&reverse.work, reverse.server.as_ref(), of_charge, at)?;
        let credits = reverse.credits.unwrap_or(left);
        if left < credits || left.is_zero() {
            return Err(Refusal::ReversalExceedsCharge { left });
        }
        amount_of(credits, "credits")?;
        let back = match &reverse.server {
            None => self.unwound(reverse, credits, at),
            Some((server, _)) => self.unwound_of(self.correctable(server, &reverse.work, at)?, reverse, credits, at),
        };
        let Back { draws, reopened, unlost, unowed } = back;
        let forgiven = unowed.min(self.debt);
        Ok(What::Reversed(Reversal {
            charge: reverse.charge,
            work: Arc::clone(&reverse.work),
            credits,
            draws,
            reopened,
            unlost,
            forgiven,
            regranted: self.regrant(unowed - forgiven, &reverse.reason, at),
            total: reverse.reversed + credits,
            reason: Arc::clone(&reverse.reason),
            settled: None,
            of_server: reverse.server.clone(),
        }))
    }

    /// What may be reversed of a charge of `charged` for `work`, of which `reversed` were reversed before.
    ///
    /// # Errors
    /// When it is of a server's time that is too long ago.
    pub fn left_to_reverse(
        &self,
        work: &Work,
        of_server: Option<&(Name, PartKind)>,
        (charged, reversed): (Credits, Credits),
        at: Timestamp,
    ) -> Result<Credits, Refusal> {
        match of_server {
            None => Ok(charged - reversed),
            Some((server, kind)) => {
                let server = self.correctable(server, work, at)?;
                Ok(server.left_of(work, *kind, (charged, reversed), self.calendar()))
            }
        }
    }

    /// The server whose time was charged, as long as facts may still correct that time: until then what goes back of it
    /// is known, and no longer.
    fn correctable(&self, server: &Name, work: &Work, at: Timestamp) -> Result<&Server, Refusal> {
        let known = self.server(server).filter(|_| at - LATE_MAX <= work.occurred_at);
        let why = "is of a server's time more than 35 days ago, and can be reversed no more: grant credits instead";
        known.map(|it| &**it).ok_or_else(|| Refusal::invalid("charge", why))
    }

    fn unwound(&self, reverse: &Reverse, credits: Credits, at: Timestamp) -> Back {
        let mut back = Back::default();
        let mut unwinding = Unwinding { skip: reverse.reversed, due: credits };
        back.unowed = unwinding.take(reverse.owed);
        for draw in reverse.draws.iter().rev() {
            let credits = unwinding.take(draw.credits);
            if credits.is_positive() {
                back.give(self, terms_in(reverse, draw.grant), credits, at);
            }
        }
        assert!(unwinding.due.is_zero(), "a charge's draws and debt add up to it");
        back
    }

    /// Of a server's time: corrections unwind its latest draws, whichever hour they paid for. So a grant is given back
    /// no more than what the server has of it still, and the rest to those that it has more of.
    fn unwound_of(&self, server: &Server, reverse: &Reverse, credits: Credits, at: Timestamp) -> Back {
        let mut back = Back::default();
        let mut drawn = server.drawn.clone();
        let mut unwinding = Unwinding { skip: reverse.reversed, due: credits };
        let owed = unwinding.take(reverse.owed);
        back.unowed = Drawn::forget(&mut drawn, None, owed);
        let mut due = credits - back.unowed;
        for draw in reverse.draws.iter().rev() {
            let wanted = unwinding.take(draw.credits);
            let credits = Drawn::forget(&mut drawn, Some(draw.grant), wanted);
            due -= credits;
            if credits.is_positive() {
                back.give(self, terms_in(reverse, draw.grant), credits, at);
            }
        }
        for it in drawn.iter().rev().filter(|it| !it.is_beyond) {
            let credits = due.min(it.credits);
            due -= credits;
            match &it.grant {
                _ if credits.is_zero() => {}
                None => back.unowed += credits,
                Some((id, terms)) => back.give(self, (*id, terms), credits, at),
            }
        }
        // What was drawn so long ago that nobody remembers from where comes back as credits of its own.
        back.unowed += due;
        back
    }

    /// A correction undoes the server's latest draws, the last first.
    pub(super) fn take_back(&self, server: &Server, work: Arc<Work>, mut settled: Settled, at: Timestamp) -> Reversal {
        let mut due = work.price.credits;
        let mut back = Back::default();
        for drawn in server.drawn.iter().rev() {
            let taken = due.min(drawn.credits);
            due -= taken;
            match &drawn.grant {
                _ if taken.is_zero() => {}
                None if drawn.is_beyond => settled.beyond += taken,
                None => back.unowed += taken,
                Some((id, terms)) => back.give(self, (*id, terms), taken, at),
            }
        }
        // As for a reversal.
        let Back { draws, reopened, unlost, unowed } = back;
        let unowed = unowed + due;
        let credits = work.price.credits - settled.beyond;
        let forgiven = unowed.min(self.debt);
        let reason: Text = "server time corrected".into();
        Reversal {
            charge: server.last_charge.unwrap_or_else(|| ChargeId::new(at, self.next_place())),
            work,
            credits,
            draws,
            reopened,
            unlost,
            forgiven,
            regranted: self.regrant(unowed - forgiven, &reason, at),
            total: credits,
            reason,
            settled: Some(settled),
            of_server: None,
        }
    }

    /// Debt that was repaid before the charge that made it was reversed comes back as credits of their own.
    pub(super) fn regrant(&self, credits: Credits, reason: &Text, at: Timestamp) -> Option<(GrantId, Arc<Terms>)> {
        let terms = Terms {
            source: Source::Refund,
            credits,
            effective_at: at,
            expires_at: Timestamp::NEVER,
            priority: Terms::PRIORITY,
            scope: Scope::default(),
            cost: None,
            charged: None,
            payment: None,
            reason: Arc::clone(reason),
        };
        credits.is_positive().then(|| (GrantId::new(at, self.next_place()), Arc::new(terms)))
    }

    /// Remembers with the server that its time was reversed, and of which draws.
    pub(super) fn apply_reversal_of(&mut self, (server, kind): &(Name, PartKind), reversal: &Reversal, at: Timestamp) {
        let calendar = &self.burning.terms.calendar;
        let owned = reversal.draws.iter().map(|it| (Some(it.grant), it.credits));
        let unlost = reversal.unlost.iter().map(|it| (Some(it.0), it.1));
        let regranted = reversal.regranted.as_ref().map_or(Credits::ZERO, |(_, terms)| terms.credits);
        let unowed = reversal.forgiven + regranted - reversal.unlost.iter().map(|it| it.1).sum::<Credits>();
        self.burning.servers.change(server, calendar, |server| {
            for (grant, credits) in owned.chain(unlost).chain([(None, unowed)]) {
                Drawn::forget(&mut server.drawn, grant, credits);
            }
            server.forget_undone(at);
            server.reverse(&reversal.work, *kind, reversal.credits);
        });
    }
}

fn terms_in(reverse: &Reverse, grant: GrantId) -> (GrantId, &Arc<Terms>) {
    let found = reverse.grants.iter().find(|(id, _)| *id == grant).expect("its terms came along");
    (grant, &found.1)
}
