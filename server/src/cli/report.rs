//! `scrip report`: what the operator's accountant asks a running server.
use clap::{Args, Subcommand};
use serde_json::Value;

use super::remote::Server;
use super::{Outcome, counted, part, say};

const REPORT: &str = "\
Examples:
  scrip report revenue --month 2026-11       credits, money and taxes of a month
  scrip report revenue --month 2026-11 --csv > november.csv
  scrip report liability --at 2027-01-01T00:00:00Z
                                             what is owed when the year ends
  scrip report ledger                        the trial balance: always zero";

const REVENUE: &str = "\
Examples:
  scrip report revenue --month 2026-11
  scrip report revenue --month 2026-11 --csv > november.csv";

const LIABILITY: &str = "\
Examples:
  scrip report liability                     what is owed now
  scrip report liability --at 2027-01-01T00:00:00Z --json
                                             what is owed when the year ends";

const LEDGER: &str = "\
Example:
  scrip report ledger --csv > trial-balance.csv";

/// Reports for the accountant
#[derive(Debug, Args)]
#[command(after_help = REPORT)]
pub struct Report {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Credits issued and used, money received and recognised, taxes of a month
    #[command(after_help = REVENUE)]
    Revenue {
        /// Such as 2026-11, by the calendar of UTC; this month where nothing is said
        #[arg(long)]
        month: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Outstanding credits and the money received for them
    #[command(after_help = LIABILITY)]
    Liability {
        /// At this midnight of UTC, RFC 3339; within a day, at the midnight that ends it. Now where nothing is said
        #[arg(long)]
        at: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// The trial balance
    #[command(after_help = LEDGER)]
    Ledger {
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, Args)]
struct Asked {
    #[command(flatten)]
    server: Server,
    /// As CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Report {
    pub fn run(self) -> Outcome {
        let (path, asked) = match self.which {
            Which::Revenue { month, asked } => (with("/v1/reports/revenue", "month", month.as_deref()), asked),
            Which::Liability { at, asked } => (with("/v1/reports/liability", "at", at.as_deref()), asked),
            Which::Ledger { asked } => ("/v1/reports/ledger".to_owned(), asked),
        };
        if asked.csv {
            say(asked.server.get_csv(&path)?.trim_end());
            return Ok(());
        }
        let report = asked.server.get(&path)?;
        if asked.json {
            say(&format!("{report:#}"));
        } else {
            show(&report);
        }
        Ok(())
    }
}

fn with(path: &str, name: &str, value: Option<&str>) -> String {
    value.map_or_else(|| path.to_owned(), |it| format!("{path}?{name}={}", part(it)))
}

/// Each number on a line, before what it is; under what it is a part of.
fn show(report: &Value) {
    for it in lines(report) {
        say(&it);
    }
}

fn line(number: &str, what: &str) -> String {
    format!("{number:>20}  {what}")
}

fn lines(report: &Value) -> Vec<String> {
    let text = |name: &str| report[name].as_str().unwrap_or_default();
    let mut all = Vec::new();
    if let Some(accounts) = report["accounts"].as_array() {
        all.push("Trial balance, in credits".to_owned());
        all.extend(accounts.iter().map(|it| named(it, "ledger_account")));
        let transactions = report["transactions"].as_u64().unwrap_or_default();
        all.push(line(text("sum"), &format!("sum, of {}", counted(transactions, "transaction"))));
    } else if report["month"].is_string() {
        revenue(report, &mut all);
    } else {
        all.push(format!("Owed to customers at {}", text("at")));
        all.push(line(text("outstanding"), "credits outstanding"));
        all.extend(items(&report["deferred"]).map(|it| line(&in_words(it), "received for them, tax aside")));
    }
    let freshness = &report["freshness"];
    if freshness["is_complete"] == false {
        let waiting = freshness["waiting_accounts"].as_u64().unwrap_or_default();
        all.push(format!("Not complete yet: {} to be counted", counted(waiting, "account")));
    }
    all
}

fn revenue(report: &Value, all: &mut Vec<String>) {
    let credits = &report["credits"];
    all.push(format!("Revenue of {}, by the calendar of UTC", report["month"].as_str().unwrap_or_default()));
    all.push("Credits issued".to_owned());
    all.extend(items(&credits["issued"]).map(|it| named(it, "name")));
    all.push("Credits used".to_owned());
    all.extend(items(&credits["used"]).map(|it| named(it, "name")));
    all.push("Credits otherwise".to_owned());
    for name in ["expired", "voided", "refunded", "clawed_back", "change", "outstanding"] {
        all.push(line(credits[name].as_str().unwrap_or("0"), &name.replace('_', " ")));
    }
    for it in items(&report["money"]) {
        all.push("Money, tax aside".to_owned());
        for name in MONEY {
            all.push(line(&in_words(&it[name]), &name.replace('_', " ")));
        }
    }
    for it in items(&report["taxes"]) {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        let country = it["country"].as_str().map(|it| format!(" of {it}")).unwrap_or_default();
        let treatment = text("treatment").replace('_', " ");
        all.push(format!("Sold by {}: {treatment}, {} %{country}", text("seller"), text("rate")));
        let count = |name: &str| it[name].as_u64().unwrap_or_default();
        let (invoices, notes) = (count("invoices"), count("credit_notes"));
        let papers = format!("net, {} less {}", counted(invoices, "invoice"), counted(notes, "credit note"));
        all.push(line(&in_words(&it["net"]), &papers));
        all.push(line(&in_words(&it["tax"]), "tax"));
    }
}

/// In the order in which they add up.
const MONEY: [&str; 8] = [
    "deferred_before",
    "received",
    "refunded",
    "clawed_back",
    "recognised",
    "recognised_from_use",
    "recognised_from_breakage",
    "deferred",
];

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Credits, and what they are of.
fn named(it: &Value, name: &str) -> String {
    line(it["credits"].as_str().unwrap_or_default(), it[name].as_str().unwrap_or_default())
}

/// Minor units as a plain decimal.
fn in_words(money: &Value) -> String {
    let (amount, currency) = (&money["amount"], &money["currency"]);
    let code = currency.as_str().unwrap_or_default();
    let whole = amount.as_i64().map(i128::from).or_else(|| amount.as_u64().map(i128::from));
    let money = whole.zip(code.parse().ok());
    money.map_or_else(
        || format!("{amount} {code}"),
        |(amount, currency)| {
            let decimal = billing::invoice::Decimal(billing::total::TotalMoney { amount, currency });
            format!("{decimal} {}", code.to_uppercase())
        },
    )
}
