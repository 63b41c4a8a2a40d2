//! The audit log: what operators did, and what people changed at the pages, written in the very commit that does it.
//!
//! What the platform's backend does by the thousand is in the ledger with the name of its key, and not here. Whatever
//! is done to something of an account (a grant, a charge, a payment, a hold, a card, a server) is done to the account,
//! so that all of it is found there; the detail begins with that thing's id.
use billing::rating::Text;
use billing::time::Timestamp;
use store::{Audit, Change};

/// Who asks: an API key by its name, or a person at the pages by their role; and whether it is somebody of whom it is
/// written down.
#[derive(Clone, Debug)]
pub struct By {
    pub name: Text,
    pub is_noted: bool,
}

impl By {
    pub fn operator(name: &str) -> By {
        By { name: name.into(), is_noted: true }
    }

    /// The line in the audit log, if there is to be one.
    pub(super) fn noted(&self, at: Timestamp, action: &str, subject: String, detail: String) -> Option<Change> {
        self.is_noted.then(|| audit(at, &self.name, action, (subject, detail)))
    }
}

impl From<&str> for By {
    fn from(name: &str) -> By {
        By { name: name.into(), is_noted: false }
    }
}

/// A line in the audit log: what was done to what, and what there is to say of it.
pub(super) fn audit(at: Timestamp, by: &str, action: &str, (subject, detail): (String, String)) -> Change {
    Change::Audit(Audit { at, by: by.to_owned(), action: action.to_owned(), subject, detail })
}
