//! `scrip quote` and `scrip rate-card`: prices, here or at a server.
use std::path::PathBuf;

use billing::rating::{Difference, RateCard, Usage};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::remote::{Server, Work, show_lines};
use super::{Failure, Outcome, say};
use crate::config::{self, NoCard};
use crate::rate_card;

const QUOTE: &str = "\
Examples:
  scrip quote --meter ai_chat --dimension model=gpt-6.1-terra \\
      --quantity input_tokens=1200 --quantity output_tokens=350
  scrip quote --rate-card my-card.toml \\
      --meter code_analysis --quantity code_lines=120000
  scrip quote --account acct_ada --meter infra_plan --quantity points=38
                                             asks the server at SCRIP_URL";

/// Price work before it is done: by the card Scrip comes with, by --rate-card, or for --account by its server
#[derive(Debug, Args)]
#[command(after_help = QUOTE)]
pub struct Quote {
    #[command(flatten)]
    work: Work,
    /// Price it by this card, here
    #[arg(long, conflicts_with = "account")]
    rate_card: Option<PathBuf>,
    /// Ask the server whether this account can afford it
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Quote {
    pub fn run(self) -> Outcome {
        let quote = match &self.account {
            Some(account) => {
                let mut body = self.work.to_json();
                body["account"] = json!(account);
                self.server.post("/v1/quotes", &body)?
            }
            None => self.here()?,
        };
        if self.json {
            say(&format!("{quote:#}"));
            return Ok(());
        }
        say(&format!("{:>14}  credits", quote["credits"].as_str().unwrap_or("0")));
        show_lines(&quote["lines"]);
        match quote["affordable"].as_bool() {
            Some(true) => say("affordable"),
            Some(false) => say(&format!("not affordable: {} available", quote["available"].as_str().unwrap_or("0"))),
            None => {}
        }
        if let Some(at) = quote["runs_out_at"].as_str() {
            say(&format!("after it, at this pace used up {at}"));
        }
        Ok(())
    }

    fn here(&self) -> Result<Value, Failure> {
        let card = card(self.rate_card.as_ref())?;
        let mut usage = Usage {
            meter: self.work.meter.as_str().into(),
            quantities: self.work.quantities.iter().map(|(name, it)| (name.as_str().into(), *it)).collect(),
            dimensions: self
                .work
                .dimensions
                .iter()
                .map(|(name, it)| (name.as_str().into(), it.as_str().into()))
                .collect(),
        };
        usage.quantities.sort();
        usage.dimensions.sort();
        let price = card.price(&usage).map_err(|it| Failure::of(it.code(), it.to_string()).at(it.field()))?;
        let lines: Vec<Value> = price
            .lines
            .iter()
            .map(|it| {
                json!({
                    "item": &*it.item, "quantity": it.quantity, "unit": &*it.unit, "per": it.per,
                    "unit_price": it.unit_price.to_string(), "credits": it.credits.to_string(),
                })
            })
            .collect();
        Ok(json!({"credits": price.credits.to_string(), "lines": lines, "rate_card": price.rate_card}))
    }
}

/// The card in this file; the one Scrip comes with where none is named.
fn card(path: Option<&PathBuf>) -> Result<RateCard, NoCard> {
    match path {
        Some(path) => config::read_card(path),
        None => Ok(rate_card::parse_toml(rate_card::DEFAULT).expect("the card Scrip comes with is whole")),
    }
}

const CARDS: &str = "\
Examples:
  scrip rate-card show > my-card.toml        the one Scrip comes with
  scrip rate-card check my-card.toml         every fault, with line and field
  scrip rate-card diff my-card.toml          against the one at SCRIP_URL
  scrip rate-card upload my-card.toml --dry-run";

const SHOW: &str = "\
Examples:
  scrip rate-card show > my-card.toml        to change, and to upload
  scrip rate-card show --in-force            what SCRIP_URL charges by now";

const CHECK: &str = "\
Examples:
  scrip rate-card check my-card.toml
  scrip rate-card check my-card.toml --json  faults with line, column and field";

const DIFF: &str = "\
Examples:
  scrip rate-card diff my-card.toml          against the one at SCRIP_URL
  scrip rate-card diff my-card.toml --against their-card.json --json";

const UPLOAD: &str = "\
Examples:
  scrip rate-card upload my-card.toml --dry-run
  scrip rate-card upload my-card.toml";

#[derive(Debug, Subcommand)]
#[command(after_help = CARDS)]
pub enum Card {
    /// Print the card Scrip comes with, or with --in-force the server's
    #[command(after_help = SHOW)]
    Show {
        /// The one in force at the server, always as JSON
        #[arg(long)]
        in_force: bool,
        #[command(flatten)]
        server: Server,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a card; says all its faults at once
    #[command(after_help = CHECK)]
    Check {
        /// TOML or JSON
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What a card changes, against the server's or --against another file
    #[command(after_help = DIFF)]
    Diff {
        /// TOML or JSON
        file: PathBuf,
        /// Another card
        #[arg(long)]
        against: Option<PathBuf>,
        #[command(flatten)]
        server: Server,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a card to the server's; it never changes again
    #[command(after_help = UPLOAD)]
    Upload {
        /// TOML or JSON
        file: PathBuf,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        server: Server,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Card {
    pub fn run(self) -> Outcome {
        match self {
            Card::Show { in_force: false, json: false, .. } => {
                say(rate_card::DEFAULT.trim_end());
                Ok(())
            }
            Card::Show { in_force: false, json: true, .. } => {
                say(&format!("{:#}", rate_card::to_json(&card(None)?)));
                Ok(())
            }
            Card::Show { in_force: true, server, .. } => {
                say(&format!("{:#}", server.get("/v1/rate-card")?));
                Ok(())
            }
            Card::Check { file, json } => {
                let card = config::read_card(&file)?;
                let meters: Vec<&str> = card.meters().map(|it| &*it.name).collect();
                say(&if json {
                    json!({"version": card.version(), "meters": meters, "faults": []}).to_string()
                } else {
                    format!("version {} is whole: {} meters", card.version(), meters.len())
                });
                Ok(())
            }
            Card::Diff { file, against, server, json } => {
                let (new, old) = (config::read_card(&file)?, against.as_ref());
                let old = match old {
                    Some(path) => config::read_card(path)?,
                    None => in_force(&server)?,
                };
                let differences = old.diff(&new);
                let shown: Vec<Value> = differences.iter().map(shown).collect();
                show_differences(&Value::from(shown), json);
                Ok(())
            }
            Card::Upload { file, dry_run, server, json } => {
                let card = config::read_card(&file)?;
                let text = std::fs::read_to_string(&file).map_err(|it| it.to_string())?;
                let is_json = file.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
                let content_type = if is_json { "application/json" } else { "application/toml" };
                let path = format!("/v1/rate-cards?dry_run={dry_run}");
                let uploaded = server.post_text(&path, &key_of(&card), content_type, &text)?;
                if json {
                    say(&format!("{uploaded:#}"));
                    return Ok(());
                }
                show_differences(&uploaded["differences"], false);
                let done = if dry_run { "would be added" } else { "was added" };
                say(&format!("version {} {done}, in force from {}", uploaded["version"], uploaded["effective_at"]));
                Ok(())
            }
        }
    }
}

/// The key that a card is sent under: of what it says, so that the same sent again, because an answer was lost, is
/// answered as it was.
fn key_of(card: &RateCard) -> String {
    let digest = Sha256::digest(rate_card::to_json(card).to_string().as_bytes());
    format!("rate-card-{}", digest.iter().map(|it| format!("{it:02x}")).collect::<String>())
}

fn in_force(server: &Server) -> Result<RateCard, Failure> {
    let text = server.get("/v1/rate-card")?.to_string();
    Ok(rate_card::parse_json(&text).map_err(|faults| rate_card::in_lines(&faults))?)
}

/// What is wrong with a card, as the API says it; a file that cannot be read is no card's fault.
impl From<NoCard> for Failure {
    fn from(it: NoCard) -> Failure {
        if it.faults.is_empty() {
            return it.text.into();
        }
        let field = it.faults.first().map(|it| it.field.clone()).filter(|it| !it.is_empty());
        let mut failure = Failure::of("invalid_rate_card", it.text).at(field.as_deref());
        failure.told["faults"] = json!(it.faults);
        failure
    }
}

fn shown(it: &Difference) -> Value {
    json!({"field": it.field, "from": it.from, "to": it.to})
}

fn show_differences(differences: &Value, json: bool) {
    if json {
        return say(&format!("{differences:#}"));
    }
    let differences = differences.as_array().map(Vec::as_slice).unwrap_or_default();
    for it in differences {
        let text = |member: &str| it[member].as_str().unwrap_or("nothing").to_owned();
        say(&format!("{}: {} -> {}", text("field"), text("from"), text("to")));
    }
    if differences.is_empty() {
        say("no price changes");
    }
}
