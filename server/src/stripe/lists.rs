//! Lists, which the provider gives in parts: read to their end.
use serde_json::Value;

use super::form::Form;
use super::words::Failure;
use super::{Provider, read};

/// Things the provider gives at a time, and how many times it is asked: more than a customer makes in a day.
pub(super) const AT_A_TIME: u32 = 100;
pub(super) const PAGES_MAX: usize = 20;

impl Provider {
    /// All of a list, newest first: what is not in it is not there.
    pub(super) fn list(&self, path: &str, of: &[(&str, &str)]) -> Result<Vec<Value>, Failure> {
        let mut all: Vec<Value> = Vec::new();
        for _ in 0..PAGES_MAX {
            let query = of.iter().fold(Form::new(), |query, (name, value)| query.with(name, value));
            let after = all.last().and_then(read::reference);
            let mut list = self.wire.get(path, query.with("limit", AT_A_TIME).with_some("starting_after", after))?;
            let more = list["data"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let is_over = list["has_more"] != true || more.is_empty();
            all.extend(more);
            if is_over {
                return Ok(all);
            }
        }
        let detail = format!("more than {PAGES_MAX} pages of {path}");
        Err(Failure::Busy { after: super::CERTAIN_AFTER, detail })
    }
}
