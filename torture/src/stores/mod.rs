//! The stores that can be tortured, a file each.

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
const KNOWN: [&str; 5] = ["sqlite", "postgres", "mysql", "redis", "sled"];

/// The store that `url` names. A scheme alone stands for a store of the run's own: in `home` if it is embedded, else on a
/// server that is started for it.
pub(crate) fn by_url(url: &str, home: &Path) -> Result<Arc<dyn Subject>> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "sqlite" => Ok(Arc::new(sqlite::Sqlite::new(rest, home))),
        "sled" => Ok(Arc::new(sled::Sled::new(rest, home))),
        "postgres" | "postgresql" => Ok(Arc::new(postgres::Postgres::new(url)?)),
        "mysql" | "mariadb" => Ok(Arc::new(mysql::MySql::new(url)?)),
        "redis" => Ok(Arc::new(redis::Redis::new(url)?)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_alone_is_a_store_of_the_runs_own() {
        let home = Path::new("/run/of/mine");
        let url = |url: &str| by_url(url, home).map(|subject| subject.url().to_owned());
        assert_eq!(url("sqlite").unwrap(), "sqlite:/run/of/mine/tasks.db");
        assert_eq!(url("sqlite:/other/x.db").unwrap(), "sqlite:/other/x.db");
        assert_eq!(url("sled").unwrap(), "sled:/run/of/mine/tasks");
        assert_eq!(url("redis://host/1").unwrap(), "redis://host/1");
        assert!(url("paper:x").is_err());
        assert!(is_embedded("sled") && !is_embedded("postgres://host/db"));
    }
}
