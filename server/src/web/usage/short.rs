//! What is said of a list of entries that is shorter than it could be, and how one goes on.
//!
//! Invariant: that there is nothing is said only where all of the range was looked at.
use super::show;
use crate::service::EntryPage;

pub struct Short {
    pub text: String,
    /// Where the search goes on.
    pub further: Option<String>,
}

impl Short {
    /// Of a page that could have had `limit` entries; `at` is the address from a cursor on.
    pub fn of(page: &EntryPage, limit: usize, is_newest: bool, at: impl Fn(&str) -> String) -> Option<Short> {
        let looked_at = show::thousands(page.looked_at as u64);
        let among = format!("the {} {looked_at} entries", if is_newest { "newest" } else { "next" });
        let text = match (page.entries.len(), page.next) {
            (0, None) if is_newest => "No entries in this range.".to_owned(),
            (0, None) => "No more entries in this range.".to_owned(),
            (0, Some(_)) => format!("Nothing that fits the range and the filters among {among}."),
            (count, Some(_)) if count < limit => format!("No more that fits the range and the filters among {among}."),
            _ => return None,
        };
        Some(Short { text, further: page.next.map(|it| at(&it.to_string())) })
    }
}
