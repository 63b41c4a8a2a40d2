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
  scrip demo                                 the same, with two months of use
  scrip measure chat --model gpt-6.1-terra --text 'How do I index this?'
  scrip measure repository . --json
  scrip quote --meter ai_chat --dimension model=gpt-6.1-terra \\
      --quantity input_tokens=1200 --quantity output_tokens=350
  scrip balance acct_ada                     at SCRIP_URL, with SCRIP_KEY
  scrip import usage november.csv --dry-run  what a file of past work would cost
  scrip verify --data-dir scrip-data         every balance, made again

A command exits 0 when it is done, 1 when it was refused or failed, 2 when it
was not understood. Why is said on standard error; with --json as an object: a
code that stays what it is, a detail to read and, where there is one, the field
at fault.";

/// What stands at the end of each command's help.
const EXITS: &str = "Exits 0 when done, 1 when refused or failed, 2 when not understood.";

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

/// The command line, as it is read and explained.
fn command() -> clap::Command {
    fn with_exits(command: clap::Command) -> clap::Command {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        command.after_help(format!("{help}\n\n{EXITS}")).mut_subcommands(with_exits)
    }
    Cli::command().mut_subcommands(with_exits)
}

/// The command and its words; what was not understood is said, as JSON to who asked for that.
fn read() -> Result<(Cli, bool), ExitCode> {
    let read = command().try_get_matches().and_then(|words| {
        let cli = Cli::from_arg_matches(&words).map_err(|it| it.format(&mut command()))?;
        Ok((cli, is_json_wanted(&words)))
    });
    read.map_err(|error| {
        // What follows `--` is no option.
        let is_json = std::env::args().skip(1).take_while(|it| it != "--").any(|it| it == "--json");
        if !is_json || !error.use_stderr() {
            error.exit();
        }
        complain(&misunderstood(&error).told.to_string());
        ExitCode::from(2)
    })
}

/// What was wrong with a command line, without the colours and the advice to read the help.
fn misunderstood(error: &clap::Error) -> Failure {
    let said = error.render().to_string();
    let told = match said.strip_prefix("error: ") {
        Some(it) => it.split("\n\nUsage:").next().and_then(|it| it.split("\n\nFor more").next()).unwrap_or(it),
        None => "a command is missing; --help lists them",
    };
    Failure::of("misunderstood", told.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let (cli, is_json) = match read() {
        Ok(read) => read,
        Err(code) => return code,
    };
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
        command().debug_assert();
    }

    /// Each command and each of its own, as it is typed.
    fn all() -> Vec<Vec<String>> {
        fn look(command: &clap::Command, typed: &[String], all: &mut Vec<Vec<String>>) {
            let typed = [typed, &[command.get_name().to_owned()]].concat();
            let own = command.get_subcommands().filter(|it| !it.is_hide_set());
            own.for_each(|it| look(it, &typed, all));
            all.push(typed);
        }
        let mut all = Vec::new();
        look(&command(), &[], &mut all);
        all
    }

    /// What a line of a shell gives `scrip`: what is before its name, behind a comment or sent elsewhere is left out.
    fn typed(line: &str) -> Vec<String> {
        let line = line.split(" > ").next().unwrap_or(line);
        let line = format!(" {}", line.trim());
        let line = &line[line.find(" scrip ").expect("it calls scrip") + 1..];
        let mut words = vec![String::new()];
        let (mut is_quoted, mut is_inner) = (false, false);
        for (place, letter) in line.char_indices() {
            let is_spaces = line[place..].starts_with("  ");
            match letter {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted && !is_inner && is_spaces => break,
                ' ' if !is_quoted && !is_inner => words.push(String::new()),
                _ => {
                    is_inner = (is_inner || letter == '(') && letter != ')';
                    words.last_mut().expect("there is one").push(letter);
                }
            }
        }
        words
    }

    /// The lines of a help that call scrip, those that go on below joined.
    fn examples(help: &str) -> Vec<String> {
        let joined = help.replace("\\\n      ", "");
        let is_call = |it: &&str| it.starts_with("  ") && it.contains(" scrip ");
        let of_examples = joined.split_once("\nExample").map_or("", |it| it.1);
        of_examples.lines().filter(is_call).map(str::to_owned).collect()
    }

    #[test]
    fn every_command_shows_an_example_that_can_be_typed() {
        let all = all();
        assert!(20 < all.len(), "{all:?}");
        for words in all {
            let asked = [&words[..], &["--help".to_owned()]].concat();
            let help = command().try_get_matches_from(asked).expect_err("it is help").render().to_string();
            let examples = examples(&help);
            let name = words.join(" ");
            assert!(examples.iter().any(|it| it.contains(&name)), "{name} shows no example of itself: {help}");
            assert!(help.contains("xits 0 when"), "{name} does not say how it exits: {help}");
            for example in examples {
                let read = command().try_get_matches_from(typed(&example));
                assert!(read.is_ok(), "{example}: {}", read.expect_err("it is wrong"));
            }
        }
    }

    #[test]
    fn what_was_not_understood_is_said_in_a_line() {
        let told = |line: &str| misunderstood(&command().try_get_matches_from(line.split(' ')).expect_err(line)).text;
        assert_eq!(told("scrip balance"), "the following required arguments were not provided: <ACCOUNT>");
        assert!(told("scrip balance ada --jsn").starts_with("unexpected argument '--jsn' found tip: "));
        assert_eq!(told("scrip measure"), "a command is missing; --help lists them");
        assert!(told("scrip quote --meter m --quantity a=-1").ends_with("`-1` is not a whole number, 0 or more"));
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
        look(&command());
    }

    #[test]
    fn json_is_wanted_of_the_command_that_has_it() {
        let wanted = |line: &str| is_json_wanted(&command().get_matches_from(line.split(' ')));
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
