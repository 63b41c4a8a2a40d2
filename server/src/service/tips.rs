//! Cost tips: what an account could do to spend less, or not to be interrupted, each with its reason in numbers.
//!
//! Every tip follows from what the account really did: roll-ups of the last month, its servers, its holds. Each is made
//! anew when it is asked for, and one that was dismissed does not come back. Must never guess: what is not known is no
//! tip.
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use billing::id::{AccountNumber, Name};
use billing::ledger::{Book, Transaction, What};
use billing::money::{Credits, Money};
use billing::rating::{Category, Meter, RateCard, Text, Usage};
use billing::server::{Phase, Server, Tariff};
use billing::time::{Span, Timestamp};
use billing::usage::SERVER_METER;
use serde_json::json;
use store::{Change, Fault, UsageRow};

use super::documents::Kept;
use super::lately::Rows;
use super::order::Fingerprint;
use super::printed::{at_least, credits as exactly};
use super::{By, Error};
use crate::app::{App, Known};

/// The kind of document that says that a tip is not wanted.
const DISMISSED: &str = "tip_dismissed";
/// The document that says that an account's credits have run low once.
const RAN_LOW: (&str, &str) = ("ran_low", "1");

/// A server is underused when ninety-five reports in a hundred are below both.
const CPU_LOW_PERCENT: u8 = 15;
const MEMORY_LOW_PERCENT: u8 = 30;
/// What is said of months is said of the last so many days.
const RECENT: Span = Span::DAY.times(30);
/// A month of a server that runs on: 730 hours.
const MONTH_SECONDS: u64 = 730 * 3_600;
/// The newest transactions that are looked through: for the largest hold, and for plans.
const LOOKED_AT_MAX: usize = 2_000;
const READ_AT_ONCE: usize = 500;
/// How often a dismissal that met another of the same tip is tried again.
const ATTEMPTS_MAX: u32 = 8;
/// The dimension of a plan that says where it came from, and its value for one made of a template.
const PLAN_KIND: (&str, &str) = ("kind", "template");

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TipKind {
    UnderusedServer,
    IdleProject,
    LowThreshold,
    NoAutoTopup,
    UseTemplate,
}

impl TipKind {
    pub const ALL: [TipKind; 5] = [
        TipKind::UnderusedServer,
        TipKind::IdleProject,
        TipKind::LowThreshold,
        TipKind::NoAutoTopup,
        TipKind::UseTemplate,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            TipKind::UnderusedServer => "underused_server",
            TipKind::IdleProject => "idle_project",
            TipKind::LowThreshold => "low_threshold",
            TipKind::NoAutoTopup => "no_auto_topup",
            TipKind::UseTemplate => "use_template",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Tip {
    /// The same tip has the same id for ever: its kind, and what it is about.
    pub id: String,
    pub kind: TipKind,
    /// The server or project it is about.
    pub subject: Option<String>,
    pub title: String,
    /// Why, in numbers.
    pub detail: String,
    /// Nothing where it spares an interruption and no credits.
    pub saving_per_month: Credits,
    /// That at list price.
    pub money: Money,
}

/// What tips are made of.
struct Facts {
    number: AccountNumber,
    now: Timestamp,
    book: Book,
    /// Of the last month.
    usage: Rows,
}

/// A tip before it is looked at whether anybody wants it.
struct Draft {
    kind: TipKind,
    subject: Option<String>,
    title: String,
    detail: String,
    saving: Credits,
}

impl App {
    /// An account's tips, the greatest saving first.
    pub fn tips(&self, account: &Name) -> Result<Vec<Tip>, Error> {
        let known = self.known(account)?;
        let (number, now) = (known.account.number, self.now());
        let facts = Facts {
            number,
            now,
            book: self.book(number)?.brought_up_to(now),
            usage: self.usage_of(number, now - RECENT, now + Span::HOUR)?,
        };
        let mut drafts = self.server_tips(&facts)?;
        drafts.extend(self.topup_tip(&known, &facts)?);
        drafts.extend(self.template_tip(&facts)?);
        let mut tips = Vec::new();
        for draft in drafts {
            let id = match &draft.subject {
                Some(subject) => format!("{}:{subject}", draft.kind.as_str()),
                None => draft.kind.as_str().to_owned(),
            };
            if self.store.document(number, DISMISSED, &id)?.is_some() {
                continue;
            }
            let money = self.at_list_price(draft.saving, known.account.currency);
            let Draft { kind, subject, title, detail, saving } = draft;
            tips.push(Tip { id, kind, subject, title, detail, saving_per_month: saving, money });
        }
        tips.sort_by_key(|it| -it.saving_per_month);
        Ok(tips)
    }

    /// Dismisses a tip for good, whether or not it is given just now. None where no tip could have this id; else says
    /// whether its key did that before.
    pub fn dismiss_tip(&self, account: &Name, tip: &str, by: &By, key: Option<&Text>) -> Result<Option<bool>, Error> {
        let number = self.known(account)?.account.number;
        let (kind, subject) = tip.split_once(':').map_or((tip, None), |(kind, subject)| (kind, Some(subject)));
        let is_kind = TipKind::ALL.iter().any(|it| it.as_str() == kind);
        if !is_kind || subject.is_some_and(|it| it.parse::<Name>().is_err()) {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS_MAX {
            let mut request = Fingerprint::of("tip.dismiss");
            request.text(tip);
            let (fresh, before) = self.asked_perhaps(number, key, request)?;
            if before.is_some() {
                return Ok(Some(true));
            }
            let now = self.now();
            let is_dismissed = self.store.document(number, DISMISSED, tip)?.is_some();
            let mut changes = Vec::new();
            if !is_dismissed {
                let body = json!({"by": *by.name});
                changes.push(Kept::new(number, DISMISSED, tip.to_owned(), body).next(now, None));
                changes.extend(by.noted(now, "tip.dismiss", account.to_string(), tip.to_owned()));
            }
            changes.extend(fresh.map(|it| it.led_to(tip, now)));
            if self.keep(&changes)? {
                return Ok(Some(false));
            }
        }
        Err(Error::Busy)
    }

    pub(super) fn has_run_low(&self, account: AccountNumber) -> Result<bool, Fault> {
        Ok(self.store.document(account, RAN_LOW.0, RAN_LOW.1)?.is_some())
    }

    /// Servers with little to do, and projects in which nothing but a server happens.
    fn server_tips(&self, facts: &Facts) -> Result<Vec<Draft>, Error> {
        let card = self.card_at(facts.now)?;
        let mut drafts = Vec::new();
        let mut idle: BTreeMap<&Name, Vec<&Arc<Server>>> = BTreeMap::new();
        let mut in_use = Vec::new();
        for server in facts.book.servers().iter().filter(|it| it.run.phase == Phase::Running) {
            let busy = self.utilisation(facts.number, &server.id, facts.now)?.filter(|it| it.is_telling());
            let is_underused =
                busy.is_some_and(|it| it.cpu_percent < CPU_LOW_PERCENT && it.memory_percent < MEMORY_LOW_PERCENT);
            if let Some((busy, smaller)) = busy.filter(|_| is_underused).zip(next_smaller(&card, &server.run.tariff)) {
                let saving = of_a_month(&server.run.tariff) - of_a_month(&smaller);
                drafts.push(Draft {
                    kind: TipKind::UnderusedServer,
                    subject: Some(server.id.to_string()),
                    title: format!("{} is larger than it needs to be", server.id),
                    detail: format!(
                        "In the last 14 days it needed at most {} % of its processors and {} % of its memory 95 % of \
                         the time. The tier {} costs {} credits a month less than {}.",
                        busy.cpu_percent,
                        busy.memory_percent,
                        smaller.tier,
                        exactly(saving),
                        server.run.tariff.tier
                    ),
                    saving,
                });
            }
            let Some(project) = &server.project else { continue };
            if busy.is_some() && !is_underused {
                in_use.push(project);
            }
            idle.entry(project).or_default().push(server);
        }
        idle.retain(|project, servers| {
            let is_settled = |it: &&Arc<Server>| it.run.started_at.is_some_and(|at| at <= facts.now - RECENT);
            let is_worked_on =
                |it: &UsageRow| it.key.project.as_ref() == Some(project) && &*it.key.meter != SERVER_METER;
            servers.iter().all(is_settled) && !in_use.contains(project) && !facts.usage.iter().any(is_worked_on)
        });
        drafts.extend(idle.into_iter().map(|(project, servers)| idle_project(project, &servers)));
        Ok(drafts)
    }

    fn topup_tip(&self, known: &Known, facts: &Facts) -> Result<Option<Draft>, Error> {
        if self.settings.payments.is_none() {
            return Ok(None);
        }
        let Some(topup) = facts.book.topup().filter(|it| it.is_on) else {
            return Ok(self.has_run_low(facts.number)?.then(|| Draft {
                kind: TipKind::NoAutoTopup,
                subject: None,
                title: "Auto-topup would have kept you going".to_owned(),
                detail: "Your credits have run low before. Auto-topup buys more when they do, up to a monthly maximum \
                         that you set, and can be switched off at any time."
                    .to_owned(),
                saving: Credits::ZERO,
            }));
        };
        let threshold = topup.rule.threshold;
        let burn = self.balance(&known.account.id, None)?.burn_per_day;
        let hold = self.largest_hold(&facts.book, facts.now)?;
        let needed = burn.max(hold);
        if needed <= threshold {
            return Ok(None);
        }
        let why = if burn < hold {
            format!("The largest piece of work of the last 30 days reserved {} credits", at_least(hold))
        } else {
            format!("A day's use is {} credits", at_least(burn))
        };
        Ok(Some(Draft {
            kind: TipKind::LowThreshold,
            subject: None,
            title: "The auto-topup threshold is low for what you use".to_owned(),
            detail: format!(
                "{why}, and auto-topup waits until less than {} are left: work may be refused before the new \
                 credits are there. A threshold of {} credits would not let that happen.",
                exactly(threshold),
                at_least(needed)
            ),
            saving: Credits::ZERO,
        }))
    }

    /// The most that a hold of the last month has reserved, among the account's newest transactions.
    pub(super) fn largest_hold(&self, book: &Book, now: Timestamp) -> Result<Credits, Fault> {
        let open = book.holds().iter().map(billing::ledger::Hold::credits).max().unwrap_or_default();
        let recent = self.recent(book, now)?;
        Ok(recent.iter().filter_map(|it| reserved(it)).fold(open, Credits::max))
    }

    /// The account's newest transactions, of the last month and no more than are looked through, the newest first.
    fn recent(&self, book: &Book, now: Timestamp) -> Result<Vec<Arc<Transaction>>, Fault> {
        let (mut recent, mut before) = (Vec::new(), book.version + 1);
        for _ in 0..LOOKED_AT_MAX / READ_AT_ONCE {
            let read = self.store.transactions(book.account, before, READ_AT_ONCE)?;
            let next = read.last().filter(|it| now - RECENT <= it.at).map(|it| it.place.version);
            recent.extend(read.into_iter().filter(|it| now - RECENT <= it.at));
            match next {
                Some(oldest) => before = oldest,
                None => break,
            }
        }
        Ok(recent)
    }

    /// Plans that cost more than the same would have, made of a template.
    fn template_tip(&self, facts: &Facts) -> Result<Option<Draft>, Error> {
        let card = self.card_at(facts.now)?;
        // Where the price does not tell them apart, as in the card Scrip comes with, nothing has to be looked through.
        if !card.meters().any(tells_templates_apart) {
            return Ok(None);
        }
        let (mut reversed, mut plans) = (HashSet::new(), 0);
        let (mut paid, mut saving) = (Credits::ZERO, Credits::ZERO);
        for transaction in self.recent(&facts.book, facts.now)? {
            let (work, credits) = match &transaction.what {
                What::Reversed(it) => {
                    reversed.insert(it.charge);
                    continue;
                }
                What::Charged { work, credits, .. } if !reversed.contains(&transaction.charge_id()) => (work, *credits),
                _ => continue,
            };
            // It may have been told of late.
            let meter = card.meter(&work.usage.meter).filter(|_| facts.now - RECENT <= work.occurred_at);
            let meter = meter.filter(|it| tells_templates_apart(it));
            let saved = meter.and_then(|_| saved_by_template(&card, &work.usage, credits));
            if let Some(saved) = saved.filter(|it| it.is_positive()) {
                saving += saved;
                plans += 1;
                paid += credits;
            }
        }
        Ok(saving.is_positive().then(|| Draft {
            kind: TipKind::UseTemplate,
            subject: None,
            title: "Templates cost less than plans made for you".to_owned(),
            detail: format!(
                "{plans} plan{} of the last 30 days cost {} credits. Begun from a template they would have cost {} \
                 credits.",
                if plans == 1 { "" } else { "s" },
                exactly(paid),
                exactly(paid - saving)
            ),
            saving,
        }))
    }
}

/// Remembers that an account's credits have run low: it is worth a word, once.
pub(super) fn ran_low(account: AccountNumber, at: Timestamp) -> Change {
    Kept::new(account, RAN_LOW.0, RAN_LOW.1.to_owned(), json!({})).next(at, None)
}

fn idle_project(project: &Name, servers: &[&Arc<Server>]) -> Draft {
    let saving: Credits = servers.iter().map(|it| of_a_month(&it.run.tariff)).sum();
    let names: Vec<&str> = servers.iter().map(|it| it.id.as_str()).collect();
    Draft {
        kind: TipKind::IdleProject,
        subject: Some(project.to_string()),
        title: format!("{project} has been quiet for 30 days"),
        detail: format!(
            "Nothing was asked, analysed or planned in it, and {} still run{}: {} credits a month. Removing a \
             project does not stop its servers; release them.",
            names.join(", "),
            if names.len() == 1 { "s" } else { "" },
            exactly(saving)
        ),
        saving,
    }
}

fn reserved(transaction: &Transaction) -> Option<Credits> {
    match &transaction.what {
        What::Held { draws, .. } => Some(draws.iter().map(|it| it.credits).sum()),
        What::Extended { reserved, .. } => Some(*reserved),
        _ => None,
    }
}

/// What a server that runs on costs in a month of 730 hours.
fn of_a_month(tariff: &Tariff) -> Credits {
    let uncapped = tariff.uncapped(MONTH_SECONDS);
    tariff.monthly_cap.map_or(uncapped, |cap| cap.min(uncapped))
}

/// The costliest tier of the card that costs less than this one.
fn next_smaller(card: &RateCard, tariff: &Tariff) -> Option<Tariff> {
    let rows = card.meter(SERVER_METER)?.rows.iter();
    let tiers = rows.flat_map(|it| &it.when).filter(|it| &*it.dimension == "tier").flat_map(|it| &it.values);
    let known = tiers.filter(|it| !it.ends_with('*'));
    let tariffs = known.filter_map(|it| Tariff::of(card, Arc::clone(it), tariff.region.clone()).ok());
    tariffs.filter(|it| of_a_month(it) < of_a_month(tariff)).max_by_key(of_a_month)
}

/// Whether plans made of a template have a price of their own.
fn tells_templates_apart(meter: &Meter) -> bool {
    let mut conditions = meter.rows.iter().flat_map(|it| &it.when);
    meter.category == Category::InfrastructurePlanning && conditions.any(|it| &*it.dimension == PLAN_KIND.0)
}

/// What a plan that cost so much would have cost less, made of a template; what it costs less by now for all is not of
/// that. None for one that was made so.
fn saved_by_template(card: &RateCard, usage: &Usage, paid: Credits) -> Option<Credits> {
    let is_kind = |it: &(Text, Text)| &*it.0 == PLAN_KIND.0;
    if usage.dimensions.iter().any(|it| is_kind(it) && &*it.1 == PLAN_KIND.1) {
        return None;
    }
    let mut template = usage.clone();
    template.dimensions.retain(|it| !is_kind(it));
    template.dimensions.push((PLAN_KIND.0.into(), PLAN_KIND.1.into()));
    template.dimensions.sort();
    let price = |usage: &Usage| card.price(usage).ok().map(|it| it.credits);
    Some(paid.min(price(usage)?) - price(&template)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_card;

    fn card() -> RateCard {
        rate_card::parse_toml(rate_card::DEFAULT).expect("the card Scrip comes with is whole")
    }

    #[test]
    fn the_next_smaller_tier_is_the_costliest_that_costs_less() {
        let card = card();
        let smaller = |tier: &str| {
            let tariff = Tariff::of(&card, tier.into(), None).unwrap();
            next_smaller(&card, &tariff).map(|it| (it.tier.to_string(), of_a_month(&tariff) - of_a_month(&it)))
        };
        assert_eq!(smaller("enterprise"), Some(("business".to_owned(), Credits::whole(10_000))));
        assert_eq!(smaller("business"), Some(("entry-level".to_owned(), Credits::whole(5_000))));
        assert_eq!(smaller("entry-level"), None);
    }
}
