//! `scrip report`: what the operator's accountant asks a running server.
use clap::{Args, Subcommand};
use serde_json::Value;

use super::remote::Server;
use super::{Outcome, part, say};

const REPORT: &str = "\
Examples:
  scrip report revenue --month 2026-11       credits, money and taxes of a month
  scrip report revenue --month 2026-11 --csv > november.csv
  scrip report liability --at 2026-12-31T00:00:00Z
                                             what is owed at the end of that day
  scrip report ledger                        the trial balance: always zero";

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
    Revenue {
        /// Such as 2026-11, by the calendar of UTC; this month where nothing is said
        #[arg(long)]
        month: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Outstanding credits and the money received for them
    Liability {
        /// At the end of the day this instant falls in, RFC 3339; now where nothing is said
        #[arg(long)]
        at: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// The trial balance
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
            show("", &report);
        }
        Ok(())
    }
}

fn with(path: &str, name: &str, value: Option<&str>) -> String {
    value.map_or_else(|| path.to_owned(), |it| format!("{path}?{name}={}", part(it)))
}

/// Each number on a line, after what it is.
fn show(of: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            if let (Some(amount), Some(currency)) = (members.get("amount"), members.get("currency")) {
                return show(of, &Value::String(in_words(amount, currency)));
            }
            let name = ["name", "ledger_account", "treatment"].iter().find_map(|it| members.get(*it)?.as_str());
            let of = [of, name.unwrap_or_default()].iter().filter(|it| !it.is_empty()).copied().collect::<Vec<_>>();
            let of = of.join(" ");
            for (member, it) in members.iter().filter(|it| Some(it.0.as_str()) != name && it.1.as_str() != name) {
                let named = if member == "credits" { of.clone() } else { format!("{of} {}", member.replace('_', " ")) };
                show(named.trim(), it);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| show(of, it)),
        Value::String(text) => say(&format!("{text:>20}  {of}")),
        Value::Null => {}
        other => say(&format!("{other:>20}  {of}")),
    }
}

/// Minor units as a plain decimal.
fn in_words(amount: &Value, currency: &Value) -> String {
    let code = currency.as_str().unwrap_or_default();
    let money = amount.as_i64().zip(code.parse().ok());
    money.map_or_else(
        || format!("{amount} {code}"),
        |(amount, currency)| {
            let decimal = billing::invoice::Decimal(billing::money::Money { amount, currency });
            format!("{decimal} {}", code.to_uppercase())
        },
    )
}
