//! The stores that keep the promises. A store that is written later is one more line in `homes`.
use store::Movable;
use store::postgres::Postgres;
use store::sqlite::{Options, Sqlite};

use crate::cluster::Schema;
use crate::scratch::Scratch;

/// Where a store lives. Opening it again finds what was committed.
pub trait Home {
    fn open(&self) -> Box<dyn Movable>;
}

struct OnSqlite(Scratch, Options);

impl Home for OnSqlite {
    fn open(&self) -> Box<dyn Movable> {
        Box::new(Sqlite::open(&self.0.file(), self.1.clone()).unwrap())
    }
}

struct OnPostgres(Schema);

impl Home for OnPostgres {
    fn open(&self) -> Box<dyn Movable> {
        Box::new(Postgres::open(&self.0.url()).unwrap())
    }
}

/// Folds all the time, keeps next to nothing in memory.
pub fn restless() -> Options {
    let (books_max, heads_max) = (4, 4);
    Options {
        fold_at: 40,
        tail_max: 150,
        books_max,
        heads_max,
        slice_accounts: 3,
        log_bytes: 64 << 10,
        ..Options::default()
    }
}

pub fn homes() -> Vec<Box<dyn Home>> {
    vec![
        Box::new(OnSqlite(Scratch::new(), Options::default())),
        Box::new(OnSqlite(Scratch::new(), restless())),
        Box::new(OnPostgres(Schema::new())),
    ]
}
