//! Shares: what there is room for is bounded for all accounts together, and for those at one account more narrowly.
//!
//! Must never know what takes the room. Invariant: an account holds no more than its share, and what it holds is given
//! back when whatever took it is done with.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use billing::id::Name;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// What each account that holds any of it holds.
type Held = Arc<Mutex<HashMap<Name, usize>>>;

#[derive(Debug)]
pub struct Shares {
    all: Arc<Semaphore>,
    held: Held,
    /// The most that one account may hold.
    most: usize,
}

/// Goes to wherever it is needed: who asked for it may have gone long before that is done with it.
#[derive(Debug)]
pub struct Share {
    _of_all: OwnedSemaphorePermit,
    held: Held,
    account: Name,
    count: usize,
}

impl Shares {
    pub fn of(all: usize, most: usize) -> Shares {
        Shares { all: Arc::new(Semaphore::new(all)), held: Arc::default(), most }
    }

    /// Room for somebody of an account; busy where there is none, of all or of theirs.
    pub fn take(&self, account: &Name, count: usize) -> Result<Share, Problem> {
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        // Theirs first: what one account is refused takes the room of nobody else, not for an instant.
        let mut held = lock(&self.held);
        let before = held.get(account).copied().unwrap_or_default();
        if self.most.saturating_sub(before) < count {
            return Err(Problem::busy_with_own());
        }
        let of_all = Arc::clone(&self.all).try_acquire_many_owned(permits).map_err(|_| Problem::busy())?;
        held.insert(account.clone(), before + count);
        Ok(Share { _of_all: of_all, held: Arc::clone(&self.held), account: account.clone(), count })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(&self.account) {
            *count -= self.count;
            if *count == 0 {
                held.remove(&self.account);
            }
        }
    }
}

fn lock(held: &Held) -> MutexGuard<'_, HashMap<Name, usize>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_share_and_gives_it_back() {
        let shares = Shares::of(200, 66);
        let take = |account: &str, count| shares.take(&account.parse().expect("a name"), count);
        let large = take("ada", 65).expect("what is largest fits");
        assert!(take("ada", 65).is_err(), "another of the same account does not");
        let small = take("ada", 1).expect("what is small does");
        let others = ["bob", "eve"].map(|it| take(it, 65).expect("there is more"));
        assert!(take("zoe", 65).is_err() && take("zoe", usize::MAX / 2).is_err(), "of all there is so much");
        drop((large, small, others));
        assert!(lock(&shares.held).is_empty(), "nothing is kept of who holds nothing");
        assert_eq!(shares.all.available_permits(), 200);
    }
}
