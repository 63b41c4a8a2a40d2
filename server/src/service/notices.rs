//! What others are told of: raised together with its cause, then spread to whoever wants to hear of it.
//!
//! A notice is a document that is due at once. It is written in the very commit of what it tells of, so that it never
//! tells of something that was not done, nor left out; the worker makes of it one delivery for each endpoint, in one
//! commit, and each of those is a job of its own.
//!
//! Invariant: a notice's name follows from its cause, so a cause is told of once.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::{Book, Source, Terms, Transaction, What};
use billing::money::Credits;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Change, Document};

use super::Error;
use super::documents::{Kept, read};
use crate::app::App;

const NOTICE: &str = "notice";
/// Looks at a grant shortly before it expires.
const REMINDER: &str = "expiry_reminder";

/// Kinds that are over once they have been looked at.
pub(super) const PASSING: [&str; 2] = [NOTICE, REMINDER];

/// How long before its end a grant's customer is told.
const BEFORE_EXPIRY: Span = Span::DAY.times(7);

macro_rules! happenings { ($($name:ident $text:literal)*) => {
    /// What can be told.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Happening { $($name),* }

    impl Happening {
        pub const ALL: &[Happening] = &[$(Happening::$name),*];

        pub fn as_str(self) -> &'static str {
            match self { $(Happening::$name => $text),* }
        }
    }
} }

happenings! {
    BalanceLow "balance.low"
    BalanceExhausted "balance.exhausted"
    BalanceRecovered "balance.recovered"
    BudgetThresholdReached "budget.threshold_reached"
    GrantExpiring "grant.expiring"
    GrantExpired "grant.expired"
    PaymentSucceeded "payment.succeeded"
    PaymentFailed "payment.failed"
    PaymentRequiresAction "payment.requires_action"
    PaymentRefunded "payment.refunded"
    PaymentDisputed "payment.disputed"
    AutoTopupSucceeded "auto_topup.succeeded"
    AutoTopupFailed "auto_topup.failed"
    AutoTopupPaused "auto_topup.paused"
    SubscriptionRenewed "subscription.renewed"
    SubscriptionPastDue "subscription.past_due"
    SubscriptionCanceled "subscription.canceled"
    SubscriptionRenewalUpcoming "subscription.renewal_upcoming"
    SubscriptionEnding "subscription.ending"
    SubscriptionResumed "subscription.resumed"
    ServerRunwayLow "server.runway_low"
    ServerStopDue "server.stop_due"
    ServerReleaseDue "server.release_due"
    ServerResumeDue "server.resume_due"
    InvoiceIssued "invoice.issued"
    PaymentMethodExpiring "payment_method.expiring"
    WebhookEndpointDisabled "webhook_endpoint.disabled"
}

impl std::str::FromStr for Happening {
    type Err = ();
    fn from_str(text: &str) -> Result<Happening, ()> {
        Happening::ALL.iter().find(|it| it.as_str() == text).copied().ok_or(())
    }
}

/// Something to be told.
#[derive(Clone, Debug)]
pub struct Tidings<'a> {
    pub account: AccountNumber,
    pub what: Happening,
    /// The id of what brought it about. The same happening with the same cause is the same notice.
    pub cause: &'a str,
    /// What is said of it: a JSON object. The account's own name is added when it is told.
    pub about: Value,
}

/// A notice as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Notice {
    pub what: String,
    pub about: Value,
    /// Another of the same cause says more: people are written to once, and endpoints told of each.
    #[serde(default)]
    pub is_outdone: bool,
}

/// The change that has something told, to be committed with its cause.
pub fn raise(news: &Tidings<'_>, at: Timestamp) -> Change {
    raised(news, false, at)
}

/// The same, of something that another notice of its cause outdoes.
pub(super) fn raised(news: &Tidings<'_>, is_outdone: bool, at: Timestamp) -> Change {
    let notice = Notice { what: news.what.as_str().to_owned(), about: news.about.clone(), is_outdone };
    Kept::new(news.account, NOTICE, name_of(news.what, news.cause), notice).next(at, Some(at))
}

const NAMED: &str = "notice_";

/// Full stops part what is signed, so a name has none.
fn name_of(what: Happening, cause: &str) -> String {
    format!("{NAMED}{cause}_{}", what.as_str()).replace('.', "-")
}

/// What goes with a transaction because of what it says: notices, and reminders to look again.
pub fn companions(low: Credits) -> crate::turnstile::Companions {
    Arc::new(move |book: &Book, transaction: &Transaction| {
        let mut changes = Vec::new();
        changes.extend(of_balance(low, book, transaction));
        super::warnings::of_notices(book, transaction, &mut changes);
        changes.extend(of_grants(transaction));
        changes.extend(super::topups::companions(transaction));
        changes.extend(super::money_news::of_topup(book, transaction));
        changes
    })
}

/// Told when what is left for the work at hand crosses a line, and not again before it has crossed back. What is held
/// is not spent yet, and would cross it with each message.
fn of_balance(low: Credits, before: &Book, transaction: &Transaction) -> Option<Change> {
    let may_rise = !matches!(transaction.what, What::Charged { .. } | What::Held { .. } | What::Extended { .. });
    let total = transaction.after.posted - transaction.after.accrued;
    // What an account begins with is no recovery; and most charges are far from any line.
    if is_first(before, transaction) || (low <= total && !may_rise && !before.has_scoped()) {
        return None;
    }
    let (was, now) = before.unspent(transaction);
    // Under running servers the ladder tells of zero, and says what follows.
    let is_told = before.burning().ladder.zero_at.is_some()
        || transaction.notices.iter().any(|it| matches!(it, billing::ledger::Notice::Exhausted { .. }));
    let is_out = Credits::ZERO < was && now <= Credits::ZERO;
    let what = if is_out && !is_told && !ladder_tells(before, transaction) {
        Happening::BalanceExhausted
    } else if low <= was && now < low {
        Happening::BalanceLow
    } else if was < low && low <= now {
        Happening::BalanceRecovered
    } else {
        return None;
    };
    let after = transaction.after;
    let mut about = json!({
        "available": after.available().to_string(), "posted": after.posted.to_string(),
        "held": after.held.to_string(), "accrued": after.accrued.to_string(), "debt": after.debt.to_string(),
        "threshold": low.to_string(), "entry": transaction.id().to_string(),
    });
    // Whoever reads of the line and of what is available wants to know why the one is not the other.
    if now < total {
        about["for_other_work"] = json!((total - now).to_string());
    }
    Some(of_transaction(transaction, what, about))
}

/// Whether running servers have nothing left from here on: then the ladder's next step, at this very instant, tells.
fn ladder_tells(before: &Book, transaction: &Transaction) -> bool {
    let mut after = before.clone();
    after.apply(transaction);
    after.runs_out_at(transaction.at) == Some(transaction.at)
}

/// Whether it is the first grant of an account, or another of its welcome.
fn is_first(before: &Book, transaction: &Transaction) -> bool {
    let is_welcome = |it: &Terms| it.source == Source::Welcome && before.at == transaction.at;
    transaction.place.version == 1 || transaction.granted().is_some_and(|(_, terms)| is_welcome(terms))
}

/// What grants bring: word of one that has expired, and a reminder to look at one shortly before it does.
pub(super) fn of_grants(transaction: &Transaction) -> Option<Change> {
    if let What::Expired { grant, credits } = transaction.what {
        let about = json!({"grant": grant.to_string(), "credits": credits.to_string()});
        return credits.is_positive().then(|| of_transaction(transaction, Happening::GrantExpired, about));
    }
    // One that was frozen expires later, and is reminded of anew.
    if let What::Frozen { grant, expires_at: Some(at), .. } = transaction.what {
        let due_at = Some(at - BEFORE_EXPIRY).filter(|it| transaction.at < *it)?;
        let (account, name) = (transaction.place.account, format!("{grant}-{}", at.millis()));
        return Some(Kept::new(account, REMINDER, name, json!({})).next(transaction.at, Some(due_at)));
    }
    let (grant, terms) = transaction.granted()?;
    let due_at = terms.expires_at - BEFORE_EXPIRY;
    let is_worth_it = terms.expires_at < Timestamp::NEVER && transaction.at < due_at;
    is_worth_it.then(|| {
        let account = transaction.place.account;
        Kept::new(account, REMINDER, grant.to_string(), json!({})).next(transaction.at, Some(due_at))
    })
}

fn of_transaction(transaction: &Transaction, what: Happening, about: Value) -> Change {
    let cause = transaction.id().to_string();
    raise(&Tidings { account: transaction.place.account, what, cause: &cause, about }, transaction.at)
}

impl App {
    /// Does the job of a document if it is one of a notice's; gives it back otherwise. What only ends goes to `ends`.
    pub(super) fn work_notices(
        self: &Arc<Self>,
        document: Document,
        ends: &mut Vec<Change>,
    ) -> Result<Option<Document>, Error> {
        match &*document.kind {
            NOTICE => self.spread(&read(document)?)?,
            REMINDER => self.remind(&read(document)?)?,
            kind if super::deliveries::is_delivery(kind) => self.deliver(read(document)?, ends)?,
            _ => return self.work_emails(document, ends),
        }
        Ok(None)
    }

    /// Makes of a notice a delivery to each endpoint that wants it, and an e-mail. What it says they say from then on.
    fn spread(&self, notice: &Kept<Notice>) -> Result<(), Error> {
        let now = self.now();
        let mut told = notice.clone();
        told.body.about = Value::Null;
        let mut changes = vec![told.next(now, None)];
        let mut about = notice.body.about.clone();
        let known = self.known_number(notice.document.account)?;
        if let Some(known) = &known {
            about["account"] = json!(known.account.id.as_str());
            changes.extend(self.email_of(known, notice, now)?);
            let is_low = matches!(notice.body.what.parse(), Ok(Happening::BalanceLow | Happening::BalanceExhausted));
            if is_low && !self.has_run_low(known.account.number)? {
                changes.push(super::tips::ran_low(known.account.number, now));
            }
        }
        // The house's own notices are about no account.
        if known.is_some() || notice.document.account == Document::HOUSE {
            let at = jiff::Timestamp::from_millisecond(notice.document.at.millis()).unwrap_or_default();
            let body = json!({"type": notice.body.what, "timestamp": format!("{at:.3}"), "data": about}).to_string();
            for endpoint in self.endpoints_for(&notice.body.what, now)? {
                changes.push(super::deliveries::first(&endpoint, notice, &body, now));
            }
        }
        // Whoever else spread it made the same deliveries.
        self.keep(&changes).map(drop)
    }

    /// Whether something is told because of this.
    pub(super) fn is_told(&self, account: AccountNumber, what: Happening, cause: &str) -> Result<bool, Error> {
        Ok(self.store.document(account, NOTICE, &name_of(what, cause))?.is_some())
    }

    /// Tells that a grant will expire, if anything is left of it.
    fn remind(&self, reminder: &Kept<Value>) -> Result<(), Error> {
        let now = self.now();
        let mut changes = vec![reminder.next(now, None)];
        let account = reminder.document.account;
        let book = self.book(account)?.brought_up_to(now);
        let cause = &reminder.document.id;
        let id = cause.split_once('-').map_or(&**cause, |it| it.0);
        let left = id.parse().ok().and_then(|it| book.grant(it)).filter(|it| it.remaining.is_positive());
        // While one is frozen nobody knows when it will expire, and once it is free again it may be later.
        if let Some(grant) = left.filter(|it| !it.is_frozen && it.expires_at() <= now + BEFORE_EXPIRY) {
            let at = jiff::Timestamp::from_millisecond(grant.expires_at().millis()).unwrap_or_default();
            let about = json!({
                "grant": id, "credits": grant.remaining.to_string(), "expires_at": format!("{at:.3}"),
            });
            changes.push(raise(&Tidings { account, what: Happening::GrantExpiring, cause, about }, now));
        }
        self.keep(&changes).map(drop)
    }
}
