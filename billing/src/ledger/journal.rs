//! The journal: what happened to one account, in order, for ever.
//!
//! A transaction stands by itself: a book is the fold of transactions and nothing else, and the double entries of a
//! transaction follow from it alone.
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;

use super::budget::BudgetChange;
use super::burn::{BurnTerms, ServerReport, Settled};
use super::grant::Terms;
use super::notice::Notice;
use super::topup::TopupChange;
use super::withdrawal::Withdrawal;
use crate::id::{ChargeId, EntryId, GrantId, HoldId, Name, Place};
use crate::money::Credits;
use crate::rating::{Price, Text, Usage};
use crate::server::PartKind;
use crate::time::Timestamp;

/// One decision, written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub place: Place,
    /// When it was decided. Never before the transaction before it, whatever the clock did.
    pub at: Timestamp,
    pub origin: Origin,
    pub what: What,
    /// The account's balance when this was done.
    pub after: Balance,
    /// What it is to be told of: thresholds that were crossed by this. Each is told once.
    pub notices: Vec<Notice>,
}

impl Transaction {
    /// Looks at what whoever writes this down, adds it up or lets it go is about to read. Of many transactions, each in
    /// memory of its own, the processor then waits for all at once, and not for one after the other.
    pub fn look_at(&self) {
        let key = self.origin.key.as_deref().and_then(|it| it.as_bytes().first().copied());
        black_box((key, self.origin.request, self.after.posted, self.notices.len()));
        if let What::Charged { work, draws, .. } = &self.what {
            let (price, usage) = (&work.price, &work.usage);
            let lines = (price.lines.first().map(|it| it.quantity), price.lines.last().map(|it| it.credits));
            black_box((usage.quantities.first().map(|it| it.1), usage.dimensions.first().map(|it| it.1.len())));
            black_box((work.hour, lines, draws.first().map(|it| it.credits)));
        }
    }
    pub fn id(&self) -> EntryId {
        EntryId::new(self.at, self.place)
    }
    /// The grant this transaction made, when it made one.
    pub fn granted(&self) -> Option<(GrantId, &Arc<Terms>)> {
        match &self.what {
            What::Granted { grant, terms } => Some((*grant, terms)),
            What::Reversed(Reversal { regranted: Some((grant, terms)), .. })
            | What::Repaid { regranted: Some((grant, terms)), .. } => Some((*grant, terms)),
            _ => None,
        }
    }
    /// What this transaction paid for once and for ever, if it did: a meter, and the value that tells its works apart.
    /// A capture for which the hold was too small has not paid.
    pub fn paid_once(&self) -> Option<(&Text, String)> {
        match &self.what {
            What::Charged { work, credits, closing, .. } if credits.is_positive() => {
                let is_whole = closing.as_ref().is_none_or(|it| it.shortfall.is_zero());
                work.paid_once().filter(|_| is_whole)
            }
            _ => None,
        }
    }
    /// What had been paid for once and is so no longer, for all of it was given back: as of [`Transaction::paid_once`].
    /// As long as a part of it stays charged it stays paid for.
    pub fn freed_once(&self) -> Option<(&Text, String)> {
        match &self.what {
            What::Reversed(it) if it.total == it.work.price.credits => it.work.paid_once(),
            _ => None,
        }
    }
    /// The id of the charge this transaction made, when it made one.
    pub fn charge_id(&self) -> ChargeId {
        ChargeId::new(self.at, self.place)
    }
}

/// Who asked, and under which key. Empty for what the account's own clock brought about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origin {
    /// The caller's idempotency key.
    pub key: Option<Text>,
    /// Fingerprint of the request that came with the key: another request under it is a conflict.
    pub request: u128,
    /// Name of the API key that asked.
    pub by: Option<Text>,
}

/// The four numbers every screen, check and reply shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    /// Unspent credits of live grants, less the debt.
    pub posted: Credits,
    /// In open holds.
    pub held: Credits,
    /// Used by running servers and not yet settled.
    pub accrued: Credits,
    /// Owed for work done beyond the grants; already taken off `posted`.
    pub debt: Credits,
}

impl Balance {
    pub fn available(&self) -> Credits {
        self.posted - self.held - self.accrued
    }
}

/// Work done or to be done, and its price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Work {
    pub usage: Usage,
    pub price: Price,
    pub project: Option<Name>,
    /// Who did it: a user, an agent, an API key of the platform's customer.
    pub actor: Option<Name>,
    /// What it was done on: a server, a chat, a repository.
    pub resource: Option<Name>,
    /// When it happened, which may be before it was told: its price and its usage bucket are of this time.
    pub occurred_at: Timestamp,
    /// Start of the usage bucket it falls in: the hour, as hours fall in the account's zone at that time.
    pub hour: Timestamp,
    /// The binding quote it was promised under: it never costs more than that.
    pub quote: Option<Text>,
    /// The caller's own JSON, kept as it came.
    pub metadata: Option<Text>,
    /// What a measurer counted, as JSON.
    pub evidence: Option<Text>,
    /// The dimension by whose value it is paid for once, such as a repository's tree; or two with a space between,
    /// where it pays only for what is new since another value. None where it is free anyway.
    pub once: Option<Text>,
}

impl Work {
    /// What this work pays for once, if it does: its meter, and the value that tells its works apart.
    pub fn paid_once(&self) -> Option<(&Text, String)> {
        let mut values = String::new();
        for (place, once) in self.once.as_ref()?.split(' ').enumerate() {
            let value = self.usage.dimensions.iter().find(|it| &*it.0 == once).map(|it| &it.1)?;
            if 0 < place {
                // No value of a dimension has such a character in it.
                values.push('\0');
            }
            values.push_str(value);
        }
        Some((&self.usage.meter, values))
    }
    /// Whether this work is paid for once another has paid for `value` of `meter`: the same, or the whole it is part
    /// of.
    pub fn is_paid_with(&self, (meter, value): (&Text, &str)) -> bool {
        self.paid_once().is_some_and(|(own_meter, own)| {
            let rest = own.strip_prefix(value).filter(|_| own_meter == meter);
            rest.is_some_and(|it| it.is_empty() || it.starts_with('\0'))
        })
    }
    /// The same work where it is paid for already: free, and a line says why.
    pub fn again(&self) -> Work {
        let once = self.once.as_deref().and_then(|it| it.split(' ').next());
        let price = self.price.again(once.unwrap_or("work"));
        Work { price, once: None, ..self.clone() }
    }
}

/// Which pot of a grant credits come from or go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pot {
    Free,
    Held,
    Expired,
}

/// Credits taken from a grant, or given back to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    pub grant: GrantId,
    pub credits: Credits,
    pub pot: Pot,
}

/// How a hold ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldEnd {
    Captured,
    Released,
    Expired,
}

impl HoldEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            HoldEnd::Captured => "captured",
            HoldEnd::Released => "released",
            HoldEnd::Expired => "expired",
        }
    }
}

impl fmt::Display for HoldEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The end of a hold by a charge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closing {
    pub hold: HoldId,
    pub end: HoldEnd,
    /// What the hold had reserved and the charge did not need, given back.
    pub released: Vec<Draw>,
    /// What the work cost beyond what there was to take.
    pub shortfall: Credits,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    Granted {
        grant: GrantId,
        terms: Arc<Terms>,
    },
    /// Debt paid off from a grant.
    Repaid {
        grant: GrantId,
        credits: Credits,
        /// Of them owed for what was spent of this very grant, whose money went: it is owed no longer. Nothing in
        /// journals of before this was said; books let go of it all the same.
        unlost: Credits,
        /// What others had repaid of that before, given back as a grant of its own.
        regranted: Option<(GrantId, Arc<Terms>)>,
    },
    /// Credits for work done: `draws` in the order they were drawn, then `owed` as debt; together `credits`.
    Charged {
        work: Arc<Work>,
        credits: Credits,
        draws: Vec<Draw>,
        owed: Credits,
        closing: Option<Closing>,
        /// The stretch of a server's life it settles, when it does.
        settled: Option<Settled>,
    },
    Held {
        hold: HoldId,
        /// What is planned, priced as far as it is known.
        work: Arc<Work>,
        draws: Vec<Draw>,
        expires_at: Timestamp,
        /// What this work could have drawn beyond it, from then on.
        beyond: Credits,
    },
    /// A hold grew, or was told what has been used so far, or both.
    Extended {
        hold: HoldId,
        draws: Vec<Draw>,
        /// All that the hold reserves now, `draws` included.
        reserved: Credits,
        used: Option<Arc<Work>>,
        expires_at: Timestamp,
        /// As of a hold.
        beyond: Credits,
    },
    Released {
        hold: HoldId,
        draws: Vec<Draw>,
        end: HoldEnd,
    },
    Reversed(Reversal),
    /// The unused part of a grant, taken back.
    Voided {
        grant: GrantId,
        credits: Credits,
        reason: Text,
    },
    Expired {
        grant: GrantId,
        credits: Credits,
    },
    /// No new spending from here on.
    Closed,
    /// Paid credits went back.
    Withdrawn(Withdrawal),
    /// Credits whose refund failed, in their grant again.
    Restored {
        withdrawal: Withdrawal,
        terms: Arc<Terms>,
    },
    /// The grant's payment is disputed, or no longer is.
    Frozen {
        grant: GrantId,
        is_frozen: bool,
        /// When it expires now, where that is later than before by the time it was frozen.
        expires_at: Option<Timestamp>,
    },
    Topup(TopupChange),
    /// A server was provisioned, or something was reported of one. What it costs follows in charges of its own.
    Server(ServerReport),
    /// By what burning is counted from here on.
    BurnTerms(Arc<BurnTerms>),
    Budget(BudgetChange),
    /// Nothing moved; time has come to say something, or the transaction before this one settled more than one name has
    /// room for, and this one has the other: see [`Command::Note`](super::Command::Note).
    Noticed,
}

/// A charge undone, wholly or partly, against the order in which it drew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reversal {
    pub charge: ChargeId,
    /// The work that was charged: its usage bucket gets the credits back.
    pub work: Arc<Work>,
    pub credits: Credits,
    /// Back to the very grants; to the expired pot of one that has expired since.
    pub draws: Vec<Draw>,
    /// Grants that were used up and gone from the book, here again.
    pub reopened: Vec<(GrantId, Arc<Terms>)>,
    /// Credits of grants that have expired and whose money went: they are owed no longer.
    pub unlost: Vec<(GrantId, Credits)>,
    /// Debt of the charge, or of such a grant, that is still owed, let go.
    pub forgiven: Credits,
    /// Such debt that has been repaid since, given back as a grant of its own.
    pub regranted: Option<(GrantId, Arc<Terms>)>,
    /// Of this charge reversed so far, this included.
    pub total: Credits,
    pub reason: Text,
    /// The stretch of a server's life that is taken back, when it is one.
    pub settled: Option<Settled>,
    /// The server whose time, or set-up, it was that was charged; where facts take it back, `settled` says so.
    pub of_server: Option<(Name, PartKind)>,
}
