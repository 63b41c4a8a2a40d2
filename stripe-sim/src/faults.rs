//! What is to go wrong, and when: planned by a test, used up in order.
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Nothing has been done yet.
    Before,
    /// It is done.
    After,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Answered 500, which the key remembers.
    Broken,
    /// The connection closes without an answer.
    Dropped,
    /// Answered 429, perhaps with the seconds to wait.
    TooMany(Option<u32>),
    /// Answered 409: another request holds the object.
    Locked,
    /// Refused with this status, by the provider's door or, once it is done, by something in between.
    Refused(u16),
    /// Stays under way until released.
    Stalled,
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub when: When,
    pub what: What,
    /// `POST`; empty for any.
    method: String,
    /// What the path begins with; empty for any.
    path: String,
    /// Requests of this kind that pass first.
    skip: u64,
    times: u64,
}

impl Fault {
    /// `{"when": "before"|"after", "what": "500"|"drop"|"429"|"400"|"409"|"401"|"403"|"404"|"stall", "method"?,
    /// "path"?, "skip"?, "times"?, "retry_after"?}`
    pub fn read(said: &Value) -> Option<Fault> {
        let text = |member: &str| said[member].as_str().unwrap_or_default().to_owned();
        let when = match &*text("when") {
            "before" | "" => When::Before,
            "after" => When::After,
            _ => return None,
        };
        let what = match &*text("what") {
            "500" => What::Broken,
            "drop" => What::Dropped,
            "429" => What::TooMany(said["retry_after"].as_u64().and_then(|it| it.try_into().ok())),
            "409" => What::Locked,
            "400" => What::Refused(400),
            "401" => What::Refused(401),
            "403" => What::Refused(403),
            "404" => What::Refused(404),
            "stall" => What::Stalled,
            _ => return None,
        };
        // What is turned away at the door, or waits at it, has not been done.
        if when == When::After && !matches!(what, What::Broken | What::Dropped | What::Refused(_)) {
            return None;
        }
        let (skip, times) = (said["skip"].as_u64().unwrap_or(0), said["times"].as_u64().unwrap_or(1));
        Some(Fault { when, what, method: text("method"), path: text("path"), skip, times })
    }
}

#[derive(Debug, Default)]
pub struct Faults {
    planned: Vec<Fault>,
}

impl Faults {
    pub fn plan(&mut self, fault: Fault) {
        self.planned.push(fault);
    }

    pub fn clear(&mut self) {
        self.planned.clear();
    }

    /// What is to go wrong with this request.
    pub fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        let is_meant =
            |it: &Fault| path.starts_with(&it.path) && (it.method.is_empty() || it.method.eq_ignore_ascii_case(method));
        let index = self.planned.iter().position(is_meant)?;
        let fault = &mut self.planned[index];
        if 0 < fault.skip {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let taken = fault.clone();
        if fault.times == 0 {
            self.planned.remove(index);
        }
        Some(taken)
    }
}
