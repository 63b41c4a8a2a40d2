//! Who is being told at this moment, and who does not listen: so that an endpoint that is slow or dead takes nothing
//! from the others.
//!
//! Kept in this process alone: another one finds out for itself, at the price of a few tries.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use billing::time::{Span, Timestamp};

use super::courier::Courier;
use super::target::Reach;

/// Notices under way at once, to all and to one.
const UNDER_WAY_MAX: usize = 256;
const UNDER_WAY_EACH_MAX: usize = 16;

/// After so many failures in a row an endpoint rests, and then is tried with one notice at a time.
const FAILURES: u32 = 3;
const FIRST_REST: Span = Span::SECOND.times(30);
const LONGEST_REST: Span = Span::MINUTE.times(30);

#[derive(Debug)]
pub struct Desk {
    pub courier: Arc<Courier>,
    standings: Arc<Standings>,
}

type Standings = Mutex<HashMap<String, Standing>>;

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    under_way: usize,
    failures: u32,
    rests_until: Timestamp,
}

/// Leave to tell one something. Its place is given back when it is dropped, however that comes about.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    standings: Arc<Standings>,
    endpoint: String,
}

impl Desk {
    pub fn new(reach: Reach) -> Desk {
        Desk { courier: Arc::new(Courier::new(reach)), standings: Arc::default() }
    }

    /// Those who rest, having failed too often: nothing of theirs need be looked at.
    pub fn resting(&self, now: Timestamp) -> Vec<String> {
        let standings = lock(&self.standings);
        standings.iter().filter(|it| now < it.1.rests_until).map(|it| it.0.clone()).collect()
    }

    /// Until when one rests; long ago for those who do not.
    pub fn rests_until(&self, endpoint: &str) -> Timestamp {
        lock(&self.standings).get(endpoint).map_or(Timestamp::EPOCH, |it| it.rests_until)
    }

    /// Leave to send a notice now, if there is any.
    pub fn admit(&self, endpoint: &str, now: Timestamp) -> Option<Turn> {
        self.admit_few(endpoint, UNDER_WAY_EACH_MAX, now)
    }

    /// Like [`Desk::admit`], for one that takes no more than `few` at once.
    pub fn admit_few(&self, endpoint: &str, few: usize, now: Timestamp) -> Option<Turn> {
        let mut standings = lock(&self.standings);
        let under_way: usize = standings.values().map(|it| it.under_way).sum();
        let standing = standings.entry(endpoint.to_owned()).or_default();
        let most = if FAILURES <= standing.failures { 1 } else { few };
        let may = standing.rests_until <= now && standing.under_way < most && under_way < UNDER_WAY_MAX;
        standing.under_way += usize::from(may);
        may.then(|| Turn { standings: Arc::clone(&self.standings), endpoint: endpoint.to_owned() })
    }
}

impl Turn {
    /// Nothing more is sent there before `until`: it asked for that.
    pub fn leave_alone(&self, until: Timestamp) {
        let mut standings = lock(&self.standings);
        let standing = standings.entry(self.endpoint.clone()).or_default();
        standing.rests_until = standing.rests_until.max(until);
    }

    /// Ends it, with whether it was heard.
    pub fn end(self, is_heard: bool, now: Timestamp) {
        let mut standings = lock(&self.standings);
        let standing = standings.entry(self.endpoint.clone()).or_default();
        if is_heard {
            (standing.failures, standing.rests_until) = (0, Timestamp::EPOCH);
            return;
        }
        standing.failures = standing.failures.saturating_add(1);
        if FAILURES <= standing.failures {
            let doublings = (standing.failures - FAILURES).min(16);
            let rest = FIRST_REST.times(1 << doublings).min(LONGEST_REST);
            standing.rests_until = standing.rests_until.max(now + rest);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut standings = lock(&self.standings);
        if let Some(standing) = standings.get_mut(&self.endpoint) {
            standing.under_way -= 1;
        }
    }
}

fn lock(standings: &Standings) -> MutexGuard<'_, HashMap<String, Standing>> {
    standings.lock().expect("no holder panics")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::EPOCH + Span::SECOND.times(seconds)
    }

    #[test]
    fn who_does_not_listen_rests_longer_each_time_and_comes_back_at_once() {
        let desk = Desk::new(Reach::Public);
        let fail = |seconds| {
            desk.admit("a", at(seconds)).expect("it may be told").end(false, at(seconds));
        };
        (1..=3).for_each(fail);
        assert!(desk.admit("a", at(32)).is_none());
        assert_eq!((desk.resting(at(32)), desk.resting(at(33))), (vec!["a".to_owned()], vec![]));
        assert_eq!((desk.rests_until("a"), desk.rests_until("b")), (at(33), at(0)));
        assert!(desk.admit("b", at(4)).is_some(), "another is not concerned");
        // One at a time, until it listens.
        let turn = desk.admit("a", at(33)).unwrap();
        assert!(desk.admit("a", at(33)).is_none());
        turn.end(false, at(34));
        assert!(desk.admit("a", at(93)).is_none());
        desk.admit("a", at(94)).unwrap().end(true, at(94));
        let turns: Vec<Turn> = (0..UNDER_WAY_EACH_MAX).map(|_| desk.admit("a", at(95)).unwrap()).collect();
        assert!(desk.admit("a", at(95)).is_none());
        drop(turns);
        assert!(desk.admit("a", at(95)).is_some(), "places are given back without a word");
        let turn = desk.admit("b", at(100)).unwrap();
        turn.leave_alone(at(200));
        turn.end(false, at(100));
        assert!(desk.admit("b", at(199)).is_none(), "though it has failed but once");
        assert!(desk.admit("b", at(200)).is_some());
    }
}
