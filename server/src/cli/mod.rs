//! The command line: what an operator and a curious reader type.
//!
//! A command does one thing and says it to people; with `--json` it says it to programs, and why it could not, too. It
//! exits 0 when done, 1 when refused or failed, 2 when it was not understood.
mod demo;
mod import;
mod keep;
mod measure;
mod moving;
mod price;
mod remote;
mod report;
mod serve;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  scrip serve                                a server, its URL, its first key
  scrip demo                                 the same, with two months to look at
  scrip measure chat --model gpt-6.1-terra --text 'How do I index this?'
  scrip measure repository . --json
  scrip quote --meter ai_chat --dimension model=gpt-6.1-terra \\
      --quantity input_tokens=1200 --quantity output_tokens=350
  scrip balance acct_ada                     at SCRIP_URL, with SCRIP_KEY
  scrip import usage november.csv --dry-run  what a file of past work would cost
  scrip verify --data-dir scrip-data         every balance, made again

A command exits 0 when it is done, 1 when it was refused or failed, 2 when it
was not understood. Why it failed is said on standard error; with --json as an
object: a code that stays what it is, a detail to read and, where there is one,
the field at fault.";

/// Credit billing for AI and infrastructure platforms.
#[derive(Debug, Parser)]
#[command(name = "scrip", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    Serve(serve::Serve),
    /// Serve a filled example to look at
    Demo(demo::Demo),
    /// Measure chats, repositories, plans and servers, here and without a network
    #[command(subcommand)]
    Measure(measure::Measure),
    /// Price work before it is done
    Quote(price::Quote),
    /// Charge an account for work done
    Charge(remote::Charge),
    /// Show an account's balance
    Balance(remote::Balance),
    /// Show an account's usage
    Usage(remote::Usage),
    /// Reports for the accountant: revenue, liability, the trial balance
    Report(report::Report),
    /// Show, check, compare and upload prices
    #[command(subcommand)]
    RateCard(price::Card),
    /// Import files of usage and accounts into a running server
    #[command(subcommand)]
    Import(import::Import),
    /// Make everything again from the ledger's entries, and compare
    Verify(keep::Verify),
    /// Copy a store, also while a server writes to it
    Backup(keep::Backup),
    /// Make a store of a backup
    Restore(keep::Restore),
    /// Bring a store's schema up to date
    Migrate(keep::Migrate),
    /// Move everything from one store to another
    #[command(name = "migrate-data")]
    Move(moving::Move),
    /// Print the OpenAPI document
    #[command(hide = true)]
    Openapi,
}

/// What a command has to say in the end, should it fail.
type Outcome = Result<(), Failure>;

/// What was wrong, and what to do: in words, and as programs read it.
#[derive(Debug)]
struct Failure {
    text: String,
    told: Value,
}

impl Failure {
    /// A code is for programs: it stays when the words change.
    fn of(code: &str, text: String) -> Failure {
        Failure { told: json!({"code": code, "detail": text}), text }
    }

    /// With the field that is at fault, where there is one.
    fn at(mut self, field: Option<&str>) -> Failure {
        if let Some(field) = field {
            self.told["field"] = field.into();
        }
        self
    }
}

/// What this machine, a file or an option gets in the way of.
impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::of("failed", text)
    }
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let words = Cli::command().get_matches();
    let is_json = is_json_wanted(&words);
    let cli = Cli::from_arg_matches(&words).unwrap_or_else(|it| it.format(&mut Cli::command()).exit());
    let done = match cli.command {
        Command::Serve(it) => it.run(),
        Command::Demo(it) => it.run(),
        Command::Measure(it) => it.run(),
        Command::Quote(it) => it.run(),
        Command::Charge(it) => it.run(),
        Command::Balance(it) => it.run(),
        Command::Usage(it) => it.run(),
        Command::Report(it) => it.run(),
        Command::RateCard(it) => it.run(),
        Command::Import(it) => it.run(),
        Command::Verify(it) => it.run(),
        Command::Backup(it) => it.run(),
        Command::Restore(it) => it.run(),
        Command::Migrate(it) => it.run(),
        Command::Move(it) => it.run(),
        Command::Openapi => {
            say(&format!("{:#}", crate::http::document()));
            Ok(())
        }
    };
    noted(std::io::stdout().flush());
    let unsaid = UNSAID.get().map(|why| Failure::from(format!("cannot write to standard output: {why}")));
    match done.and_then(|()| unsaid.map_or(Ok(()), Err)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { told, .. }) if is_json => {
            complain(&told.to_string());
            ExitCode::FAILURE
        }
        Err(why) => {
            complain(&format!("scrip: {}", why.text));
            ExitCode::FAILURE
        }
    }
}

/// Whether the command that was typed has `--json`.
fn is_json_wanted(words: &ArgMatches) -> bool {
    let innermost = std::iter::successors(Some(words), |it| it.subcommand().map(|it| it.1)).last();
    innermost.is_some_and(|it| matches!(it.try_get_one("json"), Ok(Some(true))))
}

/// Why something could not be said; the command fails in the end, when what it was to do is done.
static UNSAID: OnceLock<String> = OnceLock::new();

/// A line on standard output.
fn say(text: &str) {
    noted(writeln!(std::io::stdout(), "{text}"));
}

/// A reader that has gone away, such as `head`, is no failure; a full disk is.
fn noted(written: std::io::Result<()>) {
    if let Err(why) = written
        && why.kind() != ErrorKind::BrokenPipe
    {
        UNSAID.get_or_init(|| why.to_string());
    }
}

/// A line on standard error, which may be closed.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A text as a part of an address, whatever is in it.
fn part(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' | b':' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// So many of something.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `name=value`, as quantities and dimensions are typed.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not name=value"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `name=number`.
fn quantity(text: &str) -> Result<(String, u64), String> {
    let (name, value) = pair(text)?;
    let number = value.parse().map_err(|_| format!("`{value}` is not a whole number, 0 or more"))?;
    Ok((name, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    /// What is longer is broken anywhere, and can no longer be copied.
    #[test]
    fn examples_fit_into_a_terminal() {
        fn look(command: &clap::Command) {
            let shown = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in shown.lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }

    #[test]
    fn json_is_wanted_of_the_command_that_has_it() {
        let wanted = |line: &str| is_json_wanted(&Cli::command().get_matches_from(line.split(' ')));
        assert!(wanted("scrip balance ada --json") && wanted("scrip measure plan x --json"));
        assert!(!wanted("scrip balance ada") && !wanted("scrip serve") && !wanted("scrip balance -- --json"));
    }

    #[test]
    fn what_stands_in_an_address_is_escaped() {
        assert_eq!(part("acct_ada"), "acct_ada");
        assert_eq!(part("a/b?c=d&e#f +é"), "a%2Fb%3Fc%3Dd%26e%23f%20%2B%C3%A9");
        assert_eq!(part("2026-11-01T00:00:00+01:00"), "2026-11-01T00:00:00%2B01:00");
    }
}
