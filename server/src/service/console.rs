//! The operators' console: who is at it, and what is asked there and nowhere else.
use billing::id::{AccountNumber, Name};
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Account, Audit, Change, CommitError, Document};

use super::seal::random_name;
use super::{Error, Scope};
use crate::app::App;

/// How long an operator stays signed in.
pub const CONSOLE_LASTS: Span = Span::HOUR.times(12);
/// Accounts looked at for one search.
const SEARCHED_MAX: usize = 20_000;
/// Accounts read at once.
const READ_AT_ONCE: usize = 1_000;
/// "Due" far enough ahead to list what waits.
const AHEAD: Span = Span::DAY.times(3_650);

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

impl App {
    /// A session for whoever has the secret of an admin key; none for everybody else.
    pub fn sign_in_operator(&self, secret: &str) -> Result<Option<String>, Error> {
        let Some(caller) = self.authenticate(secret).filter(|it| it.may(Scope::Admin)) else { return Ok(None) };
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

    /// Accounts whose id, name or e-mail address has `text` in it, whatever its case: the first `limit` by id.
    pub fn search_accounts(&self, text: &str, limit: usize) -> Result<Vec<Account>, Error> {
        let wanted = text.to_lowercase();
        let has = |it: &Option<String>| it.as_ref().is_some_and(|it| it.to_lowercase().contains(&wanted));
        let mut found = Vec::new();
        let mut after: Option<Name> = None;
        for _ in 0..SEARCHED_MAX / READ_AT_ONCE {
            let read = self.store.accounts(after.as_ref(), READ_AT_ONCE)?;
            let is_last = read.len() < READ_AT_ONCE;
            after = read.last().map(|it| it.id.clone());
            let matching =
                |it: &Account| it.id.as_str().to_lowercase().contains(&wanted) || has(&it.name) || has(&it.email);
            found.extend(read.into_iter().filter(matching));
            if is_last || limit <= found.len() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// What waits to be done, now or later, soonest first.
    pub fn waiting_jobs(&self, limit: usize) -> Result<Vec<WaitingJob>, Error> {
        let documents = self.store.documents_due(self.now() + AHEAD, limit)?;
        let named = |document: Document| {
            let account = self.name_of(document.account)?;
            Ok(WaitingJob { document, account })
        };
        documents.into_iter().map(named).collect()
    }

    /// What operators did, newest first, from before `before` on.
    pub fn audit_log(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Audit)>, Error> {
        Ok(self.store.audit(before.unwrap_or(u64::MAX), limit)?)
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
