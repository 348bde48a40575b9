//! The stores that can be tortured, a file each.

mod disconnect;
mod mysql;
mod postgres;
mod redis;
pub(crate) mod served;
mod sled;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::place::Subject;

/// The schemes there are.
const KNOWN: [&str; 7] = [
    "sqlite",
    "postgres",
    "pgbouncer",
    "mysql",
    "redis",
    "redis-cluster",
    "sled",
];

/// Where the stores of a run's own are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home<'p> {
    /// The folder of an embedded store's files.
    pub(crate) files: &'p Path,
    /// The folder in which a server has its own; none: where servers are that nobody cuts off from power.
    pub(crate) servers: Option<&'p Path>,
}

impl<'p> Home<'p> {
    /// A folder on a disk that stays.
    pub(crate) const fn of(files: &'p Path) -> Self {
        Self { files, servers: None }
    }
}

/// The store that `url` names. A scheme alone stands for a store of the run's own: in `home` if it is embedded, else on a
/// server that is started for it.
pub(crate) fn by_url(url: &str, home: Home<'_>) -> Result<Arc<dyn Subject>> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "sqlite" => Ok(Arc::new(sqlite::Sqlite::new(rest, home.files))),
        "sled" => Ok(Arc::new(sled::Sled::new(rest, home.files))),
        "postgres" | "postgresql" | "pgbouncer" => Ok(Arc::new(postgres::Postgres::new(url, home)?)),
        "mysql" | "mariadb" => Ok(Arc::new(mysql::MySql::new(url, home)?)),
        "redis" | "rediss" | "redis-cluster" | "rediss-cluster" => {
            Ok(Arc::new(redis::Redis::new(url, home)?))
        }
        _ => bail!(
            "the torture knows no store {scheme:?}; known are {}",
            KNOWN.join(", ")
        ),
    }
}

/// Whether the store's files are where the run puts them, not where a server has its own.
pub(crate) fn is_embedded(url: &str) -> bool {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    matches!(scheme, "sqlite" | "sled")
}

/// Whether the store's files can be put on a disk of the run's own: they are not where somebody else has put them.
pub(crate) fn is_own(url: &str) -> bool {
    is_embedded(url) || !url.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_alone_is_a_store_of_the_runs_own() {
        let home = Home::of(Path::new("/run/of/mine"));
        let url = |url: &str| by_url(url, home).map(|subject| subject.url().to_owned());
        assert_eq!(url("sqlite").unwrap(), "sqlite:/run/of/mine/tasks.db");
        assert_eq!(url("sqlite:/other/x.db").unwrap(), "sqlite:/other/x.db");
        assert_eq!(url("sled").unwrap(), "sled:/run/of/mine/tasks");
        assert_eq!(url("redis://host/1").unwrap(), "redis://host/1");
        assert_eq!(url("pgbouncer://host/db").unwrap(), "pgbouncer://host/db");
        assert!(url("paper:x").is_err());
        assert!(is_embedded("sled") && !is_embedded("postgres://host/db"));
        assert!(is_own("sled") && is_own("postgres") && !is_own("postgres://host/db"));
    }
}
