//! `scrip measure`: the measurers by hand. Nothing is sent anywhere.
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use meters::chat::ChatRequest;
use meters::repository::{Counted, Options, Progress, Snapshot, measure_archive, measure_directory, measure_git};
use meters::server::{Lifecycle, Terms};
use meters::{MeasureError, Measurement, chat, plan, server};
use serde::Serialize;

use super::{Failure, Outcome, say};

const EXAMPLES: &str = "\
Examples:
  scrip measure chat --model gpt-6.1-terra --text 'How do I index this?'
  scrip measure chat request.json --json
  scrip measure repository .
  scrip measure repository . --commit main --json
  scrip measure repository sources.tar.gz --since before.json
  terraform show -json plan.out | scrip measure plan -
  scrip measure server lifecycle.json";

const CHAT: &str = "\
Examples:
  scrip measure chat --model gpt-6.1-terra --text 'How do I index this?'
  scrip measure chat request.json --json

request.json:
  {\"model\": \"gpt-6.1-terra\", \"reply\": \"With CREATE INDEX.\",
   \"messages\": [{\"role\": \"user\", \"content\": \"How do I index this?\"}]}";

const REPOSITORY: &str = "\
Examples:
  scrip measure repository .
  scrip measure repository . --commit main --json
  scrip measure repository sources.tar.gz --snapshot before.json
  scrip measure repository . --since before.json";

const PLAN: &str = "\
Examples:
  terraform show -json plan.out | scrip measure plan -
  scrip measure plan compose.yaml --json";

const LIFECYCLE: &str = r#"Example:
  scrip measure server lifecycle.json --json

lifecycle.json, times in milliseconds since 1970:
  {"facts": [
    {"at_ms": 1793527200000, "what": "provision", "tier": "business"},
    {"at_ms": 1793527260000, "what": "start"},
    {"at_ms": 1793530860000, "what": "resize", "tier": "enterprise"},
    {"at_ms": 1793534460000, "what": "stop"},
    {"at_ms": 1793538060000, "what": "start"},
    {"at_ms": 1793541660000, "what": "release"}
   ],
   "zone": "Europe/Vilnius",
   "until_ms": 1796119200000}

What happens to a server: provision and resize, with their tier, start, stop,
release, fail. One that is still running is counted up to until_ms; months are
cut by the calendar of zone."#;

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Measure {
    /// Count the tokens of a chat
    #[command(after_help = CHAT)]
    Chat(Chat),
    /// Count the lines of code of a directory, a commit or an archive
    #[command(after_help = REPOSITORY)]
    Repository(Repository),
    /// Score an infrastructure plan
    #[command(after_help = PLAN)]
    Plan(Document),
    /// Count the seconds a server ran, from its lifecycle
    ///
    /// By the measurer's own terms. What is charged for them, such as for a server that is stopped, goes by the rate
    /// card: `scrip rate-card show` says how, and `scrip quote --meter server` what so many seconds cost in one go: the
    /// monthly cap holds once for each calendar month that they take at least.
    #[command(after_help = LIFECYCLE)]
    Server(Document),
}

#[derive(Debug, Args)]
pub struct Chat {
    /// A chat request {model, messages|text, reply?, usage?}; - for standard input
    #[arg(required_unless_present = "text")]
    file: Option<PathBuf>,
    /// The model, with --text
    #[arg(long, requires = "text")]
    model: Option<String>,
    /// Plain text instead of a file
    #[arg(long, requires = "model", conflicts_with = "file")]
    text: Option<String>,
    /// As JSON, with the evidence
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Repository {
    /// A directory, or a tar, tar.gz or zip
    path: PathBuf,
    /// A commit, branch or tag of the Git repository there
    #[arg(long)]
    commit: Option<String>,
    /// An earlier measurement (as --snapshot wrote it): only what is new since is counted
    #[arg(long)]
    since: Option<PathBuf>,
    /// Write what was counted to this file, for a later --since
    #[arg(long)]
    snapshot: Option<PathBuf>,
    /// Files it may have, whatever becomes of them
    #[arg(long, value_name = "N", default_value_t = Options::default().entries_max)]
    files_max: u64,
    /// Bytes that its files may have together
    #[arg(long, value_name = "N", default_value_t = Options::default().total_bytes_max)]
    bytes_max: u64,
    /// As JSON, with the evidence
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Document {
    /// The file; - for standard input
    file: PathBuf,
    /// As JSON, with the evidence
    #[arg(long)]
    json: bool,
}

impl Measure {
    pub fn run(self) -> Outcome {
        match self {
            Measure::Chat(it) => it.run(),
            Measure::Repository(it) => it.run(),
            Measure::Plan(it) => {
                let measured = plan::measure(&read(&it.file)?)?;
                show(&[measured], it.json)
            }
            Measure::Server(it) => {
                let lifecycle: Lifecycle = serde_json::from_slice(&read(&it.file)?)
                    .map_err(|error| format!("{} is no server's lifecycle: {error}", it.file.display()))?;
                let runtime = server::measure(&lifecycle, &Terms::default())?;
                show(&runtime.measurements, it.json)
            }
        }
    }
}

impl Chat {
    fn run(self) -> Outcome {
        let request = match (&self.file, &self.model, &self.text) {
            (_, Some(model), Some(text)) => ChatRequest::of_text(model, text),
            (Some(file), _, _) => ChatRequest::from_json(&read(file)?)?,
            _ => return Err("name a file, or give --model and --text".to_owned().into()),
        };
        show(&[chat::measure(&request)?], self.json)
    }
}

impl Repository {
    fn run(self) -> Outcome {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} files");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let progress = |it: Progress| {
            bar.set_length(it.files_total);
            bar.set_position(it.files_done);
        };
        let options = Options { entries_max: self.files_max, total_bytes_max: self.bytes_max, ..Options::default() };
        let counted: Result<Counted, MeasureError> = match &self.commit {
            Some(commit) => measure_git(&self.path, commit, &options, &progress),
            None if self.path.is_dir() => measure_directory(&self.path, &options, &progress),
            None => measure_archive(&read(&self.path)?, &options, &progress),
        };
        bar.finish_and_clear();
        let counted = counted?;
        if let Some(path) = &self.snapshot {
            std::fs::write(path, counted.snapshot.to_json()?)
                .map_err(|it| format!("cannot write {}: {it}", path.display()))?;
        }
        let measured = match &self.since {
            Some(path) => {
                let earlier = Snapshot::from_json(&read(path)?)
                    .map_err(|it| format!("{} is not what --snapshot wrote: {it}", path.display()))?;
                counted.changed_since(&earlier)
            }
            None => counted.measurement,
        };
        show(&[measured], self.json)
    }
}

impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Failure {
        // Who measures at a terminal may say how much is too much.
        let is_too_large = matches!(error, MeasureError::RepositoryTooLarge { .. });
        let more = if is_too_large { ", or allow more with --files-max and --bytes-max" } else { "" };
        let failure = Failure::of(error.code(), format!("{error}{more}")).at(error.field().as_deref());
        Failure { text: format!("{error}{more} ({})", error.code()), ..failure }
    }
}

/// A file's bytes; those of standard input for `-`.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|it| format!("cannot read {}: {it}", path.display()))
}

fn show(measured: &[Measurement], json: bool) -> Outcome {
    if json {
        return show_json(measured);
    }
    for it in measured {
        let dimensions: Vec<String> = it.dimensions.iter().map(|(name, value)| format!("{name} {value}")).collect();
        say(&format!("{}  {}", it.meter, dimensions.join(", ")));
        for (name, quantity) in &it.quantities {
            say(&format!("  {quantity:>14}  {name}"));
        }
    }
    Ok(())
}

fn show_json(measured: &[Measurement]) -> Outcome {
    fn written(value: &impl Serialize) -> Outcome {
        say(&serde_json::to_string_pretty(value).map_err(|it| it.to_string())?);
        Ok(())
    }
    // One artefact, one object; a server that was resized has one for each tier.
    if let [one] = measured { written(one) } else { written(&measured) }
}
