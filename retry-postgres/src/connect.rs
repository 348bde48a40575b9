//! Opening connections: their settings, and what the server must be like.

use std::time::Duration;

use retry_core::store::{StoreError, StoreErrorKind};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions as _, PgConnection, Row as _};

use crate::config::Config;
use crate::error::{Fault, Outcome};
use crate::queries::Queries;
use crate::wait;

/// The oldest release whose planner and statements the store is tested with.
pub(crate) const OLDEST_VERSION: u32 = 130_000;

/// Opens connections of one store.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    options: PgConnectOptions,
    /// Opening takes this long at most.
    limit: Duration,
    /// The server and the schema, as messages name them.
    place: String,
    /// The server's pages reach its disk whole, whatever its setting says.
    atomic_pages: bool,
}

/// Settings of every transaction, with their values.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// The settings under which the statements are planned and bounded. With generic plans and without the kinds of plan that
/// the statements never need, a statement has one plan at every batch size, whatever the statistics say: none that reads
/// a whole table, and none that changes at the sixth execution.
pub(crate) fn settings(statement: Duration, lock: Duration, idle: Duration) -> Settings {
    let millis = |span: Duration| span.as_millis().to_string();
    let fixed = [
        ("plan_cache_mode", "force_generic_plan"),
        ("jit", "off"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("search_path", "pg_catalog"),
    ];
    let mut settings: Settings = fixed.map(|(name, value)| (name, value.to_owned())).into();
    settings.push(("statement_timeout", millis(statement)));
    settings.push(("lock_timeout", millis(lock)));
    settings.push(("idle_in_transaction_session_timeout", millis(idle)));
    settings
}

impl Connector {
    pub(crate) fn new(config: &Config, place: String) -> Self {
        Self {
            options: config.options.clone().disable_statement_logging(),
            limit: config.timeouts.connect,
            place,
            atomic_pages: config.atomic_pages,
        }
    }

    /// The driver's options, for a connection that the driver keeps itself.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Opens a connection and checks the server behind it: after a failover it may be another one.
    pub(crate) async fn open(&self, queries: &Queries) -> Outcome<PgConnection> {
        let opening = async {
            let mut conn = self.options.connect().await?;
            let row = sqlx::raw_sql(queries.server.clone()).fetch_one(&mut conn).await?;
            check(&row, self.atomic_pages, &self.place)?;
            Ok::<_, Fault>(conn)
        };
        match wait::within(self.limit, opening).await {
            Ok(opened) => opened,
            Err(wait::Elapsed) => {
                let message = format!("{}: no connection within {:?}", self.place, self.limit);
                Err(StoreError::rejected(StoreErrorKind::Unavailable, message).into())
            }
        }
    }
}

/// What a server says about itself.
struct Facts {
    version: u32,
    is_standby: bool,
    is_read_only: bool,
    synchronous_commit: String,
    fsync: String,
    encoding: String,
    full_page_writes: String,
}

fn check(row: &PgRow, atomic_pages: bool, place: &str) -> Outcome<()> {
    let text = |column: usize| row.try_get_unchecked::<String, _>(column);
    let facts = Facts {
        version: text(0)?.parse().unwrap_or(0),
        is_standby: text(1)? == "true",
        is_read_only: text(2)? == "on",
        synchronous_commit: text(3)?,
        fsync: text(4)?,
        encoding: text(5)?,
        full_page_writes: text(6)?,
    };
    match refusal(&facts, atomic_pages) {
        Some((kind, reason)) => Err(StoreError::rejected(kind, format!("{place}: {reason}")).into()),
        None => Ok(()),
    }
}

/// Why a server cannot keep the promises, if it cannot. `Other`, not `Invalid`: connections are opened inside calls as well, whose
/// requests are not to blame for what a server is like after a failover, say.
fn refusal(facts: &Facts, atomic_pages: bool) -> Option<(StoreErrorKind, String)> {
    if facts.version < OLDEST_VERSION {
        let found = facts.version / 10_000;
        let reason = format!("the server is PostgreSQL {found}; the store needs 13 or newer");
        return Some((StoreErrorKind::Other, reason));
    }
    if facts.is_standby || facts.is_read_only {
        let reason = "the server is a standby or read-only; connect to the primary".to_owned();
        return Some((StoreErrorKind::ReadOnly, reason));
    }
    if facts.synchronous_commit == "off" {
        let reason = "`synchronous_commit` is off: the server answers before a commit is on its disk, so tasks could be \
                      lost; set it to `on` or `local` for this role or database";
        return Some((StoreErrorKind::Other, reason.to_owned()));
    }
    if facts.fsync == "off" {
        let reason = "`fsync` is off: a power cut may destroy the database; turn it on".to_owned();
        return Some((StoreErrorKind::Other, reason));
    }
    if facts.full_page_writes == "off" && !atomic_pages {
        let reason = "`full_page_writes` is off: a page that is written half when the power fails cannot be repaired, and with it \
                      tasks are lost; turn it on, or, where the server's file system writes a page whole or not at all, say \
                      `atomic_page_writes(true)`";
        return Some((StoreErrorKind::Other, reason.to_owned()));
    }
    (facts.encoding != "UTF8").then(|| {
        let encoding = &facts.encoding;
        let reason = format!(
            "the database has the encoding {encoding}, which cannot keep every text; create one with UTF8"
        );
        (StoreErrorKind::Other, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: u32) -> Facts {
        Facts {
            version,
            is_standby: false,
            is_read_only: false,
            synchronous_commit: "on".to_owned(),
            fsync: "on".to_owned(),
            encoding: "UTF8".to_owned(),
            full_page_writes: "on".to_owned(),
        }
    }

    #[test]
    fn torn_pages_are_refused_unless_there_are_none() {
        let mut facts = facts(150_000);
        facts.full_page_writes = "off".to_owned();
        let (kind, reason) = refusal(&facts, false).unwrap();
        assert_eq!(kind, StoreErrorKind::Other);
        assert!(reason.contains("full_page_writes"), "{reason}");
        assert_eq!(refusal(&facts, true), None);
        facts.fsync = "off".to_owned();
        assert!(refusal(&facts, true).is_some(), "that is another setting");
    }

    #[test]
    fn the_oldest_release_passes_and_the_one_before_does_not() {
        assert_eq!(refusal(&facts(130_000), false), None);
        assert_eq!(refusal(&facts(180_001), false), None);
        let (kind, reason) = refusal(&facts(120_022), false).unwrap();
        assert_eq!(kind, StoreErrorKind::Other);
        assert!(reason.contains("PostgreSQL 12"), "{reason}");
    }
}
