//! The clock: the only place in the server that asks what time it is.
//!
//! In sandbox mode it can be moved forward, and everything that depends on time follows.
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use billing::time::{Span, Timestamp};

#[derive(Debug)]
pub struct Clock {
    /// Milliseconds this clock is ahead of the machine's, or with a minus behind it. Only ever grows.
    ahead: AtomicI64,
    began: Instant,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::behind(Span::default())
    }
}

impl Clock {
    /// One that is so far behind the machine's, until it is moved: what led to the present can then be lived through.
    pub fn behind(span: Span) -> Clock {
        Clock { ahead: AtomicI64::new(-span.millis()), began: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the machine's clock is past 1970");
        let millis = i64::try_from(since.as_millis()).expect("the machine's clock is before the year 292 million");
        Timestamp::from_millis(millis + self.ahead.load(Ordering::Relaxed))
    }

    /// What time it is for the world outside, which knows nothing of a sandbox's clock.
    pub fn machine_now(&self) -> Timestamp {
        self.at_machine(self.now())
    }

    /// An instant of this clock as the world outside would call it.
    pub fn at_machine(&self, at: Timestamp) -> Timestamp {
        at - Span::from_millis(self.ahead.load(Ordering::Relaxed))
    }

    /// How long this clock has been there, which only ever grows: how old something is that is at hand, whatever time
    /// the machine is told it is meanwhile.
    pub fn ran(&self) -> Duration {
        self.began.elapsed()
    }

    /// What happens to the machine's clock when somebody sets it right.
    #[cfg(test)]
    pub fn set_back(&self, span: Span) {
        self.ahead.fetch_sub(span.millis(), Ordering::Relaxed);
    }

    /// Moves the clock forward by `span`; what is already ahead stays ahead.
    pub fn advance(&self, span: Span) {
        assert!(Span::default() <= span, "a clock does not go back");
        self.ahead.fetch_add(span.millis(), Ordering::Relaxed);
    }

    /// Moves the clock until it is ahead of the machine's by `span`, unless it is by more.
    pub fn be_ahead_by(&self, span: Span) {
        self.ahead.fetch_max(span.millis(), Ordering::Relaxed);
    }
}
