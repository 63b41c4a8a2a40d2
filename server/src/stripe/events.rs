//! What happened at the provider, read from its own list: what notices missed.
use billing::time::Timestamp;

use super::form::Form;
use super::payments::AT_A_TIME;
use super::words::{Failure, Notice, RefusedFor};
use super::{Provider, read};

/// Answers of a hundred events that are read for one call.
const ANSWERS_MAX: usize = 50;

impl Provider {
    /// What happened from `from` on and before `until`, oldest first, cut at whole seconds. The provider keeps events
    /// for thirty days.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous. Refused when there are more than five thousand: ask for less at a time.
    pub fn events(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Notice>, Failure> {
        let mut newest_first: Vec<Notice> = Vec::new();
        for _ in 0..ANSWERS_MAX {
            let query = Form::new()
                .with("created[gte]", from.millis().div_euclid(1000))
                .with("created[lt]", until.millis().div_euclid(1000))
                .with("limit", AT_A_TIME)
                .with_some("starting_after", newest_first.last().map(|it| &it.reference));
            let list = self.wire.get("/v1/events", query)?;
            newest_first.extend(list["data"].as_array().into_iter().flatten().map(read::notice));
            if list["has_more"] != true {
                newest_first.reverse();
                return Ok(newest_first);
            }
        }
        let detail = "more events than one call reads".to_owned();
        Err(Failure::Refused { why: RefusedFor::Malformed, detail })
    }
}
