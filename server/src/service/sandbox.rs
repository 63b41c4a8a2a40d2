//! A sandbox's clock, moved by whoever tries things out.
use billing::Refusal;
use billing::time::{Span, Timestamp};

use super::Error;
use super::house_requests::{HouseKey, Under};
use super::order::Fingerprint;
use crate::app::App;

/// The furthest the test clock moves at once.
const ADVANCE_MAX: Span = Span::DAY.times(3_660);

impl App {
    /// Moves the clock forward, and does what has become due. Says what time it was then, and whether its key did that
    /// before.
    pub async fn advance_clock(&self, to: Timestamp, under: Option<&Under>) -> Result<(Timestamp, bool), Error> {
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
        self.clock.advance(span);
        self.settle_all().await?;
        let now = self.now();
        let note: Vec<_> = under.iter().map(|it| it.led_to(&now.millis().to_string())).collect();
        self.keep(&note)?;
        Ok((now, false))
    }
}
