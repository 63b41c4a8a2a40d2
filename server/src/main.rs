//! `scrip`: the command line's door. Everything is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::main()
}
