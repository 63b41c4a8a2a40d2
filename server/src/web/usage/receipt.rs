//! The receipt of an entry: quantity × rate = amount, what was counted, and who paid.
//!
//! Must never decide what an entry is called (see `entry`). Invariant: its lines, and what its grants paid, come to the
//! price, also where the price is more than left the balance, because some of it was paid by credits that had expired.
use std::collections::BTreeMap;

use billing::id::GrantId;
use billing::ledger::{Draw, Pot, TopupChange, Transaction, What, Work};
use billing::money::Credits;
use billing::rating::PriceLine;
use jiff::tz::TimeZone;

use super::entry::draws;
use super::show;
use crate::service::printed::credits as exactly;

#[derive(Default)]
pub struct Receipt {
    pub lines: Vec<ReceiptLine>,
    pub total: Option<String>,
    pub evidence: Vec<(String, String)>,
    pub draws: Vec<Drawn>,
    /// The draws are given back, and not paid.
    pub gives_back: bool,
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
pub type Grants = BTreeMap<GrantId, String>;

/// Members of evidence that a receipt shows, and letters of each. All of it is in the export.
const EVIDENCE_MAX: usize = 16;
const EVIDENCE_LETTERS_MAX: usize = 400;

impl Receipt {
    /// Of a transaction, and of the work it is about.
    pub fn of(transaction: &Transaction, work: Option<&Work>, grants: &Grants, zone: &TimeZone) -> Receipt {
        let mut receipt = Receipt {
            draws: paid(draws(&transaction.what), grants),
            gives_back: matches!(transaction.what, What::Reversed(_)),
            ..Receipt::default()
        };
        if let Some(work) = work {
            receipt.price(transaction, work, zone);
        }
        receipt.explain(&transaction.what, zone);
        receipt.balance(transaction);
        receipt
    }

    /// What the work cost, and what was counted of it.
    fn price(&mut self, transaction: &Transaction, work: &Work, zone: &TimeZone) {
        self.lines = lines(&work.price.lines);
        if let What::Charged { credits, .. } = &transaction.what {
            let places = self.lines.iter().map(|it| places_of(&it.credits)).max().unwrap_or(0);
            self.total = Some(with_places(exactly(*credits), places));
        }
        self.evidence = work.evidence.as_deref().map(evidence).unwrap_or_default();
        if work.occurred_at != transaction.at {
            self.facts.push(("Told to us", show::minute(transaction.at, zone)));
        }
        if let Some(resource) = &work.resource {
            self.facts.push(("About", resource.to_string()));
        }
        self.facts.push(("Prices", format!("rate card version {}", work.price.rate_card)));
    }

    /// Why, until when, and of what.
    fn explain(&mut self, what: &What, zone: &TimeZone) {
        match what {
            What::Granted { terms, .. } => {
                self.reason = Some(terms.reason.to_string());
                if terms.expires_at < billing::time::Timestamp::NEVER {
                    self.facts.push(("Valid until", show::day(terms.expires_at, zone)));
                }
            }
            What::Frozen { expires_at: Some(at), .. } => {
                self.facts.push(("Valid until", show::day(*at, zone)));
            }
            What::Charged { owed, .. } if owed.is_positive() => {
                let of = "the next credits: there were not enough".to_owned();
                self.draws.push(Drawn { credits: exactly(*owed), of, grant: String::new() });
            }
            What::Reversed(it) => {
                self.reason = Some(it.reason.to_string());
                self.facts.push(("Charge", it.charge.to_string()));
            }
            What::Topup(TopupChange::Failed { failure, .. }) => self.reason = Some(failure.in_words().to_owned()),
            What::Withdrawn(it) => self.reason = Some(it.reason.to_string()),
            What::Voided { reason, .. } => self.reason = Some(reason.to_string()),
            What::Held { expires_at, draws, .. } => {
                let credits: Credits = draws.iter().map(|it| it.credits).sum();
                self.facts.insert(0, ("Set aside", format!("{} credits", exactly(credits))));
                self.facts.push(("Given back unless used by", show::minute(*expires_at, zone)));
            }
            _ => {}
        }
    }

    /// How the account stood afterwards, and by what names the entry is known.
    fn balance(&mut self, transaction: &Transaction) {
        let after = &transaction.after;
        self.facts.push(("Balance afterwards", exactly(after.posted)));
        for (name, credits) in [("Set aside of it", after.held), ("Used of it by servers", after.accrued)] {
            if !credits.is_zero() {
                self.facts.push((name, exactly(credits)));
            }
        }
        self.facts.push(("Available afterwards", exactly(after.available())));
        if let Some(key) = &transaction.origin.key {
            self.facts.push(("Reference", key.to_string()));
        }
        self.facts.push(("Entry", transaction.id().to_string()));
    }
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
        1 => counted(&line.unit, 1),
        1_000_000 => format!("million {}", counted(&line.unit, 1_000_000)),
        per => format!("{} {}", show::thousands(per), counted(&line.unit, per)),
    };
    let unit = counted(&line.unit, line.quantity);
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

/// So many of a unit: `token`, `packages of 1,000`.
fn counted(unit: &str, count: u64) -> String {
    let size = unit.strip_prefix("package of ").and_then(|it| it.parse::<u64>().ok()).map(show::thousands);
    let (one, of) = size.map_or((unit, String::new()), |it| ("package", format!(" of {it}")));
    format!("{one}{}{of}", if count == 1 { "" } else { "s" })
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

/// Which grants paid, as they were drawn.
fn paid(draws: &[Draw], grants: &Grants) -> Vec<Drawn> {
    let drawn = |it: &Draw| {
        let of = grants.get(&it.grant).cloned().unwrap_or_default();
        // They left the balance before, when they expired.
        let of = if it.pot == Pot::Expired { format!("{of}, expired") } else { of };
        Drawn { credits: exactly(it.credits), of, grant: it.grant.to_string() }
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
        "lines" if value.as_array().is_some_and(|it| it.iter().any(|line| line.get("points").is_some())) => "points",
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
        Value::Object(members) => scored(members)
            .unwrap_or_else(|| joined(members.iter().filter_map(|(name, it)| Some((in_evidence(name, it)?, it))))),
    };
    if let Some((end, _)) = text.char_indices().nth(EVIDENCE_LETTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A line of a score as one reckons it: `2 services × 4.00 = 8.00`, or that it counts for less.
fn scored(line: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let [count, what, weight, points] = ["count", "what", "weight", "points"].map(|it| line.get(it));
    let hundredths = |it: &str| it.replace('.', "").parse::<u64>().ok();
    let is_product = hundredths(weight?.as_str()?)?.checked_mul(count?.as_u64()?) == hundredths(points?.as_str()?);
    let comes_to = if is_product { " =" } else { ", at most" };
    Some(format!("{} {} × {}{comes_to} {}", said(count?), said(what?), said(weight?), said(points?)))
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
            // What is not so needs no words.
            _ if value.as_bool() == Some(false) => continue,
            (false, _) if value.as_bool() == Some(true) => name,
            (true, _) => inner,
            (false, true) => format!("{name} ({inner})"),
            (false, false) => format!("{name} {inner}"),
        });
    }
    parts.join(if is_deep { "; " } else { ", " })
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
    fn units_are_said_of_one_and_of_many() {
        for (unit, count, said) in [
            ("token", 1, "token"),
            ("line", 0, "lines"),
            ("package of 1000", 1, "package of 1,000"),
            ("package of 1000", 10, "packages of 1,000"),
        ] {
            assert_eq!(counted(unit, count), said);
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
        let counted = "Counted: input tokens 12, tokenizer o200k_base, counted in place of the model’s own".to_owned();
        assert_eq!(said, [counted, "An estimate: yes".to_owned()]);
    }

    #[test]
    fn evidence_is_said_in_words_to_its_depth() {
        let text = r#"{"counter":"lines 2","languages":{"Rust":{"files":3,"lines":1200},"TOML":{"files":1,"lines":20}},
            "tree":null,"is_estimated":false,"notes":[],
            "lines":[{"what":"services","count":2,"weight":"4.00","points":"8.00"},
            {"what":"ports","count":90,"weight":"1.00","points":"20.00"}]}"#;
        let said: Vec<String> = evidence(text).into_iter().map(|(name, it)| format!("{name}: {it}")).collect();
        assert_eq!(
            said,
            [
                "Counter: lines 2",
                "Is estimated: no",
                "Languages: Rust (files 3, lines 1,200); TOML (files 1, lines 20)",
                "Points: 2 services × 4.00 = 8.00; 90 ports × 1.00, at most 20.00",
            ]
        );
    }
}
