//! An entry of the ledger in plain words, and its receipt: quantity × rate = amount, what was counted, who paid.
use billing::ledger::{BudgetChange, Draw, HoldEnd, ServerAct, TopupChange, Transaction, What, Work};
use billing::money::Credits;
use billing::rating::PriceLine;
use jiff::tz::TimeZone;

use super::breakdown::project_label;
use super::show;
use super::standing::source_label;
use crate::app::App;
use crate::service::ProjectNames;
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
    /// Available afterwards: the running balance.
    pub after: String,
    /// Says why nothing was charged.
    pub badge: Option<&'static str>,
    pub receipt: Receipt,
}

#[derive(Default)]
pub struct Receipt {
    pub lines: Vec<ReceiptLine>,
    pub total: Option<String>,
    pub evidence: Vec<(String, String)>,
    pub draws: Vec<(String, String)>,
    pub facts: Vec<(&'static str, String)>,
    pub reason: Option<String>,
}

pub struct ReceiptLine {
    pub item: String,
    pub quantity: String,
    pub rate: String,
    pub credits: String,
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

    pub fn row(&self, transaction: &Transaction) -> EntryRow {
        let gain = gain(&transaction.what);
        let (title, work) = self.title(&transaction.what);
        let mut receipt = Receipt::default();
        if let Some(work) = work {
            self.receive(&mut receipt, transaction, work);
        }
        self.note(&mut receipt, transaction);
        EntryRow {
            id: transaction.id().to_string(),
            when: When::minute(work.map_or(transaction.at, |it| it.occurred_at), self.zone),
            title,
            about: work.map(|it| self.about(it)).unwrap_or_default(),
            class: work.map_or_else(|| self.kind(&transaction.what).to_owned(), |it| self.class(it)),
            credits: show::signed(gain),
            exact: gain.to_string(),
            after: show::have(transaction.after.available()),
            badge: badge(&transaction.what),
            receipt,
        }
    }

    /// What happened, in words, and the work it is about.
    pub fn title<'t>(&self, what: &'t What) -> (String, Option<&'t Work>) {
        match what {
            What::Granted { terms, .. } => (format!("{} added", source_label(terms.source)), None),
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
            What::Withdrawn(_) => ("Purchased credits paid back".to_owned(), None),
            What::Restored { .. } => ("Pay-back failed: credits are here again".to_owned(), None),
            What::Frozen { is_frozen: true, .. } => ("Credits frozen while their payment is disputed".to_owned(), None),
            What::Frozen { .. } => ("Frozen credits freed".to_owned(), None),
            What::Topup(TopupChange::Set { .. }) => ("Auto-topup rule changed".to_owned(), None),
            What::Topup(TopupChange::Started { .. }) => ("Auto-topup began a payment".to_owned(), None),
            What::Topup(TopupChange::Failed { .. }) => ("Auto-topup payment failed".to_owned(), None),
            What::Server(it) => match &it.act {
                ServerAct::Provision { .. } => (format!("Server {} ordered", it.server), None),
                ServerAct::Change(change) => (format!("Server {}: {}", it.server, change.as_str()), None),
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

    fn about(&self, work: &Work) -> Vec<String> {
        let dimension =
            |name: &str| work.usage.dimensions.iter().find(|(it, _)| &**it == name).map(|(_, it)| it.to_string());
        let of_server = &*work.usage.meter == billing::usage::SERVER_METER;
        let project = work.project.as_ref().map(|it| project_label(Some(it.as_str()), self.names));
        let server = work.resource.as_ref().filter(|_| of_server).map(ToString::to_string);
        let actor = work.actor.as_ref().map(ToString::to_string);
        [dimension("model"), server, dimension("tier"), project, actor].into_iter().flatten().collect()
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

    fn receive(&self, receipt: &mut Receipt, transaction: &Transaction, work: &Work) {
        receipt.lines = work.price.lines.iter().map(line).collect();
        if let What::Charged { credits, .. } = &transaction.what {
            receipt.total = Some(credits.to_string());
        }
        receipt.evidence = work.evidence.as_deref().map(evidence).unwrap_or_default();
        if work.occurred_at != transaction.at {
            receipt.facts.push(("Told to us", show::minute(transaction.at, self.zone)));
        }
        if let Some(resource) = &work.resource {
            receipt.facts.push(("About", resource.to_string()));
        }
        receipt.facts.push(("Prices", format!("rate card version {}", work.price.rate_card)));
    }

    fn note(&self, receipt: &mut Receipt, transaction: &Transaction) {
        match &transaction.what {
            What::Granted { terms, .. } => {
                receipt.reason = Some(terms.reason.to_string());
                if terms.expires_at < billing::time::Timestamp::NEVER {
                    receipt.facts.push(("Valid until", show::day(terms.expires_at, self.zone)));
                }
            }
            What::Charged { draws, owed, .. } => {
                receipt.draws = paid(draws);
                if owed.is_positive() {
                    receipt.draws.push(("owed, to be paid by the next credits".to_owned(), owed.to_string()));
                }
            }
            What::Reversed(it) => {
                receipt.reason = Some(it.reason.to_string());
                receipt.draws = paid(&it.draws);
                receipt.facts.push(("Charge", it.charge.to_string()));
            }
            What::Topup(TopupChange::Failed { failure, .. }) => receipt.reason = Some(failure.in_words().to_owned()),
            What::Voided { reason, .. } => receipt.reason = Some(reason.to_string()),
            What::Held { expires_at, .. } => {
                receipt.facts.push(("Given back unless used by", show::minute(*expires_at, self.zone)));
            }
            _ => {}
        }
        receipt.facts.push(("Available afterwards", transaction.after.available().to_string()));
        if let Some(key) = &transaction.origin.key {
            receipt.facts.push(("Reference", key.to_string()));
        }
        receipt.facts.push(("Entry", transaction.id().to_string()));
    }
}

/// What the customer gained, or with a minus paid or lost.
pub fn gain(what: &What) -> Credits {
    match what {
        What::Granted { terms, .. } => terms.credits,
        What::Charged { credits, .. } | What::Voided { credits, .. } | What::Expired { credits, .. } => -*credits,
        What::Reversed(it) => it.credits,
        What::Withdrawn(it) => -it.credits - it.owed,
        What::Restored { withdrawal, .. } => withdrawal.credits,
        _ => Credits::ZERO,
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

pub fn line(line: &PriceLine) -> ReceiptLine {
    let per = match line.per {
        1 => line.unit.to_string(),
        1_000_000 => format!("million {}s", line.unit),
        per => format!("{} {}s", show::thousands(per), line.unit),
    };
    let unit = if line.quantity == 1 { line.unit.to_string() } else { format!("{}s", line.unit) };
    ReceiptLine {
        item: line.item.to_string(),
        quantity: format!("{} {unit}", show::thousands(line.quantity)),
        rate: format!("{} per {per}", line.unit_price),
        credits: line.credits.to_string(),
    }
}

/// Which grants paid, as they were drawn.
fn paid(draws: &[Draw]) -> Vec<(String, String)> {
    draws.iter().map(|it| (it.grant.to_string(), it.credits.to_string())).collect()
}

/// What a measurer counted, as names and values; what is nested is left to the export.
pub fn evidence(text: &str) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(text) else { return Vec::new() };
    let shown = |value: &serde_json::Value| match value {
        serde_json::Value::String(it) => Some(it.clone()),
        serde_json::Value::Number(it) => Some(it.as_u64().map_or_else(|| it.to_string(), show::thousands)),
        serde_json::Value::Bool(it) => Some(if *it { "yes" } else { "no" }.to_owned()),
        _ => None,
    };
    let pairs = members.iter().filter_map(|(name, value)| Some((show::words(name), shown(value)?)));
    pairs.take(12).collect()
}

fn lower(text: &str) -> String {
    // "AI chat message" keeps its letters.
    let is_name = text.chars().nth(1).is_some_and(char::is_uppercase);
    let mut letters = text.to_owned();
    if let Some(first) = letters.get_mut(..1).filter(|_| !is_name) {
        first.make_ascii_lowercase();
    }
    letters
}
