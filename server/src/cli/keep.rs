//! `scrip verify`, `backup`, `restore`: for who keeps the data.
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use store::Difference;
use store::sqlite::{self, Options, Sqlite};

use super::{Outcome, say};
use crate::config;

/// Where the store is.
#[derive(Debug, Args)]
struct At {
    /// The server's data directory
    #[arg(long, default_value = "scrip-data")]
    data_dir: PathBuf,
    /// sqlite:PATH
    #[arg(long, env = "SCRIP_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl At {
    fn path(&self) -> Result<PathBuf, String> {
        config::database(self.database_url.as_deref(), &self.data_dir)
    }
    fn existing(&self) -> Result<PathBuf, String> {
        let path = self.path()?;
        if path.is_file() {
            Ok(path)
        } else {
            Err(format!("there is no store at {}; name its --data-dir", path.display()))
        }
    }
}

const VERIFY: &str = "\
Every transaction is folded again from the first, and every book, name and usage sum compared with what the store says.
The server must be stopped, or verify a backup: scrip backup FILE && scrip verify --database-url sqlite:FILE

Example:
  scrip verify --data-dir scrip-data --json";

/// Make everything again from the ledger's entries, and compare
#[derive(Debug, Args)]
#[command(after_help = VERIFY)]
pub struct Verify {
    #[command(flatten)]
    at: At,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub fn run(self) -> Outcome {
        let path = self.at.existing()?;
        let store = Sqlite::open(&path, Options::default()).map_err(|it| format!("{}: {it}", path.display()))?;
        let bar = ProgressBar::new(1);
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} transactions");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let report = store::verify(&store, &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let report = report.map_err(|it| it.to_string())?;
        if self.json {
            let shown = |it: &Difference| {
                let (what, place) = (it.what, &it.place);
                json!({"what": what, "place": place, "expected": it.expected, "found": it.found})
            };
            let differences: Vec<_> = report.differences.iter().map(shown).collect();
            say(&json!({
                "transactions": report.transactions, "accounts": report.accounts, "usage_rows": report.usage_rows,
                "names": report.names, "difference_count": report.difference_count, "differences": differences,
            })
            .to_string());
        } else {
            for it in &report.differences {
                say(&format!("{} of {}: expected {}, found {}", it.what, it.place, it.expected, it.found));
            }
            say(&format!("{} transactions of {} accounts", report.transactions, report.accounts));
        }
        if report.is_clean() {
            return Ok(());
        }
        Err(format!("{} differences: what the store says is not what its entries say", report.difference_count))
    }
}

const BACKUP: &str = "\
Example:
  scrip backup --data-dir scrip-data /backups/scrip-$(date +%F).db";

/// Copy a store into a new file, whole at one moment, also while a server writes to it
#[derive(Debug, Args)]
#[command(after_help = BACKUP)]
pub struct Backup {
    #[command(flatten)]
    at: At,
    /// The file to make
    to: PathBuf,
}

impl Backup {
    pub fn run(self) -> Outcome {
        sqlite::backup(&self.at.existing()?, &self.to).map_err(|it| it.to_string())?;
        say(&format!("backed up to {}", self.to.display()));
        Ok(())
    }
}

const RESTORE: &str = "\
Example:
  scrip restore /backups/scrip-2026-11-22.db --data-dir scrip-data";

/// Make a store of a backup, once the backup has been checked; nothing is overwritten
#[derive(Debug, Args)]
#[command(after_help = RESTORE)]
pub struct Restore {
    /// The backup
    from: PathBuf,
    #[command(flatten)]
    at: At,
}

impl Restore {
    pub fn run(self) -> Outcome {
        let to = self.at.path()?;
        if let Some(directory) = to.parent().filter(|it| *it != Path::new("")) {
            std::fs::create_dir_all(directory).map_err(|it| format!("cannot make {}: {it}", directory.display()))?;
        }
        sqlite::restore(&self.from, &to).map_err(|it| it.to_string())?;
        say(&format!("restored to {}; `scrip serve` opens it", to.display()));
        Ok(())
    }
}
