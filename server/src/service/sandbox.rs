//! A sandbox's clock, moved by whoever tries things out.
//!
//! How far it is ahead is kept in the store: what was written at an instant would otherwise lie in the future of the
//! process when it is started again, and of other nodes.
use billing::Refusal;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, Document, Fault};

use super::documents::{Kept, read};
use super::house_requests::{HouseKey, Under};
use super::order::Fingerprint;
use super::{By, Error};
use crate::app::App;

/// The furthest the test clock moves at once.
const ADVANCE_MAX: Span = Span::DAY.times(3_660);
/// The only document of its kind, and its kind.
const CLOCK: &str = "clock";

/// How far the clock of everybody on this store is ahead of the machine's, in milliseconds; with a minus behind it.
#[derive(Serialize, Deserialize)]
struct Ahead {
    millis: i64,
}

impl App {
    /// Moves the clock forward, and does what has become due. Says what time it was then, and whether its key did that
    /// before.
    pub async fn advance_clock(
        &self,
        to: Timestamp,
        under: Option<&Under>,
        by: &By,
    ) -> Result<(Timestamp, bool), Error> {
        let mut request = Fingerprint::of("advance");
        request.number(to.millis().unsigned_abs());
        let under = under.map(|it| HouseKey::of(it, &request));
        if let Some(told) = self.led_before(under.as_ref())? {
            let then = told.parse().map_or_else(|_| self.now(), Timestamp::from_millis);
            return Ok((then, true));
        }
        let span = Span::from_millis(to.millis() - self.now().millis());
        if span < Span::default() || ADVANCE_MAX < span {
            let why = "must be ahead of now, by ten years at most: a clock does not go back";
            return Err(Refusal::invalid("to", why).into());
        }
        let detail = jiff::Timestamp::from_millisecond(to.millis()).map_or_else(|_| String::new(), |it| it.to_string());
        let noted = by.noted(self.now(), "test_clock.advance", "test clock".to_owned(), detail);
        loop {
            let moved = [self.clock_moved_to(to)?];
            if self.keep(&moved.into_iter().chain(noted.clone()).collect::<Vec<_>>())? {
                break;
            }
        }
        self.follow_clock()?;
        self.settle_all().await?;
        let now = self.now();
        let note: Vec<_> = under.iter().map(|it| it.led_to(&now.millis().to_string())).collect();
        self.keep(&note)?;
        Ok((now, false))
    }

    /// What moves the clock of all: two who move it to the same instant at once move it there once.
    fn clock_moved_to(&self, to: Timestamp) -> Result<Change, Fault> {
        let millis = to.millis() - self.clock.machine_now().millis();
        let kept = match self.clock_kept()? {
            Some(mut kept) => {
                kept.body.millis = kept.body.millis.max(millis);
                kept
            }
            None => Kept::new(Document::HOUSE, CLOCK, CLOCK.to_owned(), Ahead { millis }),
        };
        Ok(kept.next(to, None))
    }

    fn clock_kept(&self) -> Result<Option<Kept<Ahead>>, Fault> {
        self.store.document(Document::HOUSE, CLOCK, CLOCK)?.map(read).transpose()
    }

    /// In a sandbox, moves the clock to where it was moved last, by this process before it was started again or by
    /// another.
    pub(crate) fn follow_clock(&self) -> Result<(), Fault> {
        if self.settings().is_sandbox
            && let Some(kept) = self.clock_kept()?
        {
            self.clock.be_ahead_by(Span::from_millis(kept.body.millis));
        }
        Ok(())
    }
}
