//! Idempotency keys, as the first version of the provider's interface has them: the first answer under a key is
//! given again for a day, failures included; another request under it is refused; while the first is under way, so is
//! every other.
use std::collections::HashMap;

use serde_json::Value;

use crate::problem::Problem;

/// Seconds that a key is remembered.
const LIVES: i64 = 24 * 3600;

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub retry_after: Option<u32>,
    pub is_replay: bool,
}

impl Answer {
    pub fn of(outcome: Result<Value, Problem>) -> Answer {
        let (status, body) = match outcome {
            Ok(body) => (200, body),
            Err(problem) => (problem.status, serde_json::json!({"error": problem.error})),
        };
        Answer { status, body, retry_after: None, is_replay: false }
    }
}

#[derive(Debug)]
struct Kept {
    /// Method, path and form of the first request.
    request: String,
    at: i64,
    /// None while it is under way.
    answer: Option<Answer>,
}

#[derive(Debug, Default)]
pub struct Keys {
    known: HashMap<String, Kept>,
}

impl Keys {
    /// Opens a key for a request, or gives what was answered under it.
    ///
    /// # Errors
    /// When it came with another request, or its first is under way.
    pub fn begin(&mut self, key: &str, request: &str, now: i64) -> Result<Option<Answer>, Problem> {
        if let Some(kept) = self.known.get(key).filter(|it| now < it.at + LIVES) {
            if kept.request != request {
                return Err(Problem::other_request_under_key(key));
            }
            let answer = kept.answer.clone().ok_or_else(|| Problem::key_in_use(key))?;
            return Ok(Some(Answer { is_replay: true, ..answer }));
        }
        self.known.insert(key.to_owned(), Kept { request: request.to_owned(), at: now, answer: None });
        Ok(None)
    }

    /// Closes a key with its answer; `None` forgets that it was ever used.
    pub fn end(&mut self, key: &str, answer: Option<&Answer>) {
        match (self.known.get_mut(key), answer) {
            (Some(kept), Some(answer)) => kept.answer = Some(answer.clone()),
            (Some(_), None) => drop(self.known.remove(key)),
            (None, _) => {}
        }
    }
}
