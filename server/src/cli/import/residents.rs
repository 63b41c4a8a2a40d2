//! Who has an account: for a rehearsal, which asks for nothing to be done.
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use billing::Refusal;
use serde_json::{Value, json};

use super::patiently;
use crate::cli::remote::Server;
use crate::cli::{Failure, part};

/// What a server knows of the accounts it was asked for; each is asked for once.
pub struct Residents<'a> {
    server: &'a Server,
    known: HashMap<String, Result<(), Value>>,
}

impl<'a> Residents<'a> {
    pub fn of(server: &'a Server) -> Residents<'a> {
        Residents { server, known: HashMap::new() }
    }

    /// Whether there is such an account, and it is open; or what the server would say of it, as it would.
    pub fn look_up(&mut self, account: &str) -> Result<&Result<(), Value>, Failure> {
        Ok(match self.known.entry(account.to_owned()) {
            Entry::Occupied(it) => it.into_mut(),
            Entry::Vacant(it) => it.insert(ask(self.server, account)?),
        })
    }
}

fn ask(server: &Server, account: &str) -> Result<Result<(), Value>, Failure> {
    match patiently(|| server.try_get(&format!("/v1/accounts/{}", part(account)))) {
        Ok(found) if found["closed_at"].is_null() => Ok(Ok(())),
        Ok(_) => {
            let refusal = Refusal::AccountClosed;
            Ok(Err(json!({"code": refusal.code(), "detail": refusal.to_string()})))
        }
        Err(trouble) if is_missing(&trouble.problem) => Ok(Err(trouble.problem)),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Whether it was said that there is no such account, and not that it is closed.
pub fn is_missing(problem: &Value) -> bool {
    problem["code"] == Refusal::AccountNotFound.code()
}
