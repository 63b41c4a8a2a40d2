//! What services need, whoever wrote it down: the weights shared by compose files and Scrip's own plans.
//!
//! Must never know: file formats. Invariant: names are sets, so writing a thing twice does not score twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::score::Score;

/// Weights in hundredths of a point.
const SERVER: u64 = 1000;
const SERVICE: u64 = 400;
/// On top of the service that it is.
const DATABASE: u64 = 300;
const VOLUME: u64 = 200;
const DOMAIN: u64 = 200;
const PORT: u64 = 100;
const HEALTH_CHECK: u64 = 100;
const VARIABLE: u64 = 20;
const REFERENCE: u64 = 50;
const DEPENDENCY: u64 = 100;

/// The countable parts of a design.
#[derive(Clone, Debug, Default)]
pub struct Design {
    pub servers: BTreeSet<String>,
    pub services: BTreeSet<String>,
    pub databases: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    pub domains: BTreeSet<String>,
    /// Service and port. A service's name is shared by all that it needs: it may be long, and they many.
    pub ports: BTreeSet<(Arc<str>, String)>,
    pub health_checks: BTreeSet<String>,
    /// Service and variable.
    pub variables: BTreeSet<(Arc<str>, String)>,
    /// From, to.
    pub references: BTreeSet<(Arc<str>, String)>,
    /// From, to.
    pub dependencies: BTreeSet<(Arc<str>, String)>,
}

impl Design {
    pub fn score(&self, kind: &'static str) -> Score {
        let mut score = Score::new(kind);
        score.resources = (self.servers.len() + self.services.len() + self.volumes.len() + self.domains.len()) as u64;
        let parts = [
            ("servers", self.servers.len(), SERVER),
            ("services", self.services.len(), SERVICE),
            ("databases and caches (beside being services)", self.databases.len(), DATABASE),
            ("volumes", self.volumes.len(), VOLUME),
            ("domains", self.domains.len(), DOMAIN),
            ("published ports", self.ports.len(), PORT),
            ("health checks", self.health_checks.len(), HEALTH_CHECK),
            ("environment variables", self.variables.len(), VARIABLE),
            ("references between services", self.references.len(), REFERENCE),
            ("dependencies", self.dependencies.len(), DEPENDENCY),
        ];
        for (what, count, weight) in parts {
            score.add(what, count as u64, weight);
        }
        score
    }
}

/// Whether an image is a database or a cache, by the last part of its name: `docker.io/library/postgres:17` is.
pub fn is_database(image: &str) -> bool {
    const NAMES: [&str; 34] = [
        "postgres",
        "postgresql",
        "postgis",
        "pgvector",
        "timescaledb",
        "cockroach",
        "yugabyte",
        "citus",
        "mysql",
        "mariadb",
        "percona",
        "mssql",
        "mongo",
        "mongodb",
        "couchdb",
        "couchbase",
        "cassandra",
        "scylla",
        "redis",
        "valkey",
        "dragonfly",
        "keydb",
        "memcached",
        "elasticsearch",
        "opensearch",
        "clickhouse",
        "influxdb",
        "neo4j",
        "qdrant",
        "milvus",
        "weaviate",
        "meilisearch",
        "typesense",
        "etcd",
    ];
    let path = image.split('@').next().unwrap_or(image);
    let last = path.rsplit('/').next().unwrap_or(path);
    let name = last.split(':').next().unwrap_or(last).to_ascii_lowercase();
    // `bitnami/postgresql-repmgr` is one, `adminer-mysql-ui` is not: the kind comes first in an image's name. A tool
    // around a database (`postgres-exporter`) is not one.
    let tool = ["exporter", "backup", "admin", "express", "commander", "ui", "web"];
    let mut words = name.split(['-', '_']);
    let first = words.next().unwrap_or_default();
    let starts = NAMES.contains(&first) || path.contains("mssql/server");
    starts && !words.any(|word| tool.contains(&word))
}
