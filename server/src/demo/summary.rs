//! What the last thirty days came to, drawn for a terminal: the same days, and so the same numbers, as on the page.
use std::fmt::Write as _;

use billing::money::Credits;
use jiff::ToSpan;
use serde_json::Value;

use super::ACCOUNT;
use super::client::{Client, DemoError};

const BAR_WIDTH: i64 = 32;

pub fn write(client: &Client) -> Result<String, DemoError> {
    let balance = client.get(&format!("/v1/accounts/{ACCOUNT}/balance"))?;
    let path = format!("/v1/accounts/{ACCOUNT}/usage?interval=total&group_by=");
    let from = first_day(&balance, &client.get(&format!("/v1/accounts/{ACCOUNT}"))?);
    let mut text = String::new();
    let line = &mut text;
    writeln!(line, "  available   {:>14} credits", shown(&balance["available"])).expect("text takes text");
    writeln!(line, "  held        {:>14} credits", shown(&balance["held"])).expect("text takes text");
    writeln!(line, "  burns       {:>14} credits a day", shown(&balance["burn_per_day"])).expect("text takes text");
    if let Some(at) = balance["runs_out_at"].as_str() {
        writeln!(line, "  runs out    {:>14}", at.split('T').next().unwrap_or(at)).expect("text takes text");
    }
    for group in ["meter", "project"] {
        let usage = client.get(&format!("{path}{group}{from}"))?;
        writeln!(line, "\n  The last 30 days by {group}").expect("text takes text");
        bars(line, group, &usage);
    }
    Ok(text)
}

/// The beginning of the first of thirty days that end today, by the account's calendar, as a query.
fn first_day(balance: &Value, account: &Value) -> String {
    let now: Option<jiff::Timestamp> = balance["as_of"].as_str().and_then(|it| it.parse().ok());
    let zone = account["timezone"].as_str().and_then(|it| jiff::tz::TimeZone::get(it).ok());
    let today = now.zip(zone).map(|(now, zone)| now.to_zoned(zone));
    let first = today.and_then(|it| it.checked_sub(29.days()).and_then(|it| it.start_of_day()).ok());
    first.map(|it| format!("&from={}", it.timestamp())).unwrap_or_default()
}

fn bars(text: &mut String, group: &str, usage: &Value) {
    let groups = usage["buckets"][0]["groups"].as_array().cloned().unwrap_or_default();
    let mut rows: Vec<(String, Credits)> =
        groups.iter().map(|it| (named(&it[group]), credits(&it["credits"]))).collect();
    rows.sort_by_key(|(_, credits)| -*credits);
    let most = rows.first().map_or(1, |(_, credits)| credits.micros().max(1));
    for (name, credits) in rows {
        let width = usize::try_from((i128::from(credits.micros()) * i128::from(BAR_WIDTH) / i128::from(most)).max(1));
        let bar = "█".repeat(width.unwrap_or(1));
        writeln!(text, "  {name:<16} {:>12}  {bar}", two_places(credits)).expect("text takes text");
    }
}

fn named(value: &Value) -> String {
    value.as_str().unwrap_or("Unassigned").to_owned()
}

fn credits(value: &Value) -> Credits {
    value.as_str().and_then(|it| it.parse().ok()).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    two_places(credits(value))
}

/// Two places, towards zero: a summary is read, not added up.
fn two_places(credits: Credits) -> String {
    let cents = credits.micros() / 10_000;
    format!("{}.{:02}", cents / 100, cents.abs() % 100)
}
