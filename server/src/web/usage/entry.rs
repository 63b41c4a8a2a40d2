//! An entry of the ledger in plain words: what happened, to what, and what it did to the balance.
//!
//! Its receipt is in `receipt`. Invariant: its credits are what the balance changed by, so rows lead from one balance
//! to the next; only what a dispute freezes leaves the balance, and comes back, without having been paid.
use std::sync::Arc;

use billing::id::GrantId;
use billing::ledger::{
    BudgetChange, Cause, Draw, HoldEnd, Pot, ServerAct, Source, TopupChange, Transaction, What, Work,
};
use billing::money::Credits;
use billing::server::Change;
use jiff::tz::TimeZone;

use super::breakdown::project_label;
use super::receipt::{Grants, Receipt};
use super::show;
use super::standing::source_label;
use crate::app::App;
use crate::service::{Error, ProjectNames};
use crate::web::frame::When;

pub struct EntryRow {
    pub id: String,
    pub when: When,
    pub title: String,
    /// Model, project, person: what tells it from others.
    pub about: Vec<String>,
    /// Names its colour.
    pub class: String,
    pub credits: String,
    pub exact: String,
    /// All credits there were afterwards, also those set aside: each row's credits lead from one to the next.
    pub after: String,
    /// Says why nothing was charged.
    pub badge: Option<&'static str>,
    pub receipt: Receipt,
    /// Where an operator gives credits of it back.
    pub give_back: Option<String>,
}

/// Reads entries for people: knows what things are called.
pub struct Reader<'a> {
    app: &'a App,
    zone: &'a TimeZone,
    names: &'a ProjectNames,
}

impl<'a> Reader<'a> {
    pub fn of(app: &'a App, zone: &'a TimeZone, names: &'a ProjectNames) -> Reader<'a> {
        Reader { app, zone, names }
    }

    /// What a meter's work is called by kind.
    pub fn category(&self, meter: &str) -> String {
        self.app.category_of(meter).as_str().to_owned()
    }

    pub fn project(&self, id: &str) -> String {
        project_label(Some(id), self.names)
    }

    pub fn rows(&self, entries: &[Arc<Transaction>]) -> Result<Vec<EntryRow>, Error> {
        let drawn: Vec<Draw> = entries.iter().flat_map(|it| draws(&it.what)).copied().collect();
        let named = |(id, terms): (GrantId, Arc<billing::ledger::Terms>)| (id, in_words(terms.source).to_owned());
        let grants: Grants = self.app.terms_of(&drawn)?.into_iter().map(named).collect();
        Ok(entries.iter().map(|it| self.row(it, &grants)).collect())
    }

    fn row(&self, transaction: &Transaction, grants: &Grants) -> EntryRow {
        let gain = transaction.gain();
        let (title, work) = self.title(&transaction.what);
        EntryRow {
            id: transaction.id().to_string(),
            when: When::minute(work.map_or(transaction.at, |it| it.occurred_at), self.zone),
            title,
            about: self.about(transaction, work),
            class: work.map_or_else(|| self.kind(&transaction.what).to_owned(), |it| self.class(it)),
            credits: show::signed(gain),
            exact: gain.to_string(),
            after: show::have(transaction.after.posted),
            badge: badge(&transaction.what),
            receipt: Receipt::of(transaction, work, grants, self.zone),
            give_back: None,
        }
    }

    /// What happened, in words, and the work it is about.
    pub fn title<'t>(&self, what: &'t What) -> (String, Option<&'t Work>) {
        match what {
            What::Granted { terms, .. } => (format!("{} added", in_words(terms.source)), None),
            What::Repaid { .. } => ("Debt paid back".to_owned(), None),
            What::Charged { work, .. } => (self.meter(work), Some(work)),
            What::Held { work, .. } => (format!("Set aside for {}", lower(&self.meter(work))), Some(work)),
            What::Extended { used: Some(work), .. } => {
                (format!("Set aside more for {}", lower(&self.meter(work))), Some(work))
            }
            What::Extended { .. } => ("Set aside more".to_owned(), None),
            What::Released { end: HoldEnd::Expired, .. } => {
                ("Time ran out: set-aside credits given back".to_owned(), None)
            }
            What::Released { .. } => ("Set-aside credits given back".to_owned(), None),
            What::Reversed(it) => (format!("Given back: {}", lower(&self.meter(&it.work))), Some(&it.work)),
            What::Voided { .. } => ("Credits taken back".to_owned(), None),
            What::Expired { .. } => ("Credits expired unused".to_owned(), None),
            What::Closed => ("Account closed".to_owned(), None),
            What::Withdrawn(it) if it.cause == Cause::Dispute => {
                ("Purchased credits taken back: the bank gave their money back".to_owned(), None)
            }
            What::Withdrawn(_) => ("Purchased credits paid back".to_owned(), None),
            What::Restored { .. } => ("Pay-back failed: credits are here again".to_owned(), None),
            What::Frozen { is_frozen: true, .. } => ("Credits frozen while their payment is disputed".to_owned(), None),
            What::Frozen { .. } => ("The dispute was decided: credits are frozen no longer".to_owned(), None),
            What::Topup(TopupChange::Set { .. }) => ("Auto-topup rule changed".to_owned(), None),
            What::Topup(TopupChange::Started { .. }) => ("Auto-topup began a payment".to_owned(), None),
            What::Topup(TopupChange::Failed { .. }) => ("Auto-topup payment failed".to_owned(), None),
            What::Server(it) => match &it.act {
                ServerAct::Provision { .. } => (format!("Server {} ordered", it.server), None),
                ServerAct::Change(change) => (format!("Server {} {}", it.server, happened(change)), None),
            },
            What::BurnTerms(_) => ("Terms of server time changed".to_owned(), None),
            What::Budget(BudgetChange::Set { budget, .. }) => (format!("Budget {budget} set"), None),
            What::Budget(BudgetChange::Counted { budget, .. }) => (format!("Budget {budget} counted up"), None),
            What::Budget(BudgetChange::Deleted { budget }) => (format!("Budget {budget} deleted"), None),
            What::Noticed => ("A notice was given".to_owned(), None),
        }
    }

    fn meter(&self, work: &Work) -> String {
        let cards = self.app.cards();
        let meter = cards.latest().and_then(|it| it.meter(&work.usage.meter));
        let is = |name: &str| work.usage.quantities.iter().any(|(it, count)| &**it == name && 0 < *count);
        match &*work.usage.meter {
            "ai_chat" => "AI chat message".to_owned(),
            "server" if is("provisioned") => "Server set-up".to_owned(),
            "server" => "Server runtime".to_owned(),
            name => meter.map_or_else(|| show::words(name), |it| it.label.to_string()),
        }
    }

    fn about(&self, transaction: &Transaction, work: Option<&Work>) -> Vec<String> {
        let mut about: Vec<String> = set_aside(&transaction.what).into_iter().collect();
        about.extend(expired(transaction.from_expired()));
        let Some(work) = work else { return about };
        let dimension =
            |name: &str| work.usage.dimensions.iter().find(|(it, _)| &**it == name).map(|(_, it)| it.to_string());
        let of_server = &*work.usage.meter == billing::usage::SERVER_METER;
        let project = work.project.as_ref().map(|it| project_label(Some(it.as_str()), self.names));
        let server = work.resource.as_ref().filter(|_| of_server).map(ToString::to_string);
        let actor = work.actor.as_ref().map(ToString::to_string);
        about.extend([dimension("model"), server, dimension("tier"), project, actor].into_iter().flatten());
        about
    }

    fn class(&self, work: &Work) -> String {
        let category = self.app.category_of(&work.usage.meter);
        let place = billing::rating::Category::NAMED.iter().position(|it| *it == category);
        super::breakdown::class(place.unwrap_or(4))
    }

    fn kind(&self, what: &What) -> &'static str {
        match what {
            What::Granted { .. } => "in",
            What::Restored { .. } => "in",
            What::Voided { .. } | What::Expired { .. } | What::Withdrawn(_) => "out",
            _ => "still",
        }
    }
}

fn in_words(source: Source) -> &'static str {
    if source == Source::Purchase { "Purchased credits" } else { source_label(source) }
}

fn happened(change: &Change) -> &'static str {
    match change {
        Change::Prices(_) => "priced anew",
        Change::Start(_) => "started",
        Change::Stop => "stopped",
        Change::Resize(_) => "resized",
        Change::Release => "released",
        Change::Fail => "failed",
    }
}

/// Credits that a hold set aside by this, less what it gave back.
pub fn kept_back(what: &What) -> Credits {
    let sum = |draws: &[Draw]| draws.iter().map(|it| it.credits).sum::<Credits>();
    match what {
        What::Held { draws, .. } | What::Extended { draws, .. } => sum(draws),
        What::Released { draws, .. } => -sum(draws),
        What::Charged { draws, closing: Some(closing), .. } => -(from_hold(draws) + sum(&closing.released)),
        _ => Credits::ZERO,
    }
}

/// Of a charge's credits, those that its hold had set aside.
fn from_hold(draws: &[Draw]) -> Credits {
    draws.iter().filter(|it| it.pot == Pot::Held).map(|it| it.credits).sum()
}

/// What a hold set aside, or what became of it.
fn set_aside(what: &What) -> Option<String> {
    let moved = kept_back(what);
    Some(match what {
        What::Held { .. } => format!("{} set aside", show::used(moved)),
        What::Extended { reserved, .. } if moved.is_zero() => format!("{} set aside", show::used(*reserved)),
        What::Extended { reserved, .. } => {
            format!("{} more set aside, {} in all", show::used(moved), show::used(*reserved))
        }
        What::Released { .. } => format!("{} given back", show::used(-moved)),
        What::Charged { draws, closing: Some(_), .. } => {
            let back = -moved - from_hold(draws);
            format!("{} had been set aside, {} of it given back", show::used(-moved), show::used(back))
        }
        _ => return None,
    })
}

/// What was paid by credits that had left the balance before; with a minus, what is given back and does not return.
fn expired(credits: Credits) -> Option<String> {
    match credits {
        Credits::ZERO => None,
        it if it.is_positive() => Some(format!("{} paid by credits that had expired", show::used(it))),
        it => Some(format!("{} given back had expired meanwhile", show::used(-it))),
    }
}

fn badge(what: &What) -> Option<&'static str> {
    let What::Charged { work, credits, .. } = what else { return None };
    if !credits.is_zero() {
        return None;
    }
    let outcome = work.usage.dimensions.iter().find(|(name, _)| &**name == "outcome");
    Some(match outcome.map(|(_, it)| &**it) {
        Some("failed" | "empty" | "invalid") => "Failed – not charged",
        _ => "Free",
    })
}

/// The grants an entry drew from, or gave back to, in order.
pub fn draws(what: &What) -> &[Draw] {
    match what {
        What::Charged { draws, .. } => draws,
        What::Reversed(it) => &it.draws,
        _ => &[],
    }
}

pub fn lower(text: &str) -> String {
    // "AI chat message" keeps its letters.
    let is_name = text.chars().nth(1).is_some_and(char::is_uppercase);
    let mut letters = text.to_owned();
    if let Some(first) = letters.get_mut(..1).filter(|_| !is_name) {
        first.make_ascii_lowercase();
    }
    letters
}
