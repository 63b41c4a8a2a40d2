//! Other programs, run in sight: what is run is printed, and a failure says what was run and how it ended.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a tool could not do its work, in a sentence that says what to do.
#[derive(Debug)]
pub struct Problem(String);

pub type Outcome<T = ()> = Result<T, Problem>;

impl Problem {
    pub fn new(sentence: impl Into<String>) -> Problem {
        Problem(sentence.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The repository's root. Cargo says where this crate is, so the tools work from any directory.
pub fn root() -> PathBuf {
    let crate_directory = std::env::var_os("CARGO_MANIFEST_DIR").expect("run it as `cargo xtask`: cargo sets this");
    Path::new(&crate_directory).parent().expect("the crate lies in the repository").to_owned()
}

/// Where the tools that are installed for this repository live; not under version control.
pub fn tools() -> PathBuf {
    root().join(".tools")
}

/// A command that runs at the repository's root.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The same cargo that runs this tool.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command, its output passing through.
pub fn run(command: &mut Command) -> Outcome {
    let line = shown(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| Problem::new(format!("cannot run `{line}`: {error}")))?;
    if status.success() { Ok(()) } else { Err(Problem::new(format!("`{line}` failed ({status})"))) }
}

/// Runs a command and gives what it wrote to its standard output.
pub fn output_of(command: &mut Command) -> Outcome<Vec<u8>> {
    let line = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Problem::new(format!("cannot run `{line}`: {error}")))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Problem::new(format!("`{line}` failed ({})", output.status)))
    }
}

/// Whether a command runs and succeeds; what it says is not shown.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The command as one would type it at the repository's root.
fn shown(command: &Command) -> String {
    let root = format!("{}/", root().display());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let cargo = std::env::var_os("CARGO");
    let shown = |word: &OsStr| match &cargo {
        Some(cargo) if word == cargo => "cargo".to_owned(),
        _ => word.to_string_lossy().replace(&root, ""),
    };
    words.map(shown).collect::<Vec<String>>().join(" ")
}

pub fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))
}

pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Outcome {
    std::fs::write(path, text).map_err(|error| Problem::new(format!("cannot write {}: {error}", path.display())))
}
