//! Statements as PDF.
use billing::calendar::Date;
use billing::time::{Span, Timestamp};
use billing::total::TotalCredits;
use papers::{Fact, Paper, Party, Sum, Table};

use super::Error;
use super::printed;
use super::statements::Statement;
use super::typeset::{branded, column, fact, on, set, sum};
use crate::app::App;

impl App {
    /// The statement as PDF/A-3b.
    pub fn statement_pdf(&self, statement: &Statement) -> Result<Vec<u8>, Error> {
        set(&self.statement_paper(statement), None)
    }

    fn statement_paper(&self, it: &Statement) -> Paper {
        let month = format!("{} {}", printed::month(it.month.number), it.month.year);
        let used = printed::credits(it.total_used());
        let state = if it.is_final { "" } else { "Not over yet" };
        let mut facts = vec![fact("Account", it.account.to_string()), fact("Period", period(it))];
        facts.push(fact("Time zone", it.timezone.clone()));
        facts.extend(it.project.as_ref().map(|it| fact("Project", it.to_string())));
        let seller = &self.settings.seller;
        let mut footer = vec![seller.name.clone()];
        footer.extend(seller.tax_id.as_ref().map(|it| format!("VAT {it}")));
        Paper {
            title: "Usage statement".to_owned(),
            number: month.clone(),
            state: state.to_owned(),
            // The day after the month, when it can be written.
            issued: on(Date::of(it.to)),
            headline: format!("{used} credits used in {month}"),
            facts,
            parties: parties(it),
            tables: tables(it, |meter| self.category_of(meter).as_str().to_owned()),
            notes: Vec::new(),
            closing: vec![Fact {
                label:
                    "Every line is the sum of what the ledger wrote down in this month, also of work done before it."
                        .to_owned(),
                value: "Credits in holds are the account's until they are used.".to_owned(),
            }],
            footer,
            brand: branded(&self.settings.brand),
        }
    }
}

fn parties(it: &Statement) -> Vec<Party> {
    let name = |it: &String| Party { role: "For".to_owned(), name: it.clone(), lines: Vec::new() };
    it.account_name.iter().map(name).collect()
}

/// `1 – 30 November 2026`, by the account's calendar.
fn period(it: &Statement) -> String {
    let zone = jiff::tz::TimeZone::get(&it.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    let last = it.to - Span::from_millis(1);
    let day = |at: Timestamp| {
        jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX).to_zoned(zone.clone()).day()
    };
    format!("{} – {} {} {}", day(it.from), day(last), printed::month(it.month.number), it.month.year)
}

/// `named` is what the pages call a meter.
fn tables(it: &Statement, named: impl Fn(&str) -> String) -> Vec<Table> {
    let mut tables: Vec<Table> = balance(it).into_iter().collect();
    tables.push(by("Used by kind of work", "Work", it, |row| named(&row.meter)));
    let has_projects = it.project.is_none() && it.used.iter().any(|row| row.project.is_some());
    if has_projects {
        tables.push(by("Used by project", "Project", it, |row| {
            row.project.clone().unwrap_or_else(|| "Unassigned".to_owned())
        }));
    }
    if it.used.iter().any(|row| row.server.is_some()) {
        let servers = it.used.iter().filter(|row| row.server.is_some()).cloned().collect();
        let only = Statement { used: servers, ..it.clone() };
        tables.push(by("Used by server", "Server", &only, |row| row.server.clone().unwrap_or_default()));
    }
    tables
}

fn balance(it: &Statement) -> Option<Table> {
    let balance = it.balance.as_ref()?;
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let mut rows = vec![row("Opening balance", printed::credits(balance.opening))];
    for (source, credits) in &balance.granted {
        rows.push(row(source_name(*source), printed::signed(*credits)));
    }
    rows.push(row("Used", printed::signed(-balance.used)));
    for (label, credits) in [
        ("Expired", balance.expired),
        ("Taken back unspent", balance.voided),
        ("Refunded", balance.refunded),
        ("Taken back by a bank", balance.clawed_back),
    ] {
        if !credits.is_zero() {
            rows.push(row(label, printed::signed(-credits)));
        }
    }
    let closing = if it.is_final { "Closing balance" } else { "Balance now" };
    let mut sums = vec![Sum { is_total: true, ..sum(closing, printed::credits(balance.closing)) }];
    if !balance.withheld().is_zero() {
        sums.push(sum("Of it frozen, or not in effect yet", printed::credits(balance.withheld())));
    }
    Some(Table { title: "Balance".to_owned(), columns: vec![column("", false), column("Credits", true)], rows, sums })
}

fn by(title: &str, heading: &str, it: &Statement, name: impl Fn(&super::months::UsedRow) -> String) -> Table {
    let mut sums: std::collections::BTreeMap<String, (u64, TotalCredits)> = std::collections::BTreeMap::new();
    for row in &it.used {
        let sum = sums.entry(name(row)).or_default();
        sum.0 += row.count;
        sum.1 += TotalCredits::from_micros(row.credits);
    }
    let mut rows: Vec<(String, (u64, TotalCredits))> = sums.into_iter().collect();
    rows.sort_by(|one, other| (other.1.1, &one.0).cmp(&(one.1.1, &other.0)));
    let line = |(name, (count, credits)): (String, (u64, TotalCredits))| {
        vec![name, printed::thousands(count), printed::credits(credits)]
    };
    Table {
        title: title.to_owned(),
        columns: vec![column(heading, false), column("Entries", true), column("Credits", true)],
        rows: rows.into_iter().map(line).collect(),
        sums: vec![sum("In all", printed::credits(it.total_used()))],
    }
}

pub(super) fn source_name(source: billing::ledger::Source) -> &'static str {
    use billing::ledger::Source;
    match source {
        Source::Welcome => "Welcome credits",
        Source::Promo => "Promotion",
        Source::Purchase => "Purchases",
        Source::AutoTopup => "Auto-topup",
        Source::Subscription => "Subscription",
        Source::Adjustment => "Adjustments",
        Source::Refund => "Credits given back",
    }
}
