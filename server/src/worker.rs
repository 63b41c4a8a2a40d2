//! The worker: loops over what is due, what the payment provider is asked for, what is to be counted, what is over, and
//! what others did. None waits for another.
//!
//! Holds and grants whose time is up are posted, so that the ledger shows them even where nobody asks; jobs are done.
//! Balances do not wait for it: a reader brings a book up to its own instant.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;
use crate::service::{Error, Underway};

/// How often what is due is looked for.
const EVERY: Duration = Duration::from_secs(1);
/// How soon after there were jobs.
const SOON: Duration = Duration::from_millis(200);
/// Accounts brought up to date in one go.
const AT_ONCE: usize = 1_000;
/// Jobs looked for in one pass.
const JOBS: usize = 200;

/// Does what may block beside what may not. That it panicked is a failure like any other: a loop that ended by it would
/// be missed by nobody.
async fn beside<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Error>
where
    T: Send + 'static,
    E: Into<Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await?.map_err(Into::into)
}

/// Runs until `stop` turns true. A pass that fails is logged, and the next one tries again.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let is_more = settle(&app).await.unwrap_or_else(|error| {
            tracing::error!(%error, "settling what is due failed");
            false
        });
        let done = app.work(JOBS);
        if is_more && !*stop.borrow() {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(pause_after(done)) => {}
            _ = stop.wait_for(|it| *it) => return,
        }
    }
}

fn pause_after(done: Result<usize, Error>) -> Duration {
    match done {
        // One job leads to another.
        Ok(count) if 0 < count => SOON,
        Ok(_) => EVERY,
        Err(error) => {
            tracing::error!(%error, "looking for jobs failed");
            EVERY
        }
    }
}

/// Does what the payment provider is asked for, until `stop` turns true and what was begun has ended: beside all else,
/// since it may take as long as it likes to answer.
pub async fn collect(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut underway = Underway::default();
    loop {
        let begun = tokio::select! {
            begun = app.collect(&mut underway, JOBS) => begun,
            _ = stop.wait_for(|it| *it) => break,
        };
        tokio::select! {
            () = tokio::time::sleep(pause_after(begun)) => {}
            _ = stop.wait_for(|it| *it) => break,
        }
    }
    while app.end_one(&mut underway).await {}
}

/// How long counting rests between two steps of it, each of which takes a millisecond or two: beside it people wait for
/// answers. Where very many accounts are busy, each waits for its turn and is then counted for as much less.
const REST: Duration = Duration::from_millis(15);

/// Counts the months, a little at a time, until `stop` turns true. A step that fails is logged, and tried again.
pub async fn keep_books(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let keeper = Arc::clone(&app);
        let is_more = beside(move || keeper.keep_books()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "counting months failed, and is tried again");
            false
        });
        tokio::select! {
            () = tokio::time::sleep(if is_more { REST } else { EVERY }) => {}
            _ = stop.wait_for(|it| *it) => return,
        }
    }
}

/// How often it is looked for what may be forgotten, and how soon again while there is more: what is forgotten at once
/// is as much as a commit holds well.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Forgets what has been over for long, a little at a time, until `stop` turns true.
pub async fn forget(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let forgetful = Arc::clone(&app);
        let is_more = beside(move || forgetful.forget()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "forgetting what is over failed, and is tried again");
            false
        });
        tokio::select! {
            () = tokio::time::sleep(if is_more { SOON } else { FORGET_EVERY }) => {}
            _ = stop.wait_for(|it| *it) => return,
        }
    }
}

/// Reads again what other processes changed of keys, prices and profiles, until `stop` turns true. In a loop of its
/// own: a pass of the worker takes as long as what is due does, and a key that was revoked opens nothing meanwhile.
pub async fn refresh(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let reader = Arc::clone(&app);
        let reread = beside(move || reader.refresh()).await;
        reread.unwrap_or_else(|error| tracing::error!(%error, "reading keys and prices again failed"));
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|it| *it) => return,
        }
    }
}

/// How often those who follow an account are told what other processes did.
const HEAR_EVERY: Duration = Duration::from_millis(500);

/// Listens for what other processes do to the accounts that somebody follows here, until `stop` turns true.
pub async fn listen(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(HEAR_EVERY) => {}
            _ = stop.wait_for(|it| *it) => return,
        }
        let ears = Arc::clone(&app);
        let heard = beside(move || ears.hear_others()).await;
        // Those who follow look by themselves now and then: nothing is lost but time.
        heard.unwrap_or_else(|error| tracing::warn!(%error, "looking for what other nodes did failed"));
    }
}

/// Posts what time has brought about, for a bounded number of accounts and as much as fits, and says whether there may
/// be more. What could not be posted waits, so that a failing store is not asked without pause.
pub async fn settle(app: &Arc<App>) -> Result<bool, Error> {
    app.tell_new_prices().await?;
    let reader = Arc::clone(app);
    let due = beside(move || reader.accounts_due(AT_ONCE)).await?;
    let settled = app.settle(due).await;
    Ok(settled.done == AT_ONCE || 0 < settled.unfinished)
}

#[cfg(test)]
mod tests {
    use store::Fault;

    use super::*;

    #[tokio::test]
    async fn a_step_that_panics_has_failed_and_ends_no_loop() {
        assert!(matches!(beside(|| Ok::<_, Fault>(7)).await, Ok(7)));
        assert!(matches!(beside(|| Err::<u8, _>(Fault::new("reading", "gone"))).await, Err(Error::Fault(_))));
        let panicked = beside(|| -> Result<u8, Fault> { panic!("a month of thirteen") }).await;
        let Err(Error::Fault(fault)) = panicked else { panic!("{panicked:?}") };
        assert!(fault.to_string().contains("a month of thirteen"), "{fault}");
    }
}
