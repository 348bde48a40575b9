//! Wake-ups for what other programs and connections write: SQLite's `data_version` changes with every commit that the
//! asking connection did not make itself.
//!
//! The writer's own connection asks, so that its own commits, whose effects are known, wake nobody twice.

use rusqlite::Connection;

/// What `data_version` was when it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    seen: Option<i64>,
}

impl Watcher {
    /// Whether somebody else has committed since the last call. The first call only looks: it is made when the store opens,
    /// so that nothing falls between a watch and the first look for it.
    pub(crate) fn has_changed(&mut self, conn: &Connection) -> bool {
        let version = conn
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
        match version {
            Ok(version) => self.seen.replace(version).is_some_and(|seen| seen != version),
            Err(error) => {
                // The next look will tell; workers poll as well.
                tracing::debug!(%error, "the file could not be checked for changes");
                false
            }
        }
    }
}
