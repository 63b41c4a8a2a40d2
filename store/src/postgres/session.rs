//! One connection to the database, and the statements it has been told.
//!
//! Statements are prepared before they are run, so that several run in one go arrive in the order they were given:
//! the driver sends what it is polled with, and the server answers in that order.
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::RwLock;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::address::Address;
use super::tls;
use super::trouble::{Trouble, fault, is_echo, trouble};
use crate::Fault;

pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];
/// A statement and what it is given.
pub type Asked<'a> = (&'static str, Vec<&'a (dyn ToSql + Sync)>);

/// How many rows a statement touched.
pub type Touched = Result<u64, tokio_postgres::Error>;

pub struct Session {
    client: Client,
    /// Ends when the connection has.
    driver: JoinHandle<()>,
    statements: RwLock<HashMap<&'static str, Statement>>,
    /// Breaks of the pool when it was lent last.
    pub breaks: u64,
}

impl Session {
    /// Connects. The connection's own work is done on `runtime`.
    pub async fn open(address: Address, runtime: Handle) -> Result<Session, Fault> {
        const DOING: &str = "connecting to the database";
        let patience = address.config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(5));
        let driver = runtime.clone();
        let connecting = runtime.spawn(async move {
            let failed = |it: tokio_postgres::Error| {
                let fault = fault(DOING, &it);
                let why = fault.source.to_string();
                Fault { source: format!("{why}{}", tls::advice(&why)).into(), ..fault }
            };
            // A driver that ends says why to whoever waits for an answer.
            match address.tls {
                None => {
                    let (client, connection) = address.config.connect(NoTls).await.map_err(failed)?;
                    Ok::<_, Fault>((client, driver.spawn(async move { drop(connection.await) })))
                }
                Some(tls) => {
                    let (client, connection) = address.config.connect(tls).await.map_err(failed)?;
                    Ok((client, driver.spawn(async move { drop(connection.await) })))
                }
            }
        });
        let limited = {
            let _entered = runtime.enter();
            // Several hosts may be tried one after another.
            timeout(4 * patience, connecting)
        };
        let (client, driver) = match limited.await {
            Ok(connected) => connected.map_err(|it| Fault::new(DOING, it))??,
            Err(_) => return Err(Fault::away(DOING, "no answer in time")),
        };
        Ok(Session { client, driver, statements: RwLock::default(), breaks: 0 })
    }

    /// Closes it, and waits until what was sent has been answered and the server has let go.
    pub async fn end(self) {
        drop(self.client);
        // Why it ended was said to whoever waited for an answer.
        let _ = self.driver.await;
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Tells the server these statements, where it has not been told them.
    pub async fn prepare(&self, statements: &[&'static str]) -> Result<(), Trouble> {
        let is_new = |it: &&&'static str| !self.statements.read().expect("no holder panics").contains_key(**it);
        let new: Vec<&'static str> = statements.iter().filter(is_new).copied().collect();
        let prepared = join_all(new.iter().map(|it| self.client.prepare(it))).await;
        for (sql, statement) in new.into_iter().zip(prepared) {
            let statement = statement.map_err(|it| trouble("preparing a statement", &it))?;
            self.statements.write().expect("no holder panics").insert(sql, statement);
        }
        Ok(())
    }

    fn statement(&self, sql: &'static str) -> Statement {
        let statements = self.statements.read().expect("no holder panics");
        statements.get(sql).expect("statements are prepared before they are run").clone()
    }

    /// Rows that answer a statement.
    pub async fn query(&self, doing: &'static str, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Trouble> {
        self.prepare(&[sql]).await?;
        self.client.query(&self.statement(sql), params).await.map_err(|it| trouble(doing, &it))
    }

    /// Rows that answer each of several statements, sent in one go.
    pub async fn query_all(&self, doing: &'static str, asked: &[Asked<'_>]) -> Result<Vec<Vec<Row>>, Trouble> {
        self.prepare(&asked.iter().map(|it| it.0).collect::<Vec<_>>()).await?;
        let all = asked.iter().map(|(sql, params)| {
            let statement = self.statement(sql);
            async move { self.client.query(&statement, params).await }
        });
        first_trouble(doing, in_turn(all).await)
    }

    /// How many rows each of several statements touched, sent in one go, with `last` behind them.
    ///
    /// What `last` did counts only if all before it went well: in a transaction that has failed, `commit` is another
    /// word for `rollback`.
    pub async fn execute_all(
        &self,
        doing: &'static str,
        asked: &[Asked<'_>],
        last: Option<&str>,
    ) -> Result<Vec<u64>, Trouble> {
        self.execute_in_turn(doing, asked, Vec::<std::future::Ready<Touched>>::new(), last).await
    }

    /// How many rows a statement touched that the server has been told of. Sent when it is first asked.
    pub async fn execute(&self, sql: &'static str, params: Params<'_>) -> Touched {
        self.client.execute(&self.statement(sql), params).await
    }

    /// Like [`Session::execute_all`], with statements behind those that were asked which are still being made: the
    /// server works at one while the next is made.
    pub async fn execute_in_turn(
        &self,
        doing: &'static str,
        asked: &[Asked<'_>],
        made: Vec<impl Future<Output = Touched>>,
        last: Option<&str>,
    ) -> Result<Vec<u64>, Trouble> {
        self.prepare(&asked.iter().map(|it| it.0).collect::<Vec<_>>()).await?;
        let all = asked.iter().map(|(sql, params)| {
            let statement = self.statement(sql);
            async move { self.client.execute(&statement, params).await }
        });
        let ending = async {
            match last {
                Some(last) => self.client.batch_execute(last).await.map(|()| 0),
                None => Ok(0),
            }
        };
        let all = all.map(boxed).chain(made.into_iter().map(boxed)).chain([boxed(ending)]);
        let mut touched = first_trouble(doing, in_turn(all).await)?;
        touched.pop();
        Ok(touched)
    }

    /// Runs plain statements, such as `begin`.
    pub async fn run(&self, doing: &'static str, statements: &str) -> Result<(), Trouble> {
        self.client.batch_execute(statements).await.map_err(|it| trouble(doing, &it))
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

fn boxed<'a, T>(future: impl Future<Output = T> + 'a) -> Boxed<'a, T> {
    Box::pin(future)
}

/// Waits for all. Each is begun, which sends its statement, before the next is, so that the server is asked in this
/// order; the usual ways to join many begin them as it suits, which would let a `commit` overtake what it commits.
async fn in_turn<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    let mut first = 0;
    poll_fn(|context| {
        // Answers come in order: behind one that waits none is there. Only the first time each must be looked at.
        let is_beginning = first == 0 && done.iter().all(Option::is_none);
        for (future, done) in all.iter_mut().zip(&mut done).skip(first) {
            if done.is_some() {
                continue;
            }
            match future.as_mut().poll(context) {
                Poll::Ready(answer) => *done = Some(answer),
                Poll::Pending if is_beginning => {}
                Poll::Pending => break,
            }
        }
        first = done.iter().take_while(|it| it.is_some()).count();
        if first == all.len() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// All of the answers, or what went wrong first; what failed only because of it is passed over.
fn first_trouble<T>(doing: &'static str, answers: Vec<Result<T, tokio_postgres::Error>>) -> Result<Vec<T>, Trouble> {
    if let Some(error) = answers.iter().filter_map(|it| it.as_ref().err()).find(|it| !is_echo(it)) {
        return Err(trouble(doing, error));
    }
    answers.into_iter().map(|it| it.map_err(|it| trouble(doing, &it))).collect()
}
