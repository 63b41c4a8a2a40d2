//! Double entry: each transaction as movements between ledger accounts.
//!
//! A movement takes from one ledger account what it puts into another, so the sum over all ledger accounts is zero by
//! construction. The house's own (issuance, usage, breakage …) have entries and no stored balance: nothing contends.
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::grant::Source;
use super::journal::{Draw, Pot, Transaction, What};
use super::withdrawal::Cause;
use crate::id::GrantId;
use crate::money::Credits;
use crate::rating::Text;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LedgerAccount {
    /// Where credits come from, by source. Goes ever further below zero.
    Issuance(Source),
    /// The account's spendable credits.
    Grants,
    /// The account's credits in open holds.
    Held,
    /// What the account owes; below zero while it does.
    Debt,
    /// Credits earned by work, by meter.
    Usage(Text),
    /// Credits that expired unspent.
    Breakage,
    /// Credits taken back unspent.
    Voided,
    /// Credits whose money was given back.
    Refunded,
    /// Credits whose money a bank took back.
    Clawback,
}

impl LedgerAccount {
    /// Whether what is there is the account's, or what it owes; not the house's.
    fn is_own(&self) -> bool {
        matches!(self, LedgerAccount::Grants | LedgerAccount::Held | LedgerAccount::Debt)
    }
}

impl fmt::Display for LedgerAccount {
    /// `issuance:purchase`, `usage:ai_chat`, `breakage`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerAccount::Issuance(source) => write!(f, "issuance:{source}"),
            LedgerAccount::Grants => f.write_str("grants"),
            LedgerAccount::Held => f.write_str("held"),
            LedgerAccount::Debt => f.write_str("debt"),
            LedgerAccount::Usage(meter) => write!(f, "usage:{meter}"),
            LedgerAccount::Breakage => f.write_str("breakage"),
            LedgerAccount::Voided => f.write_str("voided"),
            LedgerAccount::Refunded => f.write_str("refunded"),
            LedgerAccount::Clawback => f.write_str("clawback"),
        }
    }
}

impl FromStr for LedgerAccount {
    type Err = ();
    fn from_str(text: &str) -> Result<LedgerAccount, ()> {
        Ok(match text {
            "grants" => LedgerAccount::Grants,
            "held" => LedgerAccount::Held,
            "debt" => LedgerAccount::Debt,
            "breakage" => LedgerAccount::Breakage,
            "voided" => LedgerAccount::Voided,
            "refunded" => LedgerAccount::Refunded,
            "clawback" => LedgerAccount::Clawback,
            text => match text.split_once(':').ok_or(())? {
                ("issuance", source) => LedgerAccount::Issuance(source.parse()?),
                ("usage", meter) => LedgerAccount::Usage(meter.into()),
                _ => return Err(()),
            },
        })
    }
}

/// `credits` moved from one ledger account to another. Never negative.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub from: LedgerAccount,
    pub to: LedgerAccount,
    pub credits: Credits,
    /// The grant the credits are of, where they are of one.
    pub grant: Option<GrantId>,
}

impl Pot {
    fn ledger_account(self) -> LedgerAccount {
        match self {
            Pot::Free => LedgerAccount::Grants,
            Pot::Held => LedgerAccount::Held,
            Pot::Expired => LedgerAccount::Breakage,
        }
    }
}

impl Cause {
    fn ledger_account(self) -> LedgerAccount {
        match self {
            Cause::Refund => LedgerAccount::Refunded,
            Cause::Dispute => LedgerAccount::Clawback,
        }
    }
}

impl Transaction {
    /// The double entries of this transaction, in the order the credits moved.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Entries::default();
        match &self.what {
            What::Granted { grant, terms } => {
                entries.add(LedgerAccount::Issuance(terms.source), LedgerAccount::Grants, terms.credits, Some(*grant));
            }
            What::Repaid { grant, credits, regranted, .. } => {
                entries.add(LedgerAccount::Grants, LedgerAccount::Debt, *credits, Some(*grant));
                if let Some((grant, terms)) = regranted {
                    entries.add(LedgerAccount::Debt, LedgerAccount::Grants, terms.credits, Some(*grant));
                }
            }
            What::Charged { work, draws, owed, closing, .. } => {
                let usage = LedgerAccount::Usage(Arc::clone(&work.usage.meter));
                for draw in draws {
                    entries.add(draw.pot.ledger_account(), usage.clone(), draw.credits, Some(draw.grant));
                }
                entries.add(LedgerAccount::Debt, usage, *owed, None);
                entries.move_all(
                    closing.iter().flat_map(|it| &it.released),
                    LedgerAccount::Held,
                    LedgerAccount::Grants,
                );
            }
            What::Held { draws, .. } | What::Extended { draws, .. } => {
                entries.move_all(draws, LedgerAccount::Grants, LedgerAccount::Held);
            }
            What::Released { draws, .. } => entries.move_all(draws, LedgerAccount::Held, LedgerAccount::Grants),
            What::Reversed(reversal) => {
                let usage = LedgerAccount::Usage(Arc::clone(&reversal.work.usage.meter));
                entries.add(usage.clone(), LedgerAccount::Debt, reversal.forgiven, None);
                for draw in &reversal.draws {
                    entries.add(usage.clone(), draw.pot.ledger_account(), draw.credits, Some(draw.grant));
                }
                if let Some((grant, terms)) = &reversal.regranted {
                    entries.add(usage.clone(), LedgerAccount::Grants, terms.credits, Some(*grant));
                }
            }
            What::Voided { grant, credits, .. } => {
                entries.add(LedgerAccount::Grants, LedgerAccount::Voided, *credits, Some(*grant));
            }
            What::Expired { grant, credits } => {
                entries.add(LedgerAccount::Grants, LedgerAccount::Breakage, *credits, Some(*grant));
            }
            What::Withdrawn(it) => {
                entries.add(LedgerAccount::Grants, it.cause.ledger_account(), it.credits, Some(it.grant));
                entries.add(LedgerAccount::Breakage, it.cause.ledger_account(), it.lapsed, Some(it.grant));
                entries.add(LedgerAccount::Debt, it.cause.ledger_account(), it.owed, None);
            }
            What::Restored { withdrawal: it, .. } => {
                entries.add(it.cause.ledger_account(), LedgerAccount::Grants, it.credits, Some(it.grant));
            }
            What::Closed | What::Frozen { .. } | What::Topup(_) => {}
            What::Server(_) | What::BurnTerms(_) | What::Budget(_) | What::Noticed => {}
        }
        entries.0
    }
}

impl Transaction {
    /// What the account has more after this or, with a minus, less: what moved between it and the house.
    ///
    /// One after the other these add up to all credits that are there, in grants and in holds, less what is owed: to
    /// the posted balance, and what that leaves out, because nobody can draw it just then (grants that are frozen, that
    /// are yet to begin, or that expire at that very instant).
    pub fn gain(&self) -> Credits {
        let change = |it: &Entry| match (it.from.is_own(), it.to.is_own()) {
            (true, false) => -it.credits,
            (false, true) => it.credits,
            _ => Credits::ZERO,
        };
        self.entries().iter().map(change).sum()
    }

    /// Of the price of its work, what was paid by credits that had expired: they left the account when they did, and so
    /// are no part of [`Transaction::gain`]. With a minus, what goes back to such credits.
    pub fn from_expired(&self) -> Credits {
        let of =
            |draws: &[Draw]| draws.iter().filter(|it| it.pot == Pot::Expired).map(|it| it.credits).sum::<Credits>();
        match &self.what {
            What::Charged { draws, .. } => of(draws),
            What::Reversed(it) => -of(&it.draws),
            _ => Credits::ZERO,
        }
    }
}

#[derive(Default)]
struct Entries(Vec<Entry>);

impl Entries {
    /// Writes nothing when nothing moves.
    fn add(&mut self, from: LedgerAccount, to: LedgerAccount, credits: Credits, grant: Option<GrantId>) {
        assert!(Credits::ZERO <= credits, "an entry's direction is said by its ledger accounts");
        if credits.is_positive() {
            self.0.push(Entry { from, to, credits, grant });
        }
    }
    fn move_all<'a>(&mut self, draws: impl IntoIterator<Item = &'a Draw>, from: LedgerAccount, to: LedgerAccount) {
        for draw in draws {
            self.add(from.clone(), to.clone(), draw.credits, Some(draw.grant));
        }
    }
}
