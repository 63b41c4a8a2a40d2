//! What the ladder and the budgets give occasion to tell: each notice of a transaction as something for a webhook.
//!
//! Pure: what is told follows from the book and the transaction, so one that is decided again tells the same.
use billing::id::Name;
use billing::ledger::{Book, BudgetChange, Notice, Transaction, What};
use billing::server::Phase;
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};
use store::Change;

use super::notices::{Happening, Tidings, raised};

/// The words of each notice, to be committed with the transaction it stands in.
pub(super) fn of_notices(before: &Book, transaction: &Transaction, changes: &mut Vec<Change>) {
    for (number, notice) in transaction.notices.iter().enumerate() {
        let Some((what, about)) = told(before, transaction, notice) else { continue };
        // A transaction may cross several thresholds of a kind.
        let cause = format!("{}_{number}", transaction.id());
        let news = Tidings { account: transaction.place.account, what, cause: &cause, about };
        let is_outdone = transaction.notices.iter().any(|it| outdoes(it, notice));
        changes.push(raised(&news, is_outdone, transaction.at));
    }
}

/// The thresholds of budgets that a transaction reached, each as a webhook tells it.
pub(super) fn budgets_reached(book: &Book, account: &Name, transaction: &Transaction) -> Vec<Value> {
    let reached = transaction.notices.iter().filter(|it| matches!(it, Notice::BudgetReached { .. }));
    let told = reached.filter_map(|it| told(book, transaction, it));
    let of_account = |(_, mut about): (Happening, Value)| {
        about["account"] = json!(account.as_str());
        about
    };
    told.map(of_account).collect()
}

/// Whether one notice of a budget says more than another of the same transaction: of the same period, a higher part.
fn outdoes(notice: &Notice, other: &Notice) -> bool {
    let reached = |it: &Notice| match it {
        Notice::BudgetReached { budget, percent, start, .. } => Some((budget.clone(), *start, *percent)),
        _ => None,
    };
    let (this, other) = (reached(notice), reached(other));
    this.zip(other).is_some_and(|(it, than)| (it.0, it.1) == (than.0, than.1) && than.2 < it.2)
}

fn told(before: &Book, transaction: &Transaction, notice: &Notice) -> Option<(Happening, Value)> {
    let after = &transaction.after;
    Some(match notice {
        Notice::RunwayLow { rung, runs_out_at } => {
            let book = after_it(before, transaction);
            let within = rung.within(&book.burning().terms.grace.runway);
            let about = json!({
                "rung": within.map(in_short), "runs_out_at": instant(*runs_out_at), "servers": running(&book),
                "available": after.available().to_string(),
            });
            (Happening::ServerRunwayLow, about)
        }
        Notice::Exhausted { grace_until, debt_max } => {
            let about = json!({
                "available": after.available().to_string(), "posted": after.posted.to_string(),
                "held": after.held.to_string(), "accrued": after.accrued.to_string(), "debt": after.debt.to_string(),
                "grace_until": instant(*grace_until), "debt_max": debt_max.to_string(),
                "servers": running(&after_it(before, transaction)),
                "entry": transaction.id().to_string(),
            });
            (Happening::BalanceExhausted, about)
        }
        Notice::StopDue { servers } => {
            let debt_max = before.burning().terms.grace.debt_max;
            let about = json!({
                "reason": "credits", "servers": names(servers), "debt": after.debt.to_string(),
                "debt_max": debt_max.to_string(),
            });
            (Happening::ServerStopDue, about)
        }
        Notice::ReleaseDue { servers } => {
            let reason = if transaction.what == What::Closed { "account_closed" } else { "credits" };
            let about = json!({"reason": reason, "servers": names(servers), "debt": after.debt.to_string()});
            (Happening::ServerReleaseDue, about)
        }
        Notice::Recovered { servers } if !servers.is_empty() => {
            let about = json!({
                "reason": "credits", "servers": names(servers), "available": after.available().to_string(),
            });
            (Happening::ServerResumeDue, about)
        }
        Notice::BudgetReached { budget, percent, used, limit, start, next } => {
            // What a transaction sets, it tells by.
            let terms = match &transaction.what {
                What::Budget(BudgetChange::Set { budget: set, terms }) if set == budget => Some(terms),
                _ => before.budget(budget).map(|it| &it.terms),
            };
            let about = json!({
                "budget": budget.as_str(), "percent": percent, "used": used.to_string(), "limit": limit.to_string(),
                "period": terms.map(|it| it.period.as_str()),
                "action": terms.map(|it| if it.blocks { "block" } else { "notify" }),
                "starts_at": instant(*start), "resets_at": instant(*next), "entry": transaction.id().to_string(),
            });
            (Happening::BudgetThresholdReached, about)
        }
        Notice::BudgetStop { budget, servers } => {
            let about = json!({"reason": "budget", "budget": budget.as_str(), "servers": names(servers)});
            (Happening::ServerStopDue, about)
        }
        Notice::BudgetResume { budget, servers } if !servers.is_empty() => {
            let about = json!({"reason": "budget", "budget": budget.as_str(), "servers": names(servers)});
            (Happening::ServerResumeDue, about)
        }
        Notice::RunwayRecovered { .. } | Notice::Recovered { .. } | Notice::BudgetResume { .. } => return None,
    })
}

fn names(servers: &[Name]) -> Vec<&str> {
    servers.iter().map(Name::as_str).collect()
}

/// The book once the transaction is done: the server it starts may be the first.
fn after_it(before: &Book, transaction: &Transaction) -> Book {
    let mut after = before.clone();
    after.apply(transaction);
    after
}

/// A time in whole hours, in days where it is more than one of them: `7d`, `24h`.
fn in_short(span: Span) -> String {
    let hours = span.millis() / Span::HOUR.millis();
    if 24 < hours && hours % 24 == 0 { format!("{}d", hours / 24) } else { format!("{hours}h") }
}

fn running(book: &Book) -> Vec<String> {
    let running = book.servers().iter().filter(|it| it.run.phase == Phase::Running);
    running.map(|it| it.id.to_string()).collect()
}

/// Null for what has no end, and for what began with time itself.
fn instant(at: Timestamp) -> Option<String> {
    let has_a_date = Timestamp::EPOCH < at && at < Timestamp::NEVER;
    let at = jiff::Timestamp::from_millisecond(at.millis()).ok().filter(|_| has_a_date)?;
    Some(format!("{at:.3}"))
}
