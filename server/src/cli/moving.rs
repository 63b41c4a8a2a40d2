//! `scrip migrate-data`: moving house, from a file to PostgreSQL and back.
use std::path::Path;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use store::{Moved, Plan, Progress, move_house};

use super::{Failure, Outcome, counted, say};
use crate::clock::Clock;
use crate::database::Database;

const EXAMPLES: &str = "\
Stop every `scrip serve` on both stores first. The old store is only read; the
new one must be empty, and is made when it is not there. Should it be
interrupted, however that happens, run the same command again: it goes on where
it was. Until it is done nobody can serve from the new store.

At the end both stores are compared, row by row and transaction by transaction,
and the new one is verified from its own entries. Balances, ids, API keys and
what was answered under every idempotency key stay what they were.

Examples:
  scrip migrate-data --from sqlite:scrip-data/scrip.db \\
      --to postgres://scrip@db/scrip
  scrip migrate-data --from postgres://scrip@db/scrip --to sqlite:back/scrip.db";

/// Move everything from one store to another: a file to PostgreSQL, or back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Move {
    /// The store that is there: sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL")]
    from: String,
    /// The empty one: sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL")]
    to: String,
    /// Transactions in one commit; fewer take less memory, more take less time
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    transactions_at_once: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Move {
    pub fn run(self) -> Outcome {
        let named = |url: &str| Database::named(Some(url), Path::new(""));
        let (from, to) = (named(&self.from)?, named(&self.to)?);
        if from == to {
            return Err("--from and --to are the same store".to_owned().into());
        }
        if let Database::Sqlite(path) = &from
            && !path.is_file()
        {
            return Err(format!("there is no store at {}", path.display()).into());
        }
        let (source, target) = (from.open_whole()?, to.open_whole()?);
        let bar = Bar::new();
        let plan = Plan {
            from_name: &from.shown(),
            at: Clock::default().now(),
            transactions_at_once: usize::try_from(self.transactions_at_once).expect("at most a hundred thousand"),
        };
        let moved = move_house(&*source, &*target, &plan, &mut |it| bar.show(it));
        bar.0.finish_and_clear();
        let moved = moved.map_err(|it| it.to_string())?;
        if self.json {
            say(&as_json(&from, &to, &moved));
        } else {
            tell(&from, &to, &moved);
        }
        if moved.report.is_clean() {
            return Ok(());
        }
        let count = moved.report.difference_count;
        let text = format!(
            "everything was moved, and the new store has {count} differences from its own entries: run `scrip verify` \
             on both, and do not serve from the new one"
        );
        Err(Failure::of("store_differs", text))
    }
}

/// Shows what is being done, and how much of it.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        Bar(ProgressBar::new(0))
    }

    fn show(&self, progress: Progress) {
        let template = match progress.of {
            Some(_) => "{msg:18} {bar:30} {pos} of {len}  {eta} left",
            None => "{msg:18} {spinner} {pos}",
        };
        if self.0.message() != progress.step {
            let style = ProgressStyle::with_template(template);
            self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.0.set_message(progress.step);
            self.0.reset_eta();
        }
        self.0.set_length(progress.of.unwrap_or_default());
        self.0.set_position(progress.done);
    }
}

fn as_json(from: &Database, to: &Database, moved: &Moved) -> String {
    let shelves = moved.shelves.iter().map(|(shelf, count)| (shelf.as_str().replace(' ', "_").to_lowercase(), *count));
    let moved_counts: serde_json::Map<_, _> = shelves.map(|(name, count)| (name, json!(count))).collect();
    let report = &moved.report;
    json!({
        "from": from.shown(), "to": to.shown(), "was_resumed": moved.was_resumed, "moved": moved_counts,
        "transactions": report.transactions, "accounts_with_a_book": report.accounts, "names": report.names,
        "usage_rows": report.usage_rows, "difference_count": report.difference_count,
    })
    .to_string()
}

fn tell(from: &Database, to: &Database, moved: &Moved) {
    let resumed = if moved.was_resumed { ", going on where it was interrupted" } else { "" };
    say(&format!("moved {} to {}{resumed}", from.shown(), to.shown()));
    for (shelf, count) in &moved.shelves {
        say(&format!("{count:>12}  {}", shelf.as_str()));
    }
    let report = &moved.report;
    say(&format!("{:>12}  transactions, of {}", report.transactions, counted(report.accounts, "account")));
    if report.is_clean() {
        say("both stores say the same, and the new one is what its entries say");
    }
}
