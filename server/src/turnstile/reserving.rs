//! The thread of a store that others commit to as well: take the accounts, decide, commit, answer; one group after
//! another.
//!
//! Between taking and committing nobody else changes these accounts, so what is refused here was true, and what is
//! decided here is written. There are several of these threads, and each has accounts of its own: a group is decided
//! while others are being written.
use crossbeam_channel::Receiver;

use super::committer::Committer;
use super::decider::{Decider, gather};
use super::{Message, Ticket};

pub fn run(mut decider: Decider, committer: &Committer, waiting: &Receiver<Message>) {
    while let Ok(first) = waiting.recv() {
        let (tickets, is_last) = gather(first, waiting);
        if !tickets.is_empty() {
            serve(&mut decider, committer, tickets);
        }
        if is_last {
            return;
        }
    }
}

fn serve(decider: &mut Decider, committer: &Committer, tickets: Vec<Ticket>) {
    let reserved = match decider.reserve(&tickets) {
        Ok(reserved) => reserved,
        Err(fault) => return committer.fail(&fault, tickets),
    };
    let group = decider.decide_all(tickets);
    if group.changes.is_empty() {
        reserved.release();
        return committer.answer(group.served);
    }
    committer.commit(group, |it| reserved.commit(it));
}
