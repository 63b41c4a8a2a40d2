//! The operators' console: who is at it, and what is asked there and nowhere else.
use billing::id::{AccountNumber, Name};
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Audit, Change, CommitError, Document, Kinds};

use super::seal::random_name;
use super::{Caller, Error, Scope};
use crate::app::App;

/// How long an operator stays signed in.
pub const CONSOLE_LASTS: Span = Span::HOUR.times(12);
/// Lines of the audit log read at once, and how often for one page.
const AUDIT_READ: usize = 500;
const AUDIT_READS_MAX: usize = 10;
/// "Due" far enough ahead to list what waits.
const AHEAD: Span = Span::DAY.times(3_650);

/// What the audit log says of a link into the pages.
pub const LET_IN: &str = "portal_session.create";

const PURPOSE: &str = "console session";
/// The kind of document that says that a session was ended by its owner.
const ENDED: &str = "console_session_end";

/// Somebody who may do everything.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Of the session, for its forms.
    pub id: String,
    /// The API key they signed in with: who the audit log says it was.
    pub name: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    id: String,
    key: String,
    until: i64,
}

/// A document that somebody has to look at.
#[derive(Clone, Debug)]
pub struct WaitingJob {
    pub document: Document,
    /// The platform's name of the account, of those that belong to one.
    pub account: Option<Name>,
}

/// Part of who, of what was done, and of what it was done to: an account, or something of one; empty for any.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub by: String,
    pub action: String,
    pub subject: String,
}

impl AuditFilter {
    fn admits(&self, line: &Audit) -> bool {
        // A platform whose key is an admin's lets people in by the thousand: that is shown to who asks for it.
        if self.action.is_empty() && line.action == LET_IN {
            return false;
        }
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        // What of the account's it was done to comes first in the detail.
        let thing = line.detail.split(' ').next().unwrap_or_default();
        let is_to = has(&line.subject, &self.subject) || has(thing, &self.subject);
        is_to && has(&line.by, &self.by) && has(&line.action, &self.action)
    }
}

/// A page of the audit log.
#[derive(Clone, Debug)]
pub struct AuditPage {
    pub lines: Vec<Audit>,
    /// Where the next page begins; none where the log ends.
    pub older: Option<u64>,
}

impl App {
    /// A session for whoever has the secret of an admin key; none for everybody else.
    pub fn sign_in_operator(&self, caller: Option<Caller>) -> Result<Option<String>, Error> {
        let Some(caller) = caller.filter(|it| it.may(Scope::Admin)) else { return Ok(None) };
        let until = (self.now() + CONSOLE_LASTS).millis();
        let sealed = Sealed { id: random_name("naming a console session")?, key: caller.key_id.to_string(), until };
        Ok(Some(self.seal()?.close(PURPOSE, &sealed)?))
    }

    /// Whose session this is, while it lasts and the key has not been revoked.
    pub fn operator(&self, token: &str) -> Result<Option<Operator>, Error> {
        let Some(sealed) = self.seal()?.open::<Sealed>(PURPOSE, token) else { return Ok(None) };
        if Timestamp::from_millis(sealed.until) <= self.now() {
            return Ok(None);
        }
        if self.store.document(Document::HOUSE, ENDED, &sealed.id)?.is_some() {
            return Ok(None);
        }
        let keys = self.keys();
        let caller = keys.values().find(|it| *it.key_id == *sealed.key && it.may(Scope::Admin));
        Ok(caller.map(|it| Operator { id: sealed.id, name: it.name.to_string() }))
    }

    /// Ends a session before its time: a copy of its cookie opens nothing any more.
    pub fn sign_out_operator(&self, operator: &Operator) -> Result<(), Error> {
        let end = Document {
            account: Document::HOUSE,
            kind: ENDED.to_owned(),
            id: operator.id.clone(),
            version: 1,
            at: self.now(),
            due_at: None,
            body: "{}".to_owned(),
        };
        match self.store.commit(&[Change::Document(end)]) {
            // Ended twice is ended.
            Ok(()) | Err(CommitError::Stale | CommitError::Repeated) => Ok(()),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// A key for one form, so that sending it twice is one request.
    pub fn form_key(&self) -> Result<String, Error> {
        Ok(random_name("naming a form")?)
    }

    /// What waits to be done, now or later, soonest first.
    pub fn waiting_jobs(&self, limit: usize) -> Result<Vec<WaitingJob>, Error> {
        let mut documents = self.store.documents_due(Kinds::ALL, self.now() + AHEAD, limit)?;
        documents.truncate(limit);
        let named = |document: Document| {
            let account = self.name_of(document.account)?;
            Ok(WaitingJob { document, account })
        };
        documents.into_iter().map(named).collect()
    }

    /// What operators did, newest first, from before `before` on: a page of what the filter lets through, or as much of
    /// one as so many lines of the log hold.
    pub fn audit_log(&self, filter: &AuditFilter, before: Option<u64>, limit: usize) -> Result<AuditPage, Error> {
        self.audit_where(|it| filter.admits(it), before, limit)
    }

    fn audit_where(
        &self,
        is_admitted: impl Fn(&Audit) -> bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AuditPage, Error> {
        let mut page = AuditPage { lines: Vec::new(), older: before };
        for _ in 0..AUDIT_READS_MAX {
            let read = self.store.audit(page.older.unwrap_or(u64::MAX), AUDIT_READ)?;
            let is_last = read.len() < AUDIT_READ;
            for (number, line) in read {
                page.older = Some(number);
                if is_admitted(&line) {
                    page.lines.push(line);
                }
                if page.lines.len() == limit {
                    return Ok(page);
                }
            }
            if is_last {
                page.older = None;
                break;
            }
        }
        Ok(page)
    }

    /// What operators and people at the pages did to an account, newest first, as far as the log is read for one page.
    pub fn audit_of(&self, account: &Name, limit: usize) -> Result<Vec<Audit>, Error> {
        let is_its = |it: &Audit| it.subject == account.as_str() && it.action != LET_IN;
        Ok(self.audit_where(is_its, None, limit)?.lines)
    }

    /// Writes down what an operator did at the console.
    pub fn note_audit(&self, by: &str, action: &str, subject: &str, detail: &str) -> Result<(), Error> {
        let audit = Audit {
            at: self.now(),
            by: by.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
        };
        match self.store.commit(&[Change::Audit(audit)]) {
            Ok(()) => Ok(()),
            Err(CommitError::Stale | CommitError::Repeated) => Err(Error::Busy),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }

    fn name_of(&self, number: AccountNumber) -> Result<Option<Name>, Error> {
        if number == Document::HOUSE {
            return Ok(None);
        }
        Ok(self.known_number(number)?.map(|it| it.account.id.clone()))
    }
}
