//! A throw-away PostgreSQL cluster, for as long as a value lives. It ends with this process, however that ends: the
//! script that keeps it waits for the end of its standard input.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::process::{Outcome, Problem, command, root};

/// The tests look here for a cluster to make their schemas in.
pub const VARIABLE: &str = "SCRIP_TEST_POSTGRES_URL";

pub struct Cluster {
    child: Child,
    url: String,
}

impl Cluster {
    /// Starts a cluster with some settings of `postgresql.conf`, unless the operator has named one.
    pub fn start(settings: &[&str]) -> Outcome<Option<Cluster>> {
        if std::env::var_os(VARIABLE).is_some() {
            return Ok(None);
        }
        let failed = |error| Problem::new(format!("cannot start PostgreSQL: {error}"));
        let mut child = command("sh")
            .arg(root().join("xtask/postgres/cluster.sh"))
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut url = String::new();
        let out = child.stdout.take().expect("its output was asked for");
        BufReader::new(out).read_line(&mut url).map_err(failed)?;
        let cluster = Cluster { child, url: url.trim_end().to_owned() };
        if cluster.url.is_empty() {
            return Err(Problem::new("PostgreSQL did not start; it said why above"));
        }
        Ok(Some(cluster))
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input tells it to stop; then it takes its files along.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
