//! `scrip import`: files of usage and of accounts, into a running server.
//!
//! Rows are read and sent in groups; what is refused is reported with its line and stops nothing else. Every row has a
//! name, its own or one made of the file's name, what it says and the how-many-eth it is that says so, so that sending
//! it again does it once.
mod accounts;
mod journey;
mod price;
mod residents;
mod rows;
mod usage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use billing::total::TotalCredits;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::remote::{Server, Trouble};
use super::{Failure, Outcome, complain, counted, say};
use journey::{Done, Journey, Refused};
use rows::{Columns, Place, Row, Rows};

/// The most that is sent in one request, with room for the answer.
const GROUP_BYTES_MAX: usize = 8 << 20;

const EXAMPLES: &str = "\
Examples:
  scrip import usage november.csv --dry-run    what it costs, and what is wrong
  scrip import usage november.csv              again, it goes on where it was
  scrip import usage events.ndjson --strict    nothing at all if a row is wrong
  scrip import usage november.csv --anew       from its first row all the same
  scrip import accounts customers.csv

november.csv:
  account,project,meter,at,dimensions.model,quantities.input_tokens
  acct_ada,storefront,ai_chat,2026-11-02T09:30:00Z,gpt-6.1-terra,1200

events.ndjson, a charge a line, as POST /v1/charges has it:
  {\"account\":\"acct_ada\",\"meter\":\"infra_plan\",\"quantities\":{\"points\":38}}

customers.csv:
  account,name,email,currency,timezone,credits
  acct_ada,Ada Lovelace,ada@example.com,eur,Europe/Vilnius,120.5

Work may have happened up to 35 days ago; it is priced by the card of its time
and counted in its hour. A row without an idempotency_key is named by the file's
name, what it says and, where rows say the same, its number among those: import
the file again and it is done once, wherever other rows have gone. In a file of
another name it is other work. Rows that were refused are in FILE.errors.csv;
mend them in place, or take them out, and import again.

A dry run reads the server's prices and accounts (the key's scope is read, or
admin). What it cannot know: which rows were charged before, what balances and
budgets will allow, and how late a server with a clock of its own says it is.
It takes the accounts as they are: import those first.";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Import {
    /// Charge for work that was done: CSV, or a JSON object a line
    Usage(Usage),
    /// Register accounts, with their opening balances
    Accounts(Accounts),
}

/// What both have.
#[derive(Debug, Args)]
struct Manner {
    /// The file: .csv, .ndjson or .jsonl
    file: PathBuf,
    /// Only say what would be done, as far as can be known before
    #[arg(long)]
    dry_run: bool,
    /// Check every row first and send nothing if one is wrong; then send one by one, stop at the first that is refused
    /// with nothing done after it, and go on with it the next time
    #[arg(long)]
    strict: bool,
    /// Begin with the first row, also where an import of the file was interrupted
    #[arg(long)]
    anew: bool,
    /// Where to report refused rows, instead of FILE.errors.csv
    #[arg(long)]
    errors: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Usage {
    #[command(flatten)]
    manner: Manner,
    /// A column that names each row, if it is not called idempotency_key
    #[arg(long)]
    key_column: Option<String>,
    /// Rows a request; with --strict it is always one
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Accounts {
    #[command(flatten)]
    manner: Manner,
}

impl Import {
    pub fn run(self) -> Outcome {
        match self {
            Import::Usage(it) => {
                let work = usage::Charging::new(&it.manner, it.key_column.as_deref())?;
                it.manner.import(&work, usize::try_from(it.batch).unwrap_or(1))
            }
            Import::Accounts(it) => it.manner.import(&accounts::Registering::new(&it.manner.server), 50),
        }
    }
}

/// A row that may be sent.
struct Ready<T> {
    line: u64,
    value: T,
    bytes: usize,
}

/// What came of the rows of a group: each is in one of the two.
type Outcomes = (Vec<Done>, Vec<Refused>);

/// How rows are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// What is refused stops none of the others.
    Together,
    /// None after the first that is refused.
    OneByOne,
}

/// What is done with rows.
trait Work {
    type Item;

    /// What is imported, in a word.
    fn what(&self) -> &'static str;
    fn columns(&self) -> Vec<&str>;
    /// The column that names a row.
    fn name_column(&self) -> &str;
    /// Makes of a row what is sent, or says what is wrong with it.
    fn read(&self, row: Row) -> Result<Ready<Self::Item>, Refused>;
    /// What would come of it, without doing it.
    fn rehearse(&self, group: &[Ready<Self::Item>]) -> Result<Outcomes, Failure>;
    /// Sends a group, and says what came of each of its rows; one by one, of none after the first that was refused.
    fn send(&self, group: Vec<Ready<Self::Item>>, pace: Pace) -> Result<Outcomes, Failure>;
}

impl Manner {
    fn import<W: Work>(&self, work: &W, group_rows: usize) -> Outcome {
        if self.strict && !self.dry_run {
            self.look_through(work)?;
        }
        let what = format!("{} to {}", work.what(), self.server.url());
        let manner = match (self.dry_run, self.anew) {
            (true, _) => journey::Manner::Dry,
            (_, true) => journey::Manner::Anew,
            _ => journey::Manner::GoingOn,
        };
        let mut journey = Journey::open(&self.file, self.errors.as_deref(), &what, manner)?;
        let mut rows = self.rows(work, journey.from)?;
        let bar = self.bar();
        // Who reads JSON on standard error finds nothing else there.
        if journey.from.is_some() && !self.json {
            bar.suspend(|| complain(&format!("going on after {}", counted(journey.tally().rows, "row"))));
        }
        let pace = if self.strict { Pace::OneByOne } else { Pace::Together };
        let mut stopped_at = None;
        while stopped_at.is_none() {
            let Group { mut ready, mut refused, starts, end } = gather(&mut rows, work, group_rows)?;
            let Some(end) = end else { break };
            if pace == Pace::OneByOne && !self.dry_run {
                let first = refused.iter().map(|it| it.line).min().unwrap_or(u64::MAX);
                ready.retain(|it| it.line < first);
            }
            let (done, more) = match ready.is_empty() {
                true => Outcomes::default(),
                false if self.dry_run => work.rehearse(&ready)?,
                false => work.send(ready, pace)?,
            };
            refused.extend(more);
            refused.sort_by_key(|it| it.line);
            let first = refused.first().filter(|_| self.strict && !self.dry_run).map(|it| it.line);
            stopped_at = starts.into_iter().find(|it| Some(it.0) == first);
            match stopped_at {
                Some((_, start)) => journey.stop(start, &done, &refused[..1])?,
                None => journey.advance(end, &done, &refused)?,
            }
            bar.set_position(end.offset);
            bar.set_message(format!("{} rows, {} refused", journey.tally().rows, journey.tally().refused));
        }
        bar.finish_and_clear();
        self.report(&journey, work.what(), stopped_at.map(|it| it.0))
    }

    /// Reads the whole file and stops at what is wrong, before anything is sent.
    fn look_through<W: Work>(&self, work: &W) -> Outcome {
        let mut rows = self.rows(work, None)?;
        loop {
            let Group { ready, mut refused, end, .. } = gather(&mut rows, work, 1_000)?;
            if end.is_none() {
                return Ok(());
            }
            refused.extend(work.rehearse(&ready)?.1);
            if let Some(first) = refused.iter().min_by_key(|it| it.line) {
                let Refused { line, field, detail, .. } = first;
                // Most say the field themselves.
                let is_said = field.is_empty() || detail.contains(&format!("`{field}`"));
                let why = if is_said { detail.clone() } else { format!("`{field}` {detail}") };
                return Err(Failure::of("rows_refused", format!("line {line}: {why}; nothing was sent")));
            }
        }
    }

    fn rows<W: Work>(&self, work: &W, from: Option<Place>) -> Result<Rows, String> {
        Rows::open(&self.file, Columns { known: &work.columns(), name: work.name_column() }, from)
    }

    fn bar(&self) -> ProgressBar {
        let length = std::fs::metadata(&self.file).map_or(0, |it| it.len());
        let bar = ProgressBar::new(length);
        let style = ProgressStyle::with_template("{bar:30} {percent} %  {msg}  {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }

    fn report(&self, journey: &Journey, what: &str, stopped_at: Option<u64>) -> Outcome {
        let tally = journey.tally();
        if !self.dry_run && stopped_at.is_none() {
            journey.arrived();
        }
        let credits = TotalCredits::from_micros(tally.micros);
        let report = (0 < tally.refused).then(|| journey.report_path().display().to_string());
        if self.json {
            let shown = json!({
                "file": self.file, "rows": tally.rows, "accepted": tally.accepted, "duplicates": tally.duplicates,
                "refused": tally.refused, "credits": credits.to_string(), "dry_run": self.dry_run, "errors": report,
            });
            say(&shown.to_string());
        } else {
            let done = match (what, self.dry_run) {
                (_, true) => "would be done",
                ("accounts", _) => "registered",
                _ => "charged",
            };
            say(&format!(
                "{}: {} {done}, {} done before, {} refused",
                counted(tally.rows, "row"),
                tally.accepted,
                tally.duplicates,
                tally.refused
            ));
            if !credits.is_zero() {
                say(&format!("{credits} credits"));
            }
        }
        let refused = match (report, stopped_at) {
            (None, _) => return Ok(()),
            (Some(path), Some(line)) => {
                format!("stopped at line {line}, which was refused; {path} says why; imported again, it goes on there")
            }
            (Some(path), None) => {
                format!("{} of {} refused; {path} says why", tally.refused, counted(tally.rows, "row"))
            }
        };
        Err(Failure::of("rows_refused", refused))
    }
}

/// The next rows of a file.
struct Group<T> {
    ready: Vec<Ready<T>>,
    /// Those that are none.
    refused: Vec<Refused>,
    /// Where each begins, by its line.
    starts: Vec<(u64, Place)>,
    /// Where the next group begins; none at the end of the file.
    end: Option<Place>,
}

fn gather<W: Work>(rows: &mut Rows, work: &W, most: usize) -> Result<Group<W::Item>, String> {
    let mut group = Group { ready: Vec::new(), refused: Vec::new(), starts: Vec::new(), end: None };
    let mut bytes = 0;
    while group.starts.len() < most && bytes < GROUP_BYTES_MAX {
        let Some(row) = rows.next()? else { break };
        group.end = Some(row.next);
        group.starts.push((row.line, row.start));
        match work.read(row) {
            Ok(ready) => {
                bytes += ready.bytes;
                group.ready.push(ready);
            }
            Err(why) => group.refused.push(why),
        }
    }
    Ok(group)
}

/// A row that is refused here, before it is sent.
fn refused(line: u64, field: impl Into<String>, detail: impl Into<String>) -> Refused {
    Refused { line, code: "invalid_row".to_owned(), field: field.into(), detail: detail.into() }
}

/// What to do when the server stops an import on its way.
const GO_ON: &str = "import the file again to go on";

/// How often what failed for no reason of its own is tried again, and how long after: twice as long each time.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Asks until there is an answer, or it is no use.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match ask() {
            Err(trouble) if trouble.is_passing => std::thread::sleep(pause),
            answer => return answer,
        }
        pause *= 2;
    }
    ask()
}

/// The name of a file without what leads to it.
fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
