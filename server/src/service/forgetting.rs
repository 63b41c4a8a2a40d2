//! What was told and is over is remembered for a while and then no more, so that a platform that hears much does not
//! keep all of it for ever.
//!
//! Must never know what was told. Invariants: only what is at rest is forgotten; a notice is remembered for long after
//! what was made of it, so that nothing is told anew of a cause that comes again.
use billing::time::{Span, Timestamp};
use store::{Change, Document};

use super::documents::Kept;
use super::webhook_endpoints::Endpoint;
use super::{Error, deliveries, emails, notices};
use crate::app::App;

/// How long deliveries and e-mails are remembered after their last try.
const TOLD_FOR: Span = Span::DAY.times(90);
/// How long after that a deleted endpoint has nothing left to forget, unless all nodes stood still for that long.
const SLACK: Span = Span::DAY.times(30);
/// How long each of those has its turn to be asked for all the same.
const TURN: Span = Span::MINUTE;
/// How long notices are remembered after they were spread: longer than any payment provider or platform repeats itself.
const NOTICES_FOR: Span = Span::DAY.times(400);

/// Documents of one commit.
const AT_ONCE: usize = 200;

impl App {
    /// Forgets some of what has been over for long, and says whether there may be more of it.
    pub fn forget(&self) -> Result<bool, Error> {
        let now = self.now();
        let mut over: Vec<Document> = Vec::new();
        for (kind, lasts) in self.passing(now)? {
            let room = AT_ONCE - over.len();
            if 0 < room {
                over.extend(self.store.documents_at_rest(&kind, now - lasts, room)?);
            }
        }
        let is_more = over.len() == AT_ONCE;
        // In one order, whoever else forgets the same.
        over.sort_unstable_by(|a, b| (a.account, &a.kind, &a.id).cmp(&(b.account, &b.kind, &b.id)));
        let changes: Vec<Change> = over.into_iter().map(Change::Forget).collect();
        // Overtaken by another node, or by somebody who sends one of them again: then the rest has its turn next time.
        Ok(!changes.is_empty() && self.keep(&changes)? && is_more)
    }

    /// Kinds of documents that pass, and how long each is remembered.
    fn passing(&self, now: Timestamp) -> Result<Vec<(String, Span)>, Error> {
        let mut kinds: Vec<(String, Span)> = Vec::new();
        kinds.extend(notices::PASSING.map(|it| (it.to_owned(), NOTICES_FOR)));
        kinds.extend(emails::PASSING.map(|it| (it.to_owned(), TOLD_FOR)));
        // Of endpoints deleted long ago, which become ever more, one is asked for at a time.
        let is_empty = |it: &Kept<Endpoint>| it.body.is_deleted && it.document.at + TOLD_FOR + SLACK <= now;
        let (mut empty, mut asked): (Vec<_>, Vec<_>) = self.all_endpoints()?.into_iter().partition(is_empty);
        let turn = usize::try_from(now.millis() / TURN.millis()).unwrap_or_default();
        if !empty.is_empty() {
            asked.push(empty.swap_remove(turn % empty.len()));
        }
        kinds.extend(asked.iter().map(|it| (deliveries::kind_of(&it.document.id), TOLD_FOR)));
        Ok(kinds)
    }
}
