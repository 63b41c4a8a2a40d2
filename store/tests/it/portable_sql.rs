//! What the SQL for PostgreSQL must not use, so that the same statements run on Citus and whatever else speaks
//! PostgreSQL and shards by key: read from the sources, so that a statement written tomorrow is looked at too.
use std::fs;
use std::path::Path;

use store::postgres::Postgres;
use store::{Store, verify};

use crate::cluster::{Schema, citus};
use crate::town::{Random, Town};

/// A word, and why it is not to be had.
const REFUSED: &[(&str, &str)] = &[
    ("nextval", "a sequence is a place where all nodes meet"),
    (" serial", "a sequence is a place where all nodes meet"),
    ("bigserial", "a sequence is a place where all nodes meet"),
    ("generated always", "generated columns are not spread"),
    ("create trigger", "triggers are not spread"),
    ("advisory", "advisory locks hold on one machine"),
    ("listen ", "notices reach one machine"),
    ("notify ", "notices reach one machine"),
    ("lock table", "a table is on many machines"),
    ("deferrable", "constraints are checked where the row is"),
    ("references ", "a foreign key to accounts makes a hot account wait"),
    ("now()", "time is an argument"),
    ("clock_timestamp", "a statement has one time, by which an index can be searched"),
    ("current_timestamp", "time is an argument"),
    ("random()", "a statement means the same wherever it runs"),
    ("gen_random_uuid", "a statement means the same wherever it runs"),
    ("skip locked", "jobs are claimed by their version"),
];

/// Where one of them may stand once, because what it says is used on one machine alone.
const EXCEPTED: &[(&str, &str)] = &[("write.rs", "skip locked")];

/// Tables that are spread by account, and may only be reached by it.
const SPREAD: &[&str] = &["journal", "books", "snapshots", "usage", "projects", "quotes", "documents"];

/// Statements that look at every account, each for its reason: what is due anywhere, what an operator looks for in all
/// of them, and whole streams.
const EVERYWHERE: &[&str] = &[
    "where due_at <= $1",
    "where kind = $1 and due_at is not null",
    "where $1 < kind and due_at is not null",
    "where kind = $1 and due_at is null",
    "where kind = 'payment' and at < $1",
    "sum(version)",
    "where $1 < account",
    "where $1 <= account",
    "where (account, ",
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in ["src/postgres", "migrations"] {
        for entry in fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if directory == "src/postgres" || name.starts_with("postgres") {
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(15 < found.len(), "the sources were found");
    found
}

/// The text without comments, as one line of single spaces.
fn plain(text: &str) -> String {
    let code = |it: &str| {
        let it = it.trim();
        if it.starts_with("//") || it.starts_with("--") { String::new() } else { it.trim_end_matches('\\').to_owned() }
    };
    text.lines().map(code).collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[test]
fn no_statement_uses_what_does_not_run_everywhere() {
    for (name, text) in sources() {
        let text = plain(&text);
        for (word, why) in REFUSED {
            let most = usize::from(EXCEPTED.contains(&(&*name, *word)));
            assert!(text.matches(word).count() <= most, "{name} says `{word}`: {why}");
        }
    }
}

#[test]
fn keys_of_what_is_spread_begin_with_the_account() {
    let schema = sources().into_iter().find(|it| it.0 == "postgres_1.sql").unwrap().1;
    let schema = plain(&schema);
    for table in SPREAD {
        let start = schema.find(&format!("create table {table} (")).unwrap();
        let body = &schema[start..start + schema[start..].find(';').unwrap()];
        let is_keyed = body.contains("primary key (account") || body.contains("account bigint primary key");
        assert!(is_keyed && !body.contains("unique"), "{body}");
    }
}

/// Each statement in the sources: a literal that begins as one, up to its closing quote.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices('"') {
        let rest = &text[place + 1..];
        let begins = ["select ", "insert into ", "update ", "delete from "].iter().any(|it| rest.starts_with(it));
        let Some(end) = rest.find("\";").or_else(|| rest.find("\" )")).filter(|_| begins) else { continue };
        found.push(rest[..end].to_owned());
    }
    found
}

/// How statements end that are used on one machine alone, where a name leads to its row by itself.
const ON_ONE_MACHINE: &[&str] = &["where name = any($1)", "where fact = any($1)"];

/// Statements that are used on one machine alone, because they find rows by what they are joined with: on a cluster
/// each part of the table would be asked, over a connection of its own. None may lock rows of several accounts there,
/// and one that changes several waits at each part for all others that do, until they have committed.
const JOINED: &[&str] = &[
    "known (account) join books b on b.account = known.account order by b.account for update of b",
    "b.version <> known.version",
    "account = span.owner",
    "account = wanted.owner",
    "books.account = new.account",
];

#[test]
fn what_is_spread_is_reached_by_account() {
    let mut looked_at = 0;
    for (name, text) in sources().iter().filter(|it| it.0.ends_with(".rs")) {
        for statement in statements(&plain(text)) {
            let words: Vec<&str> = statement.split([' ', '(', ')', ',']).collect();
            let is_spread =
                words.windows(2).any(|it| ["from", "update", "join"].contains(&it[0]) && SPREAD.contains(&it[1]));
            if !is_spread
                || ON_ONE_MACHINE.iter().any(|it| statement.ends_with(it))
                || JOINED.iter().chain(EVERYWHERE).any(|it| statement.contains(it))
            {
                continue;
            }
            looked_at += 1;
            assert!(["account = $1", "account = any("].iter().any(|it| statement.contains(it)), "{name}: {statement}");
            let is_of_one = statement.contains("account = $1");
            let takes_locks = statement.contains("for update") || statement.starts_with("update ");
            assert!(is_of_one || !takes_locks, "{name}: rows of several accounts at once: {statement}");
        }
    }
    assert!(10 <= looked_at, "{looked_at} statements were found");
}

/// Citus sends rows that a query makes to a machine by copying them, and keeps to itself why one was refused; a row of
/// values goes where it belongs. So whatever writes many rows of a query has a sibling that writes one.
#[test]
fn rows_can_be_sent_each_by_itself() {
    let sources = sources();
    let all: Vec<String> =
        sources.iter().filter(|it| it.0.ends_with(".rs")).flat_map(|it| statements(&plain(&it.1))).collect();
    let mut looked_at = 0;
    for statement in all.iter().filter(|it| it.starts_with("insert into ") && it.contains("unnest(")) {
        let table = statement.split(' ').nth(2).unwrap();
        let sibling = |it: &&String| it.starts_with(&format!("insert into {table} ")) && it.contains(" values ($1");
        assert!(!SPREAD.contains(&table) || all.iter().any(|it| sibling(&it)), "{statement}");
        looked_at += 1;
    }
    assert!(4 <= looked_at, "{looked_at} statements were found");
}

/// The schema's steps are taken statement by statement, each up to a semicolon at the end of a line.
#[test]
fn no_comment_of_a_step_ends_like_a_statement() {
    for (name, text) in sources().iter().filter(|it| it.0.ends_with(".sql")) {
        let ends = |it: &&str| it.contains("--") && it.ends_with(';');
        assert_eq!(text.lines().find(ends), None, "{name}");
    }
}

/// On a cluster each table is spread by account or copied to every machine: none was forgotten.
#[test]
fn every_table_has_its_place_on_a_cluster() {
    let sources = sources();
    let text = |wanted: &str| plain(&sources.iter().find(|it| it.0 == wanted).unwrap().1);
    let distributed = text("postgres_distributed.sql");
    let steps = sources.iter().filter(|it| it.0.starts_with("postgres_") && it.0 != "postgres_distributed.sql");
    let mut tables = 0;
    for (_, step) in steps.map(|it| (&it.0, plain(&it.1))) {
        for table in step.split("create table ").skip(1).map(|it| it.split(' ').next().unwrap()) {
            let verb = if SPREAD.contains(&table) { "create_distributed_table" } else { "create_reference_table" };
            assert!(distributed.contains(&format!("{verb}('{table}'")), "{table} has no place");
            tables += 1;
        }
    }
    assert!(12 < tables, "{tables}");
}

/// What is read and written on a real cluster, where `SCRIP_TEST_CITUS_URL` names one. So are all other tests that take
/// their PostgreSQL from [`Schema`], then.
#[test]
fn a_citus_cluster_keeps_the_promises() {
    if citus().is_none() {
        eprintln!("not run: SCRIP_TEST_CITUS_URL names no cluster");
        return;
    }
    let schema = Schema::new();
    let store = Postgres::open(&schema.url()).unwrap();
    let mut town = Town::new(u64::from(std::process::id()), 60);
    for _ in 0..60 {
        store.commit(&town.changes(60)).unwrap();
    }
    for (number, book) in &town.record.books {
        assert_eq!(store.recall(&[], &[*number]).unwrap().books, [Some(book.clone())]);
    }
    town.record.compare(&store, &mut Random(1), 10);
    assert!(verify(&store, &mut |_, _| {}).unwrap().is_clean());
}

/// A step that adds a table where the others are spread already finds it a place.
#[test]
fn what_a_later_step_adds_is_spread_too() {
    if citus().is_none() {
        eprintln!("not run: SCRIP_TEST_CITUS_URL names no cluster");
        return;
    }
    let schema = Schema::new();
    let mut hand = schema.hand();
    // As if the second step, which has not been taken, nor any after it, had brought these.
    for statement in [
        "select undistribute_table('replies')",
        "select undistribute_table('quotes')",
        "drop index fingerprints_of",
        "drop index documents_due_of_kind",
        "drop index documents_at_rest",
        "delete from schema_steps where 2 <= step",
    ] {
        hand.batch_execute(statement).unwrap();
    }
    drop(Postgres::open(&schema.url()).unwrap());
    let kinds = "select string_agg(partmethod::text, '' order by logicalrelid::text) from pg_dist_partition \
                 where logicalrelid in ('replies'::regclass, 'quotes'::regclass)";
    let kinds: String = hand.query_one(kinds, &[]).unwrap().get(0);
    assert_eq!(kinds, "hn", "quotes by account, replies on every machine");
}
