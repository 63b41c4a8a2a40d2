//! Which store: a file of this machine's, or a PostgreSQL that several nodes share.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::postgres::Postgres;
use store::sqlite::{Options, Sqlite};
use store::{Movable, Store};

/// Where the store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    Sqlite(PathBuf),
    /// Its URL, which may have a password in it.
    Postgres(String),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// The URL of the store that is meant: of the command line, of the environment, of a file. A directory that the command
/// line names is a store of its own, whatever is said elsewhere.
pub fn url(flag: Option<String>, data_dir: Option<&Path>, of_file: Option<String>) -> Option<String> {
    if flag.is_some() || data_dir.is_some() {
        return flag;
    }
    of_environment().or(of_file)
}

/// The store that the environment names.
pub fn of_environment() -> Option<String> {
    std::env::var("SCRIP_DATABASE_URL").ok().filter(|it| !it.is_empty())
}

impl Database {
    /// What `url` names; a file in `data_dir` where it names nothing.
    ///
    /// # Errors
    /// When the URL is not of a store that this program has.
    pub fn named(url: Option<&str>, data_dir: &Path) -> Result<Database, String> {
        let Some(url) = url else { return Ok(Database::Sqlite(data_dir.join("scrip.db"))) };
        if ["postgres://", "postgresql://"].iter().any(|it| url.starts_with(it)) {
            return Ok(Database::Postgres(url.to_owned()));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Database::Sqlite(path.into())),
            _ => {
                let kind = url.split(':').next().unwrap_or(url);
                Err(format!("SCRIP_DATABASE_URL: `{kind}…` is neither sqlite:PATH nor postgres://…"))
            }
        }
    }

    /// Opens it, making what is missing.
    ///
    /// # Errors
    /// Says where, and why not.
    pub fn open(&self) -> Result<Arc<dyn Store>, String> {
        Ok(self.open_whole()?)
    }

    /// Opens it, to move all that is in it or to fill it.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_whole(&self) -> Result<Arc<dyn Movable>, String> {
        let failed = |it: store::Fault| format!("cannot open {}: {it}", self.shown());
        match self {
            Database::Postgres(url) => Ok(Arc::new(Postgres::open(url).map_err(failed)?)),
            Database::Sqlite(path) => {
                if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
                    std::fs::create_dir_all(directory)
                        .map_err(|it| format!("cannot make {}: {it}", directory.display()))?;
                }
                Ok(Arc::new(Sqlite::open(path, Options::default()).map_err(failed)?))
            }
        }
    }

    /// Its name for people: without a password.
    pub fn shown(&self) -> String {
        match self {
            Database::Sqlite(path) => path.display().to_string(),
            Database::Postgres(url) => {
                let place = url.split_once("://").map_or(&**url, |it| it.1);
                let place = place.rsplit_once('@').map_or(place, |it| it.1);
                format!("postgres://{}", place.split('?').next().unwrap_or(place))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let database = Database::named(Some("postgres://ada:secret@db/scrip?sslmode=require"), Path::new("."));
        assert_eq!(database.map(|it| it.shown()), Ok("postgres://db/scrip".to_owned()));
    }
}
