//! The trail: an account's last few charges, in the row that says how far it is.
//!
//! Several nodes at one account each find, nearly every time, that others were there. What most of them did is a plain
//! charge, which changes a book in four numbers; twenty bytes of it stand in the row that is read anyway, so that a
//! book at hand is moved on without the journal, whose rows are twenty times as long. It is a shortcut and nothing
//! else: whoever cannot follow it reads the journal.
//!
//! Each step names its version. So a trail that somebody did not add to, because what they did is no plain charge or is
//! too much, does not lead to the book's version, and is not followed.
use std::sync::Arc;

use billing::id::Place;
use billing::ledger::{Balance, Book, Draw, Origin, Pot, Transaction, What, Work};
use billing::money::Credits;
use billing::rating::{Price, Usage};
use billing::time::Timestamp;

use crate::Post;
use crate::verify::moved_on;

/// Steps of one commit that are written down: whoever does more takes a snapshot soon.
const STEPS_MAX: usize = 8;

/// The steps of one commit to an account, one after another; empty when a book cannot be moved on by them.
pub fn steps(posts: &[&Post]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if posts.len() <= STEPS_MAX && posts.iter().all(|it| is_plain(it)) {
        posts.iter().for_each(|it| write(&mut bytes, &it.transaction));
    }
    bytes
}

/// Whether a transaction is a charge of which a book keeps nothing but what was drawn and what is owed.
fn is_plain(post: &Post) -> bool {
    let Transaction { place, what, notices, .. } = &*post.transaction;
    let What::Charged { draws, closing: None, settled: None, .. } = what else { return false };
    let is_own = |it: &Draw| it.grant.place().account == place.account;
    notices.is_empty() && post.book.budgets().is_empty() && draws.iter().all(is_own)
}

fn write(bytes: &mut Vec<u8>, transaction: &Transaction) {
    let What::Charged { draws, owed, .. } = &transaction.what else { unreachable!("it is plain") };
    number(bytes, transaction.place.version);
    signed(bytes, transaction.at.millis());
    number(bytes, draws.len() as u64);
    for draw in draws {
        let pot = match draw.pot {
            Pot::Free => 0,
            Pot::Held => 1,
            Pot::Expired => 2,
        };
        number(bytes, draw.grant.place().version << 2 | pot);
        signed(bytes, draw.credits.micros());
    }
    let Balance { posted, held, accrued, debt } = transaction.after;
    [*owed, posted, held, accrued, debt].into_iter().for_each(|it| signed(bytes, it.micros()));
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// The sign as the lowest bit, so that what is small is short on either side of zero.
fn signed(bytes: &mut Vec<u8>, it: i64) {
    number(bytes, ((it << 1) ^ (it >> 63)).cast_unsigned());
}

/// Moves `book` on to `version` by what the trail says. None when it does not lead from the one to the other.
pub fn followed(book: &Arc<Book>, version: u64, trail: &[u8]) -> Option<Arc<Book>> {
    let mut book = Arc::clone(book);
    let mut rest = trail;
    while !rest.is_empty() {
        let transaction = read(&mut rest, &book)?;
        if book.version < transaction.place.version && !moved_on(&mut book, &transaction) {
            return None;
        }
    }
    (book.version == version).then_some(book)
}

/// The next step, as a transaction that does to the book what the one it tells of did.
fn read(rest: &mut &[u8], book: &Book) -> Option<Transaction> {
    let place = Place { account: book.account, version: read_number(rest)? };
    let at = Timestamp::from_millis(read_signed(rest)?);
    let count = read_number(rest)?;
    let mut draws = Vec::new();
    for _ in 0..count {
        let (grant, credits) = (read_number(rest)?, Credits::from_micros(read_signed(rest)?));
        let pot = [Pot::Free, Pot::Held, Pot::Expired].get(usize::try_from(grant & 3).ok()?).copied()?;
        let found = book.grants().iter().find(|it| it.id.place().version == grant >> 2);
        match found {
            Some(grant) => draws.push(Draw { grant: grant.id, credits, pot }),
            // What is long passed may have used up a grant that the book has forgotten.
            None if place.version <= book.version => {}
            None => return None,
        }
    }
    let mut amount = || read_signed(rest).map(Credits::from_micros);
    let owed = amount()?;
    let after = Balance { posted: amount()?, held: amount()?, accrued: amount()?, debt: amount()? };
    let credits = draws.iter().map(|it| it.credits).sum::<Credits>() + owed;
    let what =
        What::Charged { work: Arc::new(nameless(at, credits)), credits, draws, owed, closing: None, settled: None };
    Some(Transaction { place, at, origin: Origin::default(), what, after, notices: Vec::new() })
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read_signed(rest: &mut &[u8]) -> Option<i64> {
    let number = read_number(rest)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// Work of which nothing is known; a book without budgets keeps nothing of it.
fn nameless(at: Timestamp, credits: Credits) -> Work {
    Work {
        usage: Usage { meter: "".into(), quantities: Vec::new(), dimensions: Vec::new() },
        price: Price { credits, lines: Vec::new(), rate_card: 0 },
        project: None,
        actor: None,
        resource: None,
        occurred_at: at,
        hour: at.hour_start(0),
        quote: None,
        metadata: None,
        evidence: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for it in [0, 1, -1, 63, 64, -64, -65, 1 << 40, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            signed(&mut bytes, it);
            let mut rest = &bytes[..];
            assert_eq!((read_signed(&mut rest), rest), (Some(it), &[][..]));
            assert_eq!(read_signed(&mut &bytes[..bytes.len() - 1]), None);
        }
    }
}
