//! What time it is in the simulator: the machine's time, or one that stands until it is moved.
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's, and so many seconds ahead of it.
    Machine { ahead: i64 },
    /// Stands at this second.
    Stopped { at: i64 },
}

impl Clock {
    /// Seconds since 1970.
    pub fn now(self) -> i64 {
        match self {
            Clock::Stopped { at } => at,
            Clock::Machine { ahead } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the machine's clock is past 1970");
                ahead + i64::try_from(since.as_secs()).expect("the machine's clock is before the end of time")
            }
        }
    }

    pub fn advance(&mut self, seconds: i64) {
        match self {
            Clock::Machine { ahead } => *ahead += seconds,
            Clock::Stopped { at } => *at += seconds,
        }
    }
}
