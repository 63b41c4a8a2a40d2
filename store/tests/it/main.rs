//! What every store promises, checked on each. One function a promise.
mod make;
mod scratch;

use make::{Desk, account, minute};
use scratch::Scratch;
use store::{CommitError, NameHash, Store};

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let scratch = Scratch::new();
    let mut desk = Desk::new(1);
    let store = scratch.open();
    store.commit(&[desk.grant(1000, minute(0)), desk.charge(30, minute(1), Some("a"))]).unwrap();
    store.commit(&[desk.charge(20, minute(2), Some("b"))]).unwrap();
    let check = |store: &dyn Store| {
        let recalled = store.recall(&[NameHash::key(account(1), "b"), NameHash::key(account(1), "c")], &[account(1)]);
        let recalled = recalled.unwrap();
        assert_eq!(recalled.named, [Some(desk.posted[2].place), None]);
        assert_eq!(recalled.books, [Some(desk.book.clone())]);
        let newest: Vec<_> = desk.posted.iter().rev().cloned().collect();
        assert_eq!(store.transactions(account(1), u64::MAX, 10).unwrap(), newest);
        assert_eq!(store.granting(account(1), u64::MAX, 10).unwrap(), desk.posted[..1]);
        assert_eq!(store.usage(account(1), minute(-60), minute(60)).unwrap().len(), 1);
    };
    check(&store);
    drop(store);
    let store = scratch.open();
    check(&store);
    let mut other = Desk::new(1);
    assert!(matches!(store.commit(&[other.grant(5, minute(0))]), Err(CommitError::Stale)));
}
