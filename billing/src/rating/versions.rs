//! All versions of the rate card, each with the time from which it holds.
//!
//! Invariant: versions and times rise together. So a usage is priced by the card that was in force when it happened,
//! however late it arrives, and no price changes behind anybody's back.
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::RateCard;
use crate::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub struct RateCards {
    /// Oldest first.
    cards: Vec<Arc<RateCard>>,
}

/// Why a card may not follow the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAfter {
    Version { latest: u32 },
    Latest { latest: Timestamp },
    Now { now: Timestamp },
}

impl NotAfter {
    /// The field of the card at fault.
    pub fn field(&self) -> &'static str {
        match self {
            NotAfter::Version { .. } => "version",
            NotAfter::Latest { .. } | NotAfter::Now { .. } => "effective_at",
        }
    }
}

impl fmt::Display for NotAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAfter::Version { latest } => write!(f, "must be {}: version {latest} is the latest", latest + 1),
            NotAfter::Latest { .. } => f.write_str("must be later than that of the latest version"),
            NotAfter::Now { .. } => f.write_str("must not be in the past: prices never change behind anybody's back"),
        }
    }
}

impl RateCards {
    /// The first card may hold from any time: nothing was priced before it.
    pub fn new(first: RateCard) -> RateCards {
        RateCards { cards: Vec::from([Arc::new(first)]) }
    }
    /// Cards read back from the store, oldest first. Panics when they do not rise: the store is then not ours.
    pub fn restore(cards: Vec<RateCard>) -> RateCards {
        let rise = |it: &[RateCard]| it[0].version() < it[1].version() && it[0].effective_at() < it[1].effective_at();
        assert!(cards.windows(2).all(rise), "stored rate cards rise in version and time");
        RateCards { cards: cards.into_iter().map(Arc::new).collect() }
    }
    /// The card that holds at `at`; none before the first takes effect.
    pub fn in_force(&self, at: Timestamp) -> Option<&Arc<RateCard>> {
        let begun = self.cards.partition_point(|it| it.effective_at() <= at);
        self.cards.get(begun.checked_sub(1)?)
    }
    pub fn version(&self, version: u32) -> Option<&Arc<RateCard>> {
        self.cards.iter().find(|it| it.version() == version)
    }
    pub fn latest(&self) -> Option<&Arc<RateCard>> {
        self.cards.last()
    }
    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<RateCard>> {
        self.cards.iter()
    }
    /// Whether `next` may follow at `now`; changes nothing, for a dry run.
    pub fn admits(&self, next: &RateCard, now: Timestamp) -> Result<(), NotAfter> {
        let Some(latest) = self.latest() else { return Ok(()) };
        if next.version() != latest.version() + 1 {
            return Err(NotAfter::Version { latest: latest.version() });
        }
        if next.effective_at() <= latest.effective_at() {
            return Err(NotAfter::Latest { latest: latest.effective_at() });
        }
        if next.effective_at() < now {
            return Err(NotAfter::Now { now });
        }
        Ok(())
    }
    pub fn add(&mut self, next: RateCard, now: Timestamp) -> Result<(), NotAfter> {
        self.admits(&next, now)?;
        self.cards.push(Arc::new(next));
        Ok(())
    }
}
