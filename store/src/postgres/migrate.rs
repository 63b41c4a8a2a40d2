//! Brings the database's schema to the newest step. A step once released is never edited.
//!
//! Steps come in two kinds, so that programs of two versions can serve at once: those that only add something leave
//! the programs of before working, those that take away say which program is the oldest that can do without. A program
//! serves a schema that is newer than itself as long as no step has said otherwise.
//!
//! Several nodes that start at once take turns at the row of a step: whoever inserts it does the step, the others wait
//! for that, and find it done.
use super::session::{Params, Session};
use super::trouble::Trouble;
use crate::Fault;

const DOING: &str = "bringing the schema up to date";

struct Step {
    statements: &'static str,
    /// Steps that the oldest program knows which still works after this one.
    oldest: i64,
}

const STEPS: &[Step] = &[
    Step { statements: include_str!("../../migrations/postgres_1.sql"), oldest: 1 },
    Step { statements: include_str!("../../migrations/postgres_2.sql"), oldest: 1 },
    Step { statements: include_str!("../../migrations/postgres_3.sql"), oldest: 1 },
    Step { statements: include_str!("../../migrations/postgres_4.sql"), oldest: 1 },
];

pub const DISTRIBUTE: &str = include_str!("../../migrations/postgres_distributed.sql");

const TABLE: &str = "create table if not exists schema_steps (step bigint primary key, oldest bigint not null)";
pub const DONE: &str = "select coalesce(max(step), 0), coalesce(max(oldest), 0) from schema_steps";
pub const CLAIM: &str = "insert into schema_steps (step, oldest) values ($1, $2) on conflict do nothing";
/// Is it Citus, and are the tables spread?
pub const IS_CITUS: &str = "select count(*) from pg_extension where extname = 'citus'";
pub const IS_SPREAD: &str = "select count(*) from pg_dist_partition where logicalrelid = to_regclass($1::text)";

/// Whether the database has not had all of the first `known_max` steps.
///
/// # Errors
/// When it has had steps which this program is too old for.
pub async fn lacks_steps(session: &Session, known_max: usize) -> Result<bool, Trouble> {
    Ok(done(session, known(known_max)).await? < count(known(known_max)))
}

/// Takes the steps that the database has not had, of the first `known_max`.
///
/// # Errors
/// When it has had steps which this program is too old for.
pub async fn migrate(session: &Session, known_max: usize) -> Result<(), Trouble> {
    let steps = known(known_max);
    let (done, known) = (done(session, steps).await?, count(steps));
    let is_spread_already = 0 < done && done < known && is_distributed(session).await?;
    for (number, step) in (1_i64..).zip(steps).skip(usize::try_from(done).unwrap_or(usize::MAX)) {
        // Whoever inserts first does the step; the others wait here until it is committed, however long it takes.
        session.run(DOING, "begin; set local lock_timeout = 0").await?;
        let claimed = session.execute_all(DOING, &[(CLAIM, vec![&number, &step.oldest])], None).await?;
        // A step that waits for a table keeps everybody else from it.
        session.run(DOING, "set local lock_timeout to default").await?;
        if claimed == [1] {
            if is_spread_already {
                // One by one: Citus passes on to its machines all the text in which it finds what they shall do.
                for statement in step.statements.split_inclusive(";\n") {
                    session.run(DOING, statement).await?;
                }
                // What it has added has its place where the others are spread already.
                spread(session).await?;
            } else {
                session.run(DOING, step.statements).await?;
            }
        }
        session.run(DOING, "commit").await?;
    }
    Ok(())
}

fn known(known_max: usize) -> &'static [Step] {
    &STEPS[..known_max.min(STEPS.len())]
}

fn count(steps: &[Step]) -> i64 {
    i64::try_from(steps.len()).expect("a few steps")
}

/// How many steps the database has had.
///
/// # Errors
/// When one of them wants a program that knows more than `steps`.
async fn done(session: &Session, steps: &[Step]) -> Result<i64, Trouble> {
    // Two that make the table at once may meet in the catalogue: then it is there.
    match session.run(DOING, TABLE).await {
        Ok(()) | Err(Trouble::Taken(_)) => {}
        Err(trouble) => return Err(trouble),
    }
    let found = session.query(DOING, DONE, &[]).await?;
    let (done, oldest): (i64, i64) = (super::rows::column(&found[0], 0)?, super::rows::column(&found[0], 1)?);
    let known = count(steps);
    if known < oldest {
        let why = format!(
            "the database has schema {done}, which needs a program that knows {oldest}; this one knows {known}: \
             use a newer Scrip"
        );
        return Err(Fault::new(DOING, why).into());
    }
    Ok(done)
}

/// Whether the tables are spread over several machines.
pub async fn is_distributed(session: &Session) -> Result<bool, Trouble> {
    Ok(is_any(session, IS_CITUS, &[]).await? && is_spread(session, "journal").await?)
}

async fn is_spread(session: &Session, table: &str) -> Result<bool, Trouble> {
    is_any(session, IS_SPREAD, &[&table]).await
}

async fn is_any(session: &Session, count: &'static str, params: Params<'_>) -> Result<bool, Trouble> {
    let found = session.query(DOING, count, params).await?;
    Ok(0 < super::rows::column::<i64>(&found[0], 0)?)
}

/// Spreads the tables over the machines of a Citus cluster, those that are not.
///
/// # Errors
/// When the database is not a Citus cluster's coordinator.
pub async fn distribute(session: &Session) -> Result<(), Trouble> {
    if !is_any(session, IS_CITUS, &[]).await? {
        let why = "the database has no Citus extension: `create extension citus` on the coordinator and every worker";
        return Err(Fault::new("spreading the tables", why).into());
    }
    session.run("spreading the tables", "begin").await?;
    spread(session).await?;
    session.run("spreading the tables", "commit").await
}

/// Spreads what is not, in the transaction that is open.
async fn spread(session: &Session) -> Result<(), Trouble> {
    let mut wanted = String::new();
    for statement in DISTRIBUTE.split_inclusive(';').filter(|it| it.contains('(')) {
        let table = statement.split('\'').nth(1).expect("each statement names its table first");
        if !is_spread(session, table).await? {
            wanted.push_str(statement);
        }
    }
    session.run("spreading the tables", &wanted).await
}
