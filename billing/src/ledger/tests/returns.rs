//! Money that goes back: one purchase, refunded in parts, disputed, won and lost, while it is spent, held, voided,
//! expires and is owed for.
//!
//! What a payment keeps of itself (how much of it has gone back, and what of that had been voided) is a document of the
//! server's; here it is kept beside the book by the same rule: what is left goes first, then what had expired and what
//! had been voided, for which nothing is owed, and the rest was spent.
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::script::{assert_folds, minute, reversal, terms, withdrawal, work};
use crate::id::AccountNumber;
use crate::ledger::*;
use crate::money::{Credits, Currency, Money};
use crate::refund::{Bought, Part};
use crate::time::Timestamp;

const BOUGHT: Bought = Bought { credits: Credits::from_micros(100), net: 1_000, tax: 210, step: 1 };

#[derive(Clone, Debug)]
enum Step {
    Gift {
        credits: i64,
    },
    Spend {
        credits: i64,
    },
    /// Told so many minutes after it happened.
    SpendLate {
        credits: i64,
        late: i64,
    },
    Reverse {
        which: usize,
        credits: Option<i64>,
    },
    Hold {
        credits: i64,
        lasts: i64,
    },
    Release,
    Void {
        keep: i64,
    },
    Refund {
        credits: i64,
    },
    /// Somebody gives so much of its money back at the provider.
    RefundByHand {
        amount: i64,
    },
    /// The provider finds that the money of the last refund never went out.
    FailRefund,
    Dispute,
    Win,
    /// So much of its money is lost, in minor units.
    Lose {
        amount: i64,
    },
    Wait {
        minutes: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (1..60i64).prop_map(|credits| Step::Gift { credits }),
        5 => (1..60i64).prop_map(|credits| Step::Spend { credits }),
        3 => (1..60i64, 1..120i64).prop_map(|(credits, late)| Step::SpendLate { credits, late }),
        2 => (0..9usize, prop::option::of(1..40i64)).prop_map(|(which, credits)| Step::Reverse { which, credits }),
        2 => (1..60i64, 1..60i64).prop_map(|(credits, lasts)| Step::Hold { credits, lasts }),
        1 => Just(Step::Release),
        1 => (0..60i64).prop_map(|keep| Step::Void { keep }),
        3 => (1..60i64).prop_map(|credits| Step::Refund { credits }),
        1 => (1..1_400i64).prop_map(|amount| Step::RefundByHand { amount }),
        2 => Just(Step::FailRefund),
        3 => Just(Step::Dispute),
        2 => Just(Step::Win),
        3 => (1..1_400i64).prop_map(|amount| Step::Lose { amount }),
        3 => (1..50i64).prop_map(|minutes| Step::Wait { minutes }),
    ]
}

/// Whether and when the purchase expires, and what happens to it.
fn lives() -> impl Strategy<Value = (Option<i64>, Vec<Step>)> {
    (prop::option::of(20..200i64), prop::collection::vec(step(), 1..40))
}

struct History {
    book: Book,
    journal: Vec<Transaction>,
    now: i64,
    grant: GrantId,
    terms: Arc<Terms>,
    /// What of the payment has gone back, and what of that had been voided.
    gone: Part,
    voided: Credits,
    /// And of that, the last refund.
    last_refund: Option<(Part, Credits)>,
    is_disputed: bool,
}

impl History {
    fn new(expires: Option<i64>) -> History {
        let terms = Arc::new(Terms {
            expires_at: expires.map_or(Timestamp::NEVER, minute),
            source: Source::Purchase,
            cost: Some(Money { amount: BOUGHT.net, currency: Currency::EUR }),
            payment: Some("pay".into()),
            ..terms(BOUGHT.credits.micros())
        });
        let mut book = Book::open(AccountNumber::from_random(1));
        let bought = book.decide(&Command::Grant(Arc::clone(&terms)), minute(0)).unwrap();
        book.apply(&bought);
        let grant = bought.granted().unwrap().0;
        History {
            book,
            journal: Vec::from([bought]),
            now: 0,
            grant,
            terms,
            gone: Part::default(),
            voided: Credits::ZERO,
            last_refund: None,
            is_disputed: false,
        }
    }

    /// What the journal says of the purchase's credits at a ledger account.
    fn at(&self, account: impl Fn(&LedgerAccount) -> bool) -> Credits {
        let entries = self.journal.iter().flat_map(Transaction::entries).filter(|it| it.grant == Some(self.grant));
        let moved = |it: Entry| match (account(&it.from), account(&it.to)) {
            (true, false) => -it.credits,
            (false, true) => it.credits,
            _ => Credits::ZERO,
        };
        entries.map(moved).sum()
    }
    /// What was let go of a debt for it came back without being the grant's again.
    fn spent(&self) -> Credits {
        let unlost = |it: &Transaction| match &it.what {
            What::Reversed(it) => it.unlost.iter().map(|it| it.1).sum(),
            _ => Credits::ZERO,
        };
        self.at(|it| matches!(it, LedgerAccount::Usage(_))) - self.journal.iter().map(unlost).sum()
    }
    fn has_voided(&self) -> Credits {
        self.at(|it| *it == LedgerAccount::Voided)
    }
    /// Free and expired.
    fn unspent(&self) -> Credits {
        self.book.grant(self.grant).map_or(Credits::ZERO, |it| it.remaining + it.expired)
    }
    fn held(&self) -> Credits {
        self.book.grant(self.grant).map_or(Credits::ZERO, |it| it.held)
    }
    fn lost(&self) -> Credits {
        self.book.freezes().iter().find(|it| it.grant == self.grant).map_or(Credits::ZERO, |it| it.lost)
    }

    fn bring_up_to_date(&mut self) {
        while let Some((command, when)) = self.book.due(minute(self.now)) {
            self.ask(&command, when).expect("what is due is never refused");
        }
    }

    fn ask(&mut self, command: &Command, at: Timestamp) -> Option<()> {
        let before = self.book.balance(at);
        let transaction = self.book.decide(command, at).ok()?;
        self.book.apply(&transaction);
        let after = self.book.balance(at);
        assert_eq!(after, transaction.after, "{command:?}");
        // Only what was given, or comes back, adds to a balance.
        let adds = matches!(
            transaction.what,
            What::Granted { .. }
                | What::Restored { .. }
                | What::Reversed(_)
                | What::Frozen { .. }
                | What::Repaid { .. }
        );
        assert!(adds || after.posted <= before.posted, "{command:?} made {before:?} {after:?}");
        self.journal.push(transaction);
        Some(())
    }

    fn take(&mut self, step: &Step) {
        if let Step::Wait { minutes } = step {
            self.now += minutes;
        }
        self.bring_up_to_date();
        let _ = self.ask_for(step);
        self.bring_up_to_date();
    }

    /// None where the rules say no, or there is nothing to do it to.
    fn ask_for(&mut self, step: &Step) -> Option<()> {
        let (at, grant) = (minute(self.now), self.grant);
        let credits = Credits::from_micros;
        match *step {
            Step::Wait { .. } => None,
            Step::Gift { credits } => self.ask(&Command::Grant(Arc::new(terms(credits))), at),
            Step::Spend { credits } => {
                let work = Arc::new(work("chat", credits, at));
                self.ask(&Command::Charge(Spend { work, debt_max: Credits::ZERO }), at)
            }
            Step::SpendLate { credits, late } => {
                let work = Arc::new(work("chat", credits, minute((self.now - late).max(0))));
                self.ask(&Command::Charge(Spend { work, debt_max: Credits::ZERO }), at)
            }
            Step::Reverse { which, credits: part } => {
                let mut charges = self.journal.iter().filter(|it| matches!(it.what, What::Charged { .. }));
                let charge = charges.nth(which)?.charge_id();
                self.ask(&Command::Reverse(reversal(&self.journal, charge, part.map(credits))), at)
            }
            Step::Hold { credits: amount, lasts } => {
                let (work, expires_at) = (Arc::new(work("chat", 0, at)), minute(self.now + lasts));
                self.ask(&Command::Hold { work, credits: credits(amount), expires_at }, at)
            }
            Step::Release => self.ask(&Command::Release { hold: self.book.holds().first()?.id }, at),
            // What a dispute is about is nobody's to void.
            Step::Void { .. } if self.is_disputed => None,
            Step::Void { keep } => self.ask(&Command::Void { grant, keep: credits(keep), reason: "test".into() }, at),
            Step::Refund { .. } if self.is_disputed => None,
            Step::Refund { credits: amount } => {
                let part = BOUGHT.part_of_credits(self.gone, credits(amount))?;
                self.ask(&Command::Withdraw(withdrawal(grant, amount, (part.net, Cause::Refund))), at)?;
                (self.gone, self.last_refund) = (self.gone.plus(part), Some((part, Credits::ZERO)));
                Some(())
            }
            Step::RefundByHand { amount } => self.take_back(amount, Cause::Refund),
            Step::FailRefund => {
                let (part, voided) = self.last_refund.take()?;
                let Part { credits, net, tax } = self.gone;
                self.gone = Part { credits: credits - part.credits, net: net - part.net, tax: tax - part.tax };
                self.voided -= voided;
                let back = (part.credits - voided).micros();
                let (withdrawal, terms) = (withdrawal(grant, back, (part.net, Cause::Refund)), Arc::clone(&self.terms));
                self.ask(&Command::Restore { withdrawal, terms }, at)
            }
            Step::Dispute => {
                self.is_disputed = true;
                self.freeze(true)
            }
            Step::Win if self.is_disputed => {
                self.is_disputed = false;
                self.freeze(false)
            }
            Step::Lose { amount } if self.is_disputed => {
                self.take_back(amount, Cause::Dispute);
                self.last_refund = None;
                self.is_disputed = false;
                self.freeze(false)
            }
            Step::Win | Step::Lose { .. } => None,
        }
    }

    fn freeze(&mut self, is_frozen: bool) -> Option<()> {
        let (grant, expires_at) = (self.grant, self.terms.expires_at);
        self.ask(&Command::Freeze { grant, is_frozen, expires_at }, minute(self.now))
    }

    /// A bank, or somebody at the provider, takes so much of its money. What was spent of it is owed.
    fn take_back(&mut self, amount: i64, cause: Cause) -> Option<()> {
        let amount = amount.min(BOUGHT.total() - self.gone.total());
        let part = BOUGHT.part_of_amount(self.gone, amount)?;
        let beyond = self.unspent().short_of(part.credits);
        let voided = (self.has_voided() - self.voided).at_least_zero().min(beyond);
        (self.gone, self.voided) = (self.gone.plus(part), self.voided + voided);
        self.last_refund = Some((part, voided));
        let owed = part.credits - voided;
        let taken = Withdrawal { owed, ..withdrawal(self.grant, owed.micros(), (part.net, cause)) };
        self.ask(&Command::Withdraw(taken), minute(self.now))
    }

    /// What was taken back: of the grant, and as debt.
    fn taken_back(&self) -> Credits {
        let sign = |it: &Transaction| match &it.what {
            What::Withdrawn(it) => it.credits + it.lapsed + it.owed,
            What::Restored { withdrawal, .. } => -withdrawal.credits,
            _ => Credits::ZERO,
        };
        self.journal.iter().map(sign).sum()
    }

    /// What is said to expire next does, where no hold gives anything back before.
    fn assert_foretold(&self) {
        let Some((when, credits)) = self.book.next_expiry(minute(self.now)) else { return };
        if self.book.holds().is_empty() {
            let expired = |book: &Book| book.grant(self.grant).map_or(Credits::ZERO, |it| it.expired);
            let then = self.book.brought_up_to(when);
            assert_eq!(expired(&then) - expired(&self.book), credits, "at {when:?}");
        }
    }

    /// What gifts repaid of what is owed for the purchase, and have not got back.
    fn repaid_by_others(&self) -> Credits {
        let of = |it: &Transaction| match &it.what {
            What::Repaid { grant, credits, .. } if *grant != self.grant => *credits,
            What::Repaid { regranted: Some((_, terms)), .. }
            | What::Reversed(Reversal { regranted: Some((_, terms)), .. }) => -terms.credits,
            _ => Credits::ZERO,
        };
        self.journal.iter().map(of).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// However its parts go back, no more does than was bought, and all of it once all of its money is gone. What is
    /// there of it, spent or not, is what was paid for and what is owed for it: nothing that went back is drawn again,
    /// by whatever late event. Once it has expired, what is owed for it was had; and what others repaid of anything
    /// else they have again.
    #[test]
    fn no_more_is_taken_back_than_was_bought((expires, steps) in lives()) {
        let mut history = History::new(expires);
        for step in &steps {
            history.take(step);
            prop_assert_eq!(history.taken_back() + history.voided, history.gone.credits);
            prop_assert!(history.gone.credits <= BOUGHT.credits);
            let had = history.spent() + history.held();
            let voided = history.has_voided() - history.voided;
            let there = had + history.unspent() + voided;
            let (lost, paid) = (history.lost(), BOUGHT.credits - history.gone.credits);
            prop_assert_eq!(there, paid + lost, "after {:?}", step);
            prop_assert!(history.book.debt() <= lost, "{} owed of {lost} after {step:?}", history.book.debt());
            if history.book.grant(history.grant).is_none_or(|it| it.expires_at() <= minute(history.now)) {
                prop_assert!(lost <= had + voided || history.is_disputed, "{lost} owed of {had} after {step:?}");
            }
            prop_assert_eq!(history.repaid_by_others(), lost - history.book.debt());
            history.assert_foretold();
        }
        if BOUGHT.total() == history.gone.total() {
            prop_assert_eq!(history.gone.credits, BOUGHT.credits);
        }
        assert_folds(&history.journal, &history.book);
    }

    /// Who wins a dispute finds what there was, and as long to use it, however long it took; be it the second one, or
    /// one after a refund or a loss in part.
    #[test]
    fn a_dispute_that_is_won_restores_exactly((expires, steps) in lives(), minutes in 0..500i64) {
        let mut history = History::new(expires);
        for step in &steps {
            history.take(step);
        }
        // One that is open still is won first; and no hold ends meanwhile.
        history.take(&Step::Win);
        while !history.book.holds().is_empty() {
            history.take(&Step::Release);
        }
        let left = |it: &History| {
            let life = |expires_at: Timestamp| {
                (expires_at < Timestamp::NEVER).then(|| expires_at.millis() - minute(it.now).millis())
            };
            it.book.grant(it.grant).filter(|grant| grant.live_at(minute(it.now))).map(|grant| {
                (grant.remaining, grant.expired, life(grant.expires_at()))
            })
        };
        let (before, balance) = (left(&history), history.book.balance(minute(history.now)));
        history.take(&Step::Dispute);
        prop_assert!(left(&history).is_none(), "nothing is drawn from it while it is disputed");
        history.take(&Step::Wait { minutes });
        history.take(&Step::Win);
        prop_assert_eq!(left(&history), before);
        prop_assert_eq!(history.book.balance(minute(history.now)), balance);
        assert_folds(&history.journal, &history.book);
    }
}
