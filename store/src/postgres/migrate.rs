//! Brings the database's schema to the newest step. A step once released is never edited.
//!
//! Steps come in two kinds, so that programs of two versions can serve at once: those that only add something leave
//! the programs of before working, those that take away say which program is the oldest that can do without. A program
//! serves a schema that is newer than itself as long as no step has said otherwise.
//!
//! Several nodes that start at once take turns at the row of a step: whoever inserts it does the step, the others wait
//! for that, and find it done.
use super::session::Session;
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
];

pub const DISTRIBUTE: &str = include_str!("../../migrations/postgres_distributed.sql");

const TABLE: &str = "create table if not exists schema_steps (step bigint primary key, oldest bigint not null)";
pub const DONE: &str = "select coalesce(max(step), 0), coalesce(max(oldest), 0) from schema_steps";
pub const CLAIM: &str = "insert into schema_steps (step, oldest) values ($1, $2) on conflict do nothing";
/// Is it Citus, and are the tables spread?
pub const IS_CITUS: &str = "select count(*) from pg_extension where extname = 'citus'";
pub const IS_DISTRIBUTED: &str = "select count(*) from pg_dist_partition where logicalrelid = 'journal'::regclass";

/// Takes the steps that the database has not had, of the first `known_max`.
///
/// # Errors
/// When it has had steps which this program is too old for.
pub async fn migrate(session: &Session, known_max: usize) -> Result<(), Trouble> {
    let steps = &STEPS[..known_max.min(STEPS.len())];
    // Two that make the table at once may meet in the catalogue: then it is there.
    match session.run(DOING, TABLE).await {
        Ok(()) | Err(Trouble::Taken(_)) => {}
        Err(trouble) => return Err(trouble),
    }
    let found = session.query(DOING, DONE, &[]).await?;
    let (done, oldest): (i64, i64) = (super::rows::column(&found[0], 0)?, super::rows::column(&found[0], 1)?);
    let known = i64::try_from(steps.len()).expect("a few steps");
    if known < oldest {
        let why = format!(
            "the database has schema {done}, which needs a program that knows {oldest}; this one knows {known}: \
             use a newer Scrip"
        );
        return Err(Fault::new(DOING, why).into());
    }
    for (number, step) in (1_i64..).zip(steps).skip(usize::try_from(done).unwrap_or(usize::MAX)) {
        session.run(DOING, "begin").await?;
        // Whoever inserts first does the step; the others wait here until it is committed.
        let claimed = session.execute_all(DOING, &[(CLAIM, vec![&number, &step.oldest])], None).await?;
        if claimed == [1] {
            session.run(DOING, step.statements).await?;
        }
        session.run(DOING, "commit").await?;
    }
    Ok(())
}

/// Whether the tables are spread over several machines.
pub async fn is_distributed(session: &Session) -> Result<bool, Trouble> {
    let is_any = |rows: Vec<tokio_postgres::Row>| Ok::<_, Fault>(0 < super::rows::column::<i64>(&rows[0], 0)?);
    if !is_any(session.query(DOING, IS_CITUS, &[]).await?)? {
        return Ok(false);
    }
    Ok(is_any(session.query(DOING, IS_DISTRIBUTED, &[]).await?)?)
}

/// Spreads the tables over the machines of a Citus cluster; nothing where they are.
///
/// # Errors
/// When the database is not a Citus cluster's coordinator.
pub async fn distribute(session: &Session) -> Result<(), Trouble> {
    let found = session.query(DOING, IS_CITUS, &[]).await?;
    if super::rows::column::<i64>(&found[0], 0)? == 0 {
        let why = "the database has no Citus extension: `create extension citus` on the coordinator and every worker";
        return Err(Fault::new("spreading the tables", why).into());
    }
    if is_distributed(session).await? {
        return Ok(());
    }
    session.run("spreading the tables", &format!("begin; {DISTRIBUTE} commit")).await
}
