//! The two plain ways to charge on PostgreSQL, measured in the same run: what a team would write first. Neither checks
//! a key against all history, nor keeps usage, nor draws from several grants.
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use super::fill::Random;
use super::table::{grouped, per_second, row};

/// Where few ask at once, and where many do: those who charge one account wait for each other's locks.
pub const CONNECTIONS: [usize; 2] = [32, 128];

const SCHEMA: &str = "
    create table if not exists plain_balances (account bigint primary key, balance bigint not null);
    create table if not exists plain_charges (id bigserial primary key, account bigint not null, amount bigint not null,
        key text not null unique, at timestamptz not null default now());
    insert into plain_balances select number, 1000000000000 from generate_series(0, 99999) as number
        on conflict do nothing;
    create or replace function plain_charge(who bigint, much bigint, name text) returns bigint language plpgsql as $$
        declare rest bigint;
        begin
            update plain_balances set balance = balance - much where account = who and much <= balance
                returning balance into rest;
            if rest is null then raise exception 'insufficient'; end if;
            insert into plain_charges (account, amount, key) values (who, much, name);
            return rest;
        end $$;";

/// A way, and the charges a second it comes to on even load and on one account, at each number of `CONNECTIONS`.
pub struct Plain {
    name: &'static str,
    pub even: [u64; 2],
    pub hot: [u64; 2],
}

type Way = fn(&mut Client, i64, &str);
const WAYS: [(&str, Way); 2] = [("update and insert", by_statements), ("one function call", by_function)];

/// Makes their tables.
pub fn make(url: &str) {
    let mut hand = Client::connect(url, NoTls).expect("a connection");
    hand.batch_execute(SCHEMA).expect("the plain tables are made");
}

/// Measures each way, the function last.
pub fn measured(url: &str, lasts: Duration) -> Vec<Plain> {
    let measure = |(name, way): (&'static str, Way)| {
        let at = |accounts| CONNECTIONS.map(|connections| rate(url, connections, accounts, way, lasts));
        Plain { name, even: at(100_000), hot: at(1) }
    };
    WAYS.into_iter().map(measure).collect()
}

/// Prints a row for each way.
pub fn tell(measured: &[Plain]) {
    println!("the plain ways, each charge by itself");
    row(&["way", "connections", "even/s", "one acc./s"]);
    for way in measured {
        for (place, connections) in CONNECTIONS.into_iter().enumerate() {
            row(&[way.name, &connections.to_string(), &grouped(way.even[place]), &grouped(way.hot[place])]);
        }
    }
}

fn by_statements(client: &mut Client, account: i64, key: &str) {
    let mut transaction = client.transaction().expect("a transaction");
    let update = "update plain_balances set balance = balance - $2 where account = $1 and $2 <= balance";
    assert_eq!(transaction.execute(update, &[&account, &7_i64]).expect("an update"), 1);
    let insert = "insert into plain_charges (account, amount, key) values ($1, $2, $3)";
    transaction.execute(insert, &[&account, &7_i64, &key]).expect("an insert");
    transaction.commit().expect("a commit");
}

fn by_function(client: &mut Client, account: i64, key: &str) {
    client.query_one("select plain_charge($1, $2, $3)", &[&account, &7_i64, &key]).expect("a charge");
}

/// Charges a second.
fn rate(url: &str, connections: usize, accounts: usize, charge: Way, lasts: Duration) -> u64 {
    let began = Instant::now();
    let done: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = Client::connect(url, NoTls).expect("a connection");
                    let mut random = Random::new(seed() ^ number as u64);
                    let mut done = 0;
                    while began.elapsed() < lasts {
                        let account = i64::try_from(random.below(accounts)).expect("a small number");
                        let key = format!("{:016x}{:016x}", random.next(), random.next());
                        charge(&mut client, account, &key);
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().expect("no charge fails")).sum()
    });
    per_second(done, began.elapsed())
}

/// Another each time, so that no key comes twice.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}
