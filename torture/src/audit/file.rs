//! The file itself: sound, its counts right, and nothing of the dead left in or beside it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use retry_core::client::Client;
use retry_core::store::CountScope;
use retry_core::task::State;
use retry_sqlite::SqliteStore;

use super::{Found, Kept};

/// The rows of two tables are those of the tasks, and no row of two others is without one.
const ROWS: [&str; 2] = [
    "SELECT count(*) FROM retry_task",
    "SELECT count(*) FROM retry_body",
];
const NONE: [&str; 2] = [
    "SELECT count(*) FROM retry_note WHERE number NOT IN (SELECT number FROM retry_body)",
    "SELECT count(*) FROM retry_failure WHERE body NOT IN (SELECT number FROM retry_body)",
];
const STATES: [State; 7] = [
    State::Pending,
    State::Running,
    State::Waiting,
    State::Joining,
    State::Succeeded,
    State::Failed,
    State::Cancelled,
];

pub(super) async fn check(client: &Client<SqliteStore>, kept: &[Kept], found: &mut Found) -> Result<()> {
    for session in client.sessions().await? {
        found.wrong(format!(
            "a session is left over: {} of {}",
            session.info.id, session.info.name
        ));
    }
    let counts = client
        .count(&CountScope {
            queue: None,
            exact: true,
        })
        .await?;
    let mut recount: BTreeMap<State, u64> = BTreeMap::new();
    for kept in kept {
        *recount.entry(kept.detail.task.state).or_default() += 1;
    }
    for state in STATES {
        let wanted = recount.get(&state).copied().unwrap_or(0);
        if counts.of(state) != wanted {
            found.wrong(format!(
                "{} tasks count as {state}, {wanted} are",
                counts.of(state)
            ));
        }
    }
    let conn = client.store().connection()?;
    let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        found.wrong(format!("the file is damaged: {sound}"));
    }
    let tasks = i64::try_from(kept.len()).unwrap_or(i64::MAX);
    let rows = ROWS
        .iter()
        .map(|query| (query, tasks))
        .chain(NONE.iter().map(|query| (query, 0)));
    for (query, wanted) in rows {
        let number: i64 = conn.query_row(query, [], |row| row.get(0))?;
        if number != wanted {
            found.wrong(format!("{query}: {number}, not {wanted}"));
        }
    }
    Ok(())
}

/// The lock files beside the file. To be asked before it is opened, which removes those of the dead.
pub(super) fn locks(file: &Path, found: &mut Found) -> Result<()> {
    let mut locks = file.as_os_str().to_owned();
    locks.push("-locks");
    for entry in std::fs::read_dir(locks)? {
        let name = entry?.file_name();
        if name != "turn" {
            found.wrong(format!("a lock file is left over: {}", name.to_string_lossy()));
        }
    }
    Ok(())
}
