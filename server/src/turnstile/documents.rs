//! Versions of the documents that ride along with a group, which no read may find yet.
use std::collections::HashMap;

use billing::id::AccountNumber;
use store::Document;

#[derive(Default)]
pub struct Versions(HashMap<(AccountNumber, String, String), u64>);

impl Versions {
    pub fn of(&self, document: &Document) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&name(document)).copied()
    }

    pub fn keep(&mut self, document: &Document) {
        self.0.insert(name(document), document.version);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

fn name(it: &Document) -> (AccountNumber, String, String) {
    (it.account, it.kind.clone(), it.id.clone())
}
