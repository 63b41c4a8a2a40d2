//! The command line: what an operator and a curious reader type.
//!
//! A command does one thing and says it to people; with `--json` it says it to programs. It exits 0 when done, 1 when
//! refused or failed, 2 when it was not understood.
mod import;
mod keep;
mod measure;
mod moving;
mod price;
mod remote;
mod report;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  scrip serve                                        a server, its URL and its first API key
  scrip demo                                         the same, with a month of an account to look at
  scrip measure chat --model gpt-6.1-terra --text 'How do I index this?'
  scrip measure repository . --json
  scrip quote --meter ai_chat --dimension model=gpt-6.1-terra --quantity input_tokens=1200 --quantity output_tokens=350
  scrip balance acct_ada                             of the server at SCRIP_URL, with the key SCRIP_KEY
  scrip import usage november.csv --dry-run          what a file of past work would cost
  scrip verify --data-dir scrip-data                 every balance, made again from its entries";

/// Credit billing for AI and infrastructure platforms.
#[derive(Debug, Parser)]
#[command(name = "scrip", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    Serve(serve::Serve),
    /// Serve a filled example to look at
    Demo(serve::Demo),
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

/// What a command has to say in the end, should it fail: what was wrong, and what to do.
type Outcome = Result<(), String>;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
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
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("scrip: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A line on standard output. A reader that has gone away, such as `head`, is no failure.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
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
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
