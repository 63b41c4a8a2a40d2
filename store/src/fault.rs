//! How the world fails. A fault is logged once, at the door; the client sees a request id.
use std::error::Error;
use std::fmt;

use billing::id::AccountNumber;

/// The store could not do what was asked, for a reason of its own: disk, network, a corrupt row.
#[derive(Debug)]
pub struct Fault {
    /// What was being done, for the log.
    pub doing: &'static str,
    pub source: Box<dyn Error + Send + Sync>,
    /// The store cannot be reached just now: the same may well be done in a moment.
    pub is_away: bool,
    /// Of whom something cannot be read. What was asked for others can be done without it.
    pub of: Option<AccountNumber>,
}

impl Fault {
    pub fn new(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
        Fault { doing, source: source.into(), is_away: false, of: None }
    }

    /// A fault of a store that cannot be reached just now.
    pub fn away(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
        Fault { is_away: true, ..Fault::new(doing, source) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.source)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Why a commit did nothing.
#[derive(Debug)]
pub enum CommitError {
    /// Another was first: read again, decide again.
    Stale,
    /// This was done before: answer as then.
    Repeated,
    Fault(Fault),
}

impl From<Fault> for CommitError {
    fn from(fault: Fault) -> CommitError {
        CommitError::Fault(fault)
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::Stale => f.write_str("another commit was first"),
            CommitError::Repeated => f.write_str("this was committed before"),
            CommitError::Fault(fault) => fault.fmt(f),
        }
    }
}

impl Error for CommitError {}
