//! Instants as data. The clock itself lives in the shell; calendars and zones do too.
use core::fmt;
use core::ops::{Add, Sub};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const EPOCH: Timestamp = Timestamp(0);
    /// After everything; what does not end ends here.
    pub const NEVER: Timestamp = Timestamp(i64::MAX);

    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// The start of the hour this instant lies in, for a zone whose offset is `minutes_past` past a whole hour
    /// (0 for most; 30 for India, 45 for Nepal).
    pub const fn hour_start(self, minutes_past: i64) -> Timestamp {
        let shift = minutes_past * Span::MINUTE.0;
        Timestamp((self.0 + shift).div_euclid(Span::HOUR.0) * Span::HOUR.0 - shift)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(i64);

impl Span {
    pub const SECOND: Span = Span(1000);
    pub const MINUTE: Span = Span(60 * 1000);
    pub const HOUR: Span = Span(60 * 60 * 1000);
    pub const DAY: Span = Span(24 * 60 * 60 * 1000);

    pub const fn from_millis(millis: i64) -> Span {
        Span(millis)
    }
    pub const fn millis(self) -> i64 {
        self.0
    }
    pub const fn times(self, count: i64) -> Span {
        Span(self.0 * count)
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    /// Saturates: what would lie beyond the end of time is [`Timestamp::NEVER`].
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}
impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_start_where_the_zone_says() {
        let at = Timestamp::from_millis(Span::HOUR.millis() * 5 + Span::MINUTE.millis() * 50);
        let past = |hours: i64, minutes: i64| Timestamp::EPOCH + Span::HOUR.times(hours) + Span::MINUTE.times(minutes);
        assert_eq!(at.hour_start(0), past(5, 0));
        assert_eq!(at.hour_start(30), past(5, 30));
        assert_eq!(at.hour_start(45), past(5, 15));
        assert_eq!(Timestamp::from_millis(-1).hour_start(0), Timestamp::EPOCH - Span::HOUR);
    }
}
