//! `scrip verify`, `backup`, `restore`: for who keeps the data.
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use store::postgres::Postgres;
use store::sqlite;
use store::{Difference, Movable};

use super::{Failure, Outcome, counted, say};
use crate::config;
use crate::database::{self, Database};

/// Where the store is.
#[derive(Debug, Args)]
struct At {
    /// The server's data directory [default: scrip-data]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// sqlite:PATH or postgres://…; without it and a --data-dir, SCRIP_DATABASE_URL
    #[arg(long, conflicts_with = "data_dir")]
    database_url: Option<String>,
}

impl At {
    fn named(&self) -> Result<Database, String> {
        let url = database::url(self.database_url.clone(), self.data_dir.as_deref(), None);
        Database::named(url.as_deref(), self.data_dir.as_deref().unwrap_or(Path::new(config::DATA_DIR)))
    }
    fn path(&self) -> Result<PathBuf, String> {
        match self.named()? {
            Database::Sqlite(path) => Ok(path),
            Database::Postgres(_) => {
                Err("this is PostgreSQL's own work: pg_basebackup or pg_dump; see docs/OPERATIONS.md".to_owned())
            }
        }
    }
    fn existing(&self) -> Result<PathBuf, String> {
        let path = self.path()?;
        if path.is_file() {
            Ok(path)
        } else {
            Err(format!("there is no store at {}; name its --data-dir", path.display()))
        }
    }
    /// The store that is there, of either kind.
    fn open(&self) -> Result<Arc<dyn Movable>, String> {
        let database = self.named()?;
        if let Database::Sqlite(_) = database {
            self.existing()?;
        }
        database.open_whole()
    }
}

const VERIFY: &str = "\
Every transaction is folded again from the first, and every book, name, usage
sum and month compared with what the store says.

Servers may go on writing meanwhile: what is verified is the store as it was at
one moment. Of a SQLite store that is a copy, made beside it, of the same size,
and taken away again; of PostgreSQL one transaction, which keeps old rows from
being cleared away as long as it takes. Spread over the machines of a Citus
cluster, a store has no such moment: verify it while nothing is written, or a
restored backup.

Exits 1 when anything differs.

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

/// A directory that goes away with the value; where the process was killed, when there is the next.
struct Copy {
    directory: PathBuf,
    /// Locked as long as the process lives.
    _lock: File,
}

impl Copy {
    const PREFIX: &str = "verify-";
    const LOCK: &str = "in-use";

    /// A directory beside a store.
    fn beside(store: &Path) -> std::io::Result<Copy> {
        let directory = store.with_file_name(format!("{}{}", Copy::PREFIX, std::process::id()));
        Copy::tidy(store);
        // Under its name there is none that is not locked.
        let new = store.with_file_name(format!("new-{}{}", Copy::PREFIX, std::process::id()));
        std::fs::create_dir(&new)?;
        let lock = File::create(new.join(Copy::LOCK))?;
        lock.lock()?;
        std::fs::rename(&new, &directory)?;
        Ok(Copy { directory, _lock: lock })
    }

    /// Takes away what was left by who was killed: each is as large as the store.
    fn tidy(store: &Path) {
        let beside = store.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
        let is_copy = |it: &Path| {
            let name = it.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            name.strip_prefix(Copy::PREFIX).is_some_and(|it| it.parse::<u32>().is_ok())
        };
        let found = std::fs::read_dir(beside).into_iter().flatten().flatten().map(|it| it.path());
        for copy in found.filter(|it| is_copy(it)) {
            let Ok(lock) = File::open(copy.join(Copy::LOCK)) else { continue };
            if lock.try_lock().is_ok() {
                // What cannot be taken away is only in the way.
                let _ = std::fs::remove_dir_all(copy);
            }
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Verify {
    /// The store as it is at one moment: of a file that a server has open, a copy.
    fn store(&self) -> Result<(Arc<dyn Movable>, Option<Copy>), String> {
        if let Database::Postgres(url) = self.at.named()? {
            let store = Postgres::open_at_one_moment(&url).map_err(|it| it.to_string())?;
            return Ok((Arc::new(store), None));
        }
        let path = self.at.existing()?;
        if !sqlite::is_open(&path).map_err(|it| it.to_string())? {
            return Ok((self.at.open()?, None));
        }
        let copy = Copy::beside(&path).map_err(|it| format!("cannot copy {}: {it}", path.display()))?;
        let file = copy.directory.join("scrip.db");
        sqlite::snapshot(&path, &file).map_err(|it| it.to_string())?;
        Ok((Database::Sqlite(file).open_whole()?, Some(copy)))
    }

    pub fn run(self) -> Outcome {
        let (store, copy) = self.store()?;
        let bar = ProgressBar::new(1);
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} transactions");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let report = store::verify(&*store, &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let mut report = report.map_err(|it| it.to_string())?;
        for found in crate::service::verify_months(&*store).map_err(|it| it.to_string())? {
            report.difference_count += 1;
            let (place, expected) = ("the house's months".to_owned(), "what the journal comes to".to_owned());
            report.differences.push(Difference { what: "month", place, expected, found });
        }
        drop((store, copy));
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
            let (transactions, accounts) = (report.transactions, report.accounts);
            say(&format!("{} of {}", counted(transactions, "transaction"), counted(accounts, "account")));
        }
        if report.is_clean() {
            return Ok(());
        }
        let differences = counted(report.difference_count, "difference");
        let text = format!("{differences}: what the store says is not what its entries say");
        Err(Failure::of("store_differs", text))
    }
}

/// What was done, said to people or to programs.
fn done(is_json: bool, said: &str, shown: &serde_json::Value) {
    say(&if is_json { shown.to_string() } else { said.to_owned() });
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
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub fn run(self) -> Outcome {
        let store = self.at.existing()?;
        sqlite::backup(&store, &self.to).map_err(|it| it.to_string())?;
        let said = format!("{} is backed up to {}", store.display(), self.to.display());
        done(self.json, &said, &json!({"store": store, "backup": self.to}));
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
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub fn run(self) -> Outcome {
        let to = self.at.path()?;
        if let Some(directory) = to.parent().filter(|it| *it != Path::new("")) {
            std::fs::create_dir_all(directory).map_err(|it| format!("cannot make {}: {it}", directory.display()))?;
        }
        sqlite::restore(&self.from, &to).map_err(|it| it.to_string())?;
        let said = format!("restored to {}; `scrip serve` opens it", to.display());
        done(self.json, &said, &json!({"store": to}));
        Ok(())
    }
}

const MIGRATE: &str = "\
`scrip serve` does this by itself when it starts; do it beforehand to know that
it went well. Steps only add, or say which program is the oldest that may still
serve: so nodes of two versions serve together while they are exchanged.

Examples:
  scrip migrate --database-url postgres://scrip@db/scrip
  scrip migrate --database-url postgres://scrip@coordinator/scrip --distributed";

/// Bring a store's schema up to date; with --distributed, spread its tables over a Citus cluster
#[derive(Debug, Args)]
#[command(after_help = MIGRATE)]
pub struct Migrate {
    #[command(flatten)]
    at: At,
    /// Spread the tables by account over the machines of a Citus cluster, once
    #[arg(long)]
    distributed: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub fn run(self) -> Outcome {
        let database = self.at.named()?;
        if self.distributed && matches!(database, Database::Sqlite(_)) {
            return Err("--distributed is for a Citus cluster: name one as postgres://…".to_owned().into());
        }
        // Of a database that is there its first schema is made; a file that is not there was meant to be elsewhere.
        drop(self.at.open()?);
        let shown = database.shown();
        let mut said = format!("{shown} is up to date");
        if let Database::Postgres(url) = &database
            && self.distributed
        {
            Postgres::distribute(url).map_err(|it| it.to_string())?;
            said += ", and its tables are spread";
        }
        done(self.json, &said, &json!({"store": shown, "distributed": self.distributed}));
        Ok(())
    }
}
