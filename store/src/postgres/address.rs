//! Where the database is and how it is talked to: a `postgres://` URL, with words of our own beside libpq's.
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::tls::{self, Tls};
use crate::Fault;

const DOING: &str = "reading the database's URL";

/// What every session is told. Each statement is short and finds its rows by key, so a plan never depends on how many
/// rows the planner thinks there are; and rows are locked in the order their keys are given.
const SESSION: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_bitmapscan=off \
                       -c jit=off -c synchronous_commit=on -c default_transaction_isolation=read\\ committed";

/// What may be chosen, as `name=number` in the URL's query, and its default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that commit: each carries one transaction at a time. `committers` of them commit groups.
    pub connections: usize,
    /// Groups of the turnstile that are committed at once.
    pub committers: usize,
    /// Connections that many readers share.
    pub readers: usize,
    /// After this long the server gives a statement up, or a lock, or a session that stopped in the middle.
    pub statement_timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { connections: 10, committers: 4, readers: 4, statement_timeout_ms: 15_000 }
    }
}

#[derive(Clone)]
pub struct Address {
    pub config: Config,
    pub tls: Option<Tls>,
    pub options: Options,
    /// All that is read is of one moment, and nothing is written.
    pub is_one_moment: bool,
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is not one, or has a word nobody knows.
    pub fn parse(url: &str) -> Result<Address, Fault> {
        let mut options = Options::default();
        let mut authority = None;
        let mut verifies = false;
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut rest: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|it| !it.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("connections", it) => options.connections = number(it)?,
                ("committers", it) => options.committers = number(it)?,
                ("readers", it) => options.readers = number(it)?,
                ("statement_timeout_ms", it) => options.statement_timeout_ms = number(it)? as u64,
                ("sslrootcert", it) => authority = Some(PathBuf::from(it.replace("%2F", "/"))),
                // What is asked to be encrypted is always checked to be whom it says: these are one.
                ("sslmode", "verify-full" | "verify-ca" | "require") => verifies = true,
                _ => rest.push(pair),
            }
        }
        // One more than groups: what is not a group must get its turn.
        options.connections = options.connections.max(options.committers + 2);
        let plain = if rest.is_empty() { place.to_owned() } else { format!("{place}?{}", rest.join("&")) };
        let mut config: Config = plain.parse().map_err(|it: tokio_postgres::Error| {
            let why = std::error::Error::source(&it).map_or_else(|| it.to_string(), ToString::to_string);
            Fault::new(DOING, why)
        })?;
        if verifies {
            config.ssl_mode(SslMode::Require);
        }
        settle(&mut config, &options);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector(authority.as_deref())?),
        };
        Ok(Address { config, tls, options, is_one_moment: false })
    }
}

impl Address {
    /// The same database, where a statement may take as long as it takes.
    pub fn unhurried(mut self) -> Address {
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        let own = self.config.get_options().unwrap_or_default();
        let own = format!("{own} -c statement_timeout=0 -c idle_in_transaction_session_timeout=0");
        self.config.options(own);
        self.options.statement_timeout_ms = DAY_MS;
        self
    }

    /// The same database, to be read as it is at one moment: by one connection, since a moment is a transaction's.
    pub fn at_one_moment(mut self) -> Address {
        let own = self.config.get_options().unwrap_or_default();
        // Whoever looks through a whole database thinks between two questions.
        let own = format!("{own} -c idle_in_transaction_session_timeout=0");
        self.config.options(own);
        self.options.readers = 1;
        self.is_one_moment = true;
        self
    }
}

fn number(text: &str) -> Result<usize, Fault> {
    let number = text.parse().ok().filter(|it| (1..=1_000_000).contains(it));
    number.ok_or_else(|| Fault::new(DOING, format!("`{text}` is not a number from 1 to 1 000 000")))
}

fn settle(config: &mut Config, options: &Options) {
    let own = config.get_options().unwrap_or_default();
    let limit = options.statement_timeout_ms;
    let timeouts =
        format!("-c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit}");
    config.options(format!("{SESSION} {timeouts} {own}"));
    if config.get_application_name().is_none() {
        config.application_name("scrip");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    // A machine that vanished says nothing: without these a commit would wait for it for a quarter of an hour.
    config.tcp_user_timeout(Duration::from_millis(limit));
    config.keepalives_idle(Duration::from_secs(10));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_words_are_taken_and_libpqs_are_passed_on() {
        let url = "postgres://ada:pw@db.example/scrip?committers=8&sslmode=verify-full&target_session_attrs=read-write";
        let address = Address::parse(url).unwrap();
        assert_eq!((address.options.committers, address.options.connections), (8, 10));
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert!(address.tls.is_some());
        assert!(address.config.get_options().unwrap().contains("statement_timeout=15000"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, why) in [
            ("postgres://db/scrip?committers=0", "`0` is not a number"),
            ("postgres://db/scrip?sslmode=require&sslrootcert=/nowhere.pem", "/nowhere.pem"),
            ("postgres://db:port/scrip", "port"),
            ("postgres://db/scrip?commiters=2", "commiters"),
        ] {
            let said = Address::parse(url).err().unwrap().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
