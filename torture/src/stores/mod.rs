//! The stores that can be tortured, a file each.

mod sqlite;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::place::Subject;

/// The store that `url` names. A scheme alone stands for a store of the run's own, in `home` if it is embedded.
pub(crate) fn by_url(url: &str, home: &Path) -> Result<Arc<dyn Subject>> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "sqlite" => Ok(Arc::new(sqlite::Sqlite::new(rest, home))),
        _ => bail!("the torture knows no store {scheme:?}; known is sqlite"),
    }
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
        assert!(url("paper:x").is_err());
    }
}
