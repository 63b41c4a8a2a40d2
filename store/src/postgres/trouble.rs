//! What may go wrong with a statement, told apart by what is to be done about it.
use std::error::Error as _;
use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

use crate::{CommitError, Fault};

/// Why a transaction was not done.
#[derive(Debug)]
pub enum Trouble {
    /// It met another: nothing was done, and the same may be tried again at once.
    Again,
    /// Somebody else made a row with this key, or this very table: the constraint's name, or words in which it stands.
    Taken(String),
    Fault(Fault),
    /// The connection was lost with it. The next may lead to another server, on which less was done.
    Lost(Fault),
    Stale,
    Repeated,
}

/// For a fault of who cannot try again.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Again => f.write_str("another was at the same rows, time and again"),
            Trouble::Taken(what) => write!(f, "another made the same first: {what}"),
            Trouble::Fault(fault) | Trouble::Lost(fault) => fault.fmt(f),
            Trouble::Stale => CommitError::Stale.fmt(f),
            Trouble::Repeated => CommitError::Repeated.fmt(f),
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

impl From<Trouble> for CommitError {
    fn from(trouble: Trouble) -> CommitError {
        match trouble {
            // Whoever took the key was first.
            Trouble::Stale | Trouble::Again | Trouble::Taken(_) => CommitError::Stale,
            Trouble::Repeated => CommitError::Repeated,
            Trouble::Fault(fault) | Trouble::Lost(fault) => CommitError::Fault(fault),
        }
    }
}

/// A key that is there; or a table, which can be found to be there in three ways while another makes it.
const TAKEN: [SqlState; 3] = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];

/// What an error of the driver means.
pub fn trouble(doing: &'static str, error: &Error) -> Trouble {
    let Some(said) = error.as_db_error() else { return Trouble::Lost(fault(doing, error)) };
    if matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) {
        return Trouble::Lost(fault(doing, error));
    }
    // What another machine of a cluster refused is passed on without the name, which the message has in any language.
    let (code, constraint) = (said.code(), said.constraint().unwrap_or(said.message()));
    if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
        Trouble::Again
    } else if TAKEN.contains(code) {
        Trouble::Taken(constraint.to_owned())
    } else {
        Trouble::Fault(fault(doing, error))
    }
}

/// A fault, which knows whether the database is away or what was asked of it is wrong.
pub fn fault(doing: &'static str, error: &Error) -> Fault {
    let Some(said) = error.as_db_error() else {
        // The driver says what it did; the reason is behind it.
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(it) = source {
            why = format!("{why}: {it}");
            source = it.source();
        }
        return Fault::away(doing, why);
    };
    let why = format!("{} ({})", said.message(), said.code().code());
    // Citus says this under the code of a bug, of a machine that went while it was told to commit.
    let is_torn = said.message().starts_with("could not commit transaction for shard");
    if is_torn || is_away(said.code().code()) { Fault::away(doing, why) } else { Fault::new(doing, why) }
}

/// Whether an SQLSTATE is of a server that is stopping, starting, full, a standby yet, or slower than it may be; or of
/// a cluster's machine that went while rows were copied to it.
fn is_away(code: &str) -> bool {
    ["08", "53", "57P", "57014", "55P03", "25006", "25P03", "58030"].iter().any(|it| code.starts_with(it))
}

/// A statement behind one that failed: it says nothing of its own.
pub fn is_echo(error: &Error) -> bool {
    error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
}
