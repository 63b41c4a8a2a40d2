//! An entry of the ledger in plain words, and its receipt: quantity × rate = amount, what was counted, who paid.
use std::collections::BTreeMap;
use std::sync::Arc;

use billing::id::GrantId;
use billing::ledger::{
    BudgetChange, Cause, Draw, HoldEnd, Pot, ServerAct, Source, TopupChange, Transaction, What, Work,
};
use billing::money::Credits;
use billing::rating::PriceLine;
use billing::server::Change;
use jiff::tz::TimeZone;

use super::breakdown::project_label;
use super::show;
use super::standing::source_label;
use crate::app::App;
use crate::service::printed::credits as exactly;
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

#[derive(Default)]
pub struct Receipt {
    pub lines: Vec<ReceiptLine>,
    pub total: Option<String>,
    pub evidence: Vec<(String, String)>,
    pub draws: Vec<Drawn>,
    pub facts: Vec<(&'static str, String)>,
    pub reason: Option<String>,
}

pub struct ReceiptLine {
    pub item: String,
    pub quantity: String,
    pub rate: String,
    pub credits: String,
}

/// What paid: so many credits, of what, and the grant's id.
pub struct Drawn {
    pub credits: String,
    pub of: String,
    pub grant: String,
}

/// What the grants are called that paid for some entries.
type Grants = BTreeMap<GrantId, String>;

/// Members of evidence that a receipt shows, and letters of each. All of it is in the export.
const EVIDENCE_MAX: usize = 16;
const EVIDENCE_LETTERS_MAX: usize = 400;

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
        let gain = gain(&transaction.what);
        let (title, work) = self.title(&transaction.what);
        let mut receipt = Receipt { draws: paid(draws(&transaction.what), grants), ..Receipt::default() };
        if let Some(work) = work {
            self.receive(&mut receipt, transaction, work);
        }
        self.note(&mut receipt, transaction);
        EntryRow {
            id: transaction.id().to_string(),
            when: When::minute(work.map_or(transaction.at, |it| it.occurred_at), self.zone),
            title,
            about: self.about(&transaction.what, work),
            class: work.map_or_else(|| self.kind(&transaction.what).to_owned(), |it| self.class(it)),
            credits: show::signed(gain),
            exact: gain.to_string(),
            after: show::have(transaction.after.posted),
            badge: badge(&transaction.what),
            receipt,
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

    fn about(&self, what: &What, work: Option<&Work>) -> Vec<String> {
        let mut about: Vec<String> = set_aside(what).into_iter().collect();
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

    fn receive(&self, receipt: &mut Receipt, transaction: &Transaction, work: &Work) {
        receipt.lines = lines(&work.price.lines);
        if let What::Charged { credits, .. } = &transaction.what {
            let places = receipt.lines.iter().map(|it| places_of(&it.credits)).max().unwrap_or(0);
            receipt.total = Some(with_places(exactly(*credits), places));
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
            What::Frozen { expires_at: Some(at), .. } => {
                receipt.facts.push(("Valid until", show::day(*at, self.zone)));
            }
            What::Charged { owed, .. } if owed.is_positive() => {
                let of = "the next credits: there were not enough".to_owned();
                receipt.draws.push(Drawn { credits: exactly(*owed), of, grant: String::new() });
            }
            What::Reversed(it) => {
                receipt.reason = Some(it.reason.to_string());
                receipt.facts.push(("Charge", it.charge.to_string()));
            }
            What::Topup(TopupChange::Failed { failure, .. }) => receipt.reason = Some(failure.in_words().to_owned()),
            What::Voided { reason, .. } => receipt.reason = Some(reason.to_string()),
            What::Held { expires_at, draws, .. } => {
                let credits: Credits = draws.iter().map(|it| it.credits).sum();
                receipt.facts.insert(0, ("Set aside", format!("{} credits", exactly(credits))));
                receipt.facts.push(("Given back unless used by", show::minute(*expires_at, self.zone)));
            }
            _ => {}
        }
        let after = &transaction.after;
        receipt.facts.push(("Balance afterwards", exactly(after.posted)));
        for (name, credits) in [("Set aside of it", after.held), ("Used of it by servers", after.accrued)] {
            if !credits.is_zero() {
                receipt.facts.push((name, exactly(credits)));
            }
        }
        receipt.facts.push(("Available afterwards", exactly(after.available())));
        if let Some(key) = &transaction.origin.key {
            receipt.facts.push(("Reference", key.to_string()));
        }
        receipt.facts.push(("Entry", transaction.id().to_string()));
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

/// The lines of a price, their credits one point below the other.
pub fn lines(lines: &[PriceLine]) -> Vec<ReceiptLine> {
    let mut lines: Vec<ReceiptLine> = lines.iter().map(line).collect();
    let places = lines.iter().map(|it| places_of(&it.credits)).max().unwrap_or(0);
    for it in &mut lines {
        it.credits = with_places(std::mem::take(&mut it.credits), places);
    }
    lines
}

fn places_of(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, part)| part.len())
}

/// The same amount with at least so many places.
fn with_places(mut text: String, places: usize) -> String {
    if places_of(&text) < places {
        if !text.contains('.') {
            text.push('.');
        }
        for _ in places_of(&text)..places {
            text.push('0');
        }
    }
    text
}

fn line(line: &PriceLine) -> ReceiptLine {
    let is_time = &*line.unit == "second";
    let per = match line.per {
        3_600 if is_time => "hour".to_owned(),
        1 => line.unit.to_string(),
        1_000_000 => format!("million {}s", line.unit),
        per => format!("{} {}s", show::thousands(per), line.unit),
    };
    let unit = if line.quantity == 1 { line.unit.to_string() } else { format!("{}s", line.unit) };
    ReceiptLine {
        item: line.item.to_string(),
        quantity: match is_time {
            true => time(line.quantity),
            false => format!("{} {unit}", show::thousands(line.quantity)),
        },
        rate: format!("{} per {per}", exactly(line.unit_price)),
        credits: exactly(line.credits),
    }
}

/// Seconds as one says them, to the second: `730 hours`, `1 hour 20 seconds`.
fn time(seconds: u64) -> String {
    let parts = [(seconds / 3_600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let said = |(count, unit): (u64, &str)| {
        let ending = if count == 1 { "" } else { "s" };
        format!("{} {unit}{ending}", show::thousands(count))
    };
    let parts: Vec<String> = parts.into_iter().filter(|it| it.0 != 0).map(said).collect();
    if parts.is_empty() { said((0, "second")) } else { parts.join(" ") }
}

/// The grants an entry drew from, or gave back to, in order.
pub fn draws(what: &What) -> &[Draw] {
    match what {
        What::Charged { draws, .. } => draws,
        What::Reversed(it) => &it.draws,
        _ => &[],
    }
}

/// Which grants paid, as they were drawn.
fn paid(draws: &[Draw], grants: &Grants) -> Vec<Drawn> {
    let drawn = |it: &Draw| Drawn {
        credits: exactly(it.credits),
        of: grants.get(&it.grant).cloned().unwrap_or_default(),
        grant: it.grant.to_string(),
    };
    draws.iter().map(drawn).collect()
}

/// What a measurer counted, as names and values.
pub fn evidence(text: &str) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(text) else { return Vec::new() };
    let pairs = members.iter().filter_map(|(name, value)| Some((show::words(&in_evidence(name, value)?), said(value))));
    pairs.filter(|it| !it.1.is_empty()).take(EVIDENCE_MAX).collect()
}

/// What a measurer's name is in the customer's words; none for what only tells it apart from its other versions.
fn in_evidence(name: &str, value: &serde_json::Value) -> Option<String> {
    let known = match name {
        "tokenizer_version" => return None,
        "framing_tokens" if value.as_u64() == Some(0) => return None,
        "framing_tokens" => "tokens around the messages",
        "tokenizer_estimated" => "counted in place of the model’s own",
        "usage_shape" => "form of the report",
        "estimated" => "an estimate",
        other => return Some(other.replace('_', " ")),
    };
    Some(known.to_owned())
}

/// A value in words: `Rust (files 3, lines 1,200); TOML (files 1, lines 20)`.
fn said(value: &serde_json::Value) -> String {
    use serde_json::Value;
    let mut text = match value {
        Value::Null => String::new(),
        Value::String(it) => it.clone(),
        Value::Number(it) => it.as_u64().map_or_else(|| it.to_string(), show::thousands),
        Value::Bool(it) => if *it { "yes" } else { "no" }.to_owned(),
        Value::Array(items) => joined(items.iter().map(|it| (String::new(), it))),
        Value::Object(members) => joined(members.iter().filter_map(|(name, it)| Some((in_evidence(name, it)?, it)))),
    };
    if let Some((end, _)) = text.char_indices().nth(EVIDENCE_LETTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn joined<'v>(members: impl Iterator<Item = (String, &'v serde_json::Value)>) -> String {
    let mut is_deep = false;
    let mut parts = Vec::new();
    for (name, value) in members {
        let inner = said(value);
        if inner.is_empty() {
            continue;
        }
        let is_nested = value.is_object() || value.is_array();
        is_deep |= is_nested;
        parts.push(match (name.is_empty(), is_nested) {
            (true, _) => inner,
            (false, true) => format!("{name} ({inner})"),
            (false, false) => format!("{name} {inner}"),
        });
    }
    parts.join(if is_deep { "; " } else { ", " })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_stand_one_point_below_the_other() {
        for (text, places, shown) in
            [("5.409", 6, "5.409000"), ("12", 2, "12.00"), ("12", 0, "12"), ("-0.5", 1, "-0.5")]
        {
            assert_eq!(with_places(text.to_owned(), places), shown);
        }
    }

    #[test]
    fn time_is_said_in_hours_to_the_second() {
        for (seconds, said) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (3_620, "1 hour 20 seconds"),
            (2_628_000, "730 hours"),
            (3_600_061, "1,000 hours 1 minute 1 second"),
        ] {
            assert_eq!(time(seconds), said);
        }
    }

    #[test]
    fn what_counted_a_message_is_said_without_its_inner_names() {
        let text = r#"{"counted":{"framing_tokens":0,"input_tokens":12,"tokenizer":"o200k_base","tokenizer_version":"3",
            "tokenizer_estimated":true},"estimated":true}"#;
        let said: Vec<String> = evidence(text).into_iter().map(|(name, it)| format!("{name}: {it}")).collect();
        let counted =
            "Counted: input tokens 12, tokenizer o200k_base, counted in place of the model’s own yes".to_owned();
        assert_eq!(said, [counted, "An estimate: yes".to_owned()]);
    }

    #[test]
    fn evidence_is_said_in_words_to_its_depth() {
        let text = r#"{"counter":"lines 2","languages":{"Rust":{"files":3,"lines":1200},"TOML":{"files":1,"lines":20}},
            "tree":null,"is_estimated":false,"notes":[],"lines":[{"what":"servers","points":"10.00"}]}"#;
        let said: Vec<String> = evidence(text).into_iter().map(|(name, it)| format!("{name}: {it}")).collect();
        assert_eq!(
            said,
            [
                "Counter: lines 2",
                "Is estimated: no",
                "Languages: Rust (files 3, lines 1,200); TOML (files 1, lines 20)",
                "Lines: points 10.00, what servers",
            ]
        );
    }
}
