//! Numbers of the audit log's lines, given without asking anybody.
//!
//! "One more than the newest" is what all nodes would want at once: whoever wrote a line while another did would wait
//! for that one's commit, find its number taken, and begin anew with all that was to be written beside the line. So
//! each node counts by the clock and says in the last bits who it is. Lines of one node are in the order in which they
//! were written, those of several in that of their clocks.
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};

use billing::time::Timestamp;

/// Numbers of one millisecond; should a node want more, it is ahead of its clock for a moment.
const WITHIN_BITS: u32 = 4;
/// Nodes tell themselves apart by chance. Two that say the same meet only in the same number, and then one tries again.
const NODE_BITS: u32 = 16;

pub struct Numbering {
    /// The newest number, without the node.
    last: AtomicI64,
    node: i64,
}

impl Numbering {
    pub fn new() -> Numbering {
        let random = RandomState::new().build_hasher().finish();
        let node = i64::try_from(random >> (u64::BITS - NODE_BITS)).expect("a few bits");
        Numbering { last: AtomicI64::new(0), node }
    }

    /// What comes is beyond `newest`.
    pub fn follow(&self, newest: i64) {
        self.last.fetch_max(newest >> NODE_BITS, Ordering::Relaxed);
    }

    /// The number of a line of this instant.
    pub fn next(&self, at: Timestamp) -> i64 {
        let earliest = at.millis() << WITHIN_BITS;
        let after = |last: i64| earliest.max(last + 1);
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        after(last.unwrap_or_else(|last| last)) << NODE_BITS | self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_whatever_the_clock_says() {
        let numbering = Numbering::new();
        numbering.follow(7 << NODE_BITS);
        let instants = [0, 5, 5, 5, 3, 1_800_000_000_000, 1_800_000_000_000, 4];
        let numbers = instants.map(|it| numbering.next(Timestamp::from_millis(it)));
        assert!(7 << NODE_BITS < numbers[0] && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let beside = Numbering { last: AtomicI64::new(0), node: numbering.node ^ 1 };
        assert!(!numbers.contains(&beside.next(Timestamp::from_millis(5))));
    }

    #[test]
    fn numbers_of_the_next_centuries_fit() {
        let numbering = Numbering::new();
        let year_2200 = Timestamp::from_millis(7_258_118_400_000);
        assert!(0 < numbering.next(year_2200) && numbering.next(year_2200) < i64::MAX);
    }
}
