//! Sessions (law 9): open, renew, close, list.

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::MAX_BATCH;
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::store::{Renewed, Session, SessionInfo, StoreError};
use retry_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::queries;
use crate::record::{self, Damage, Read};
use crate::session_lock::SessionLocks;

pub(crate) fn open(
    conn: &Connection,
    locks: &SessionLocks,
    info: &SessionInfo,
    until: Timestamp,
) -> Outcome<()> {
    let mut stored = conn.prepare_cached(queries::SESSION_GET)?;
    let lost = stored.query_row([info.id.to_bytes()], |row| row.get::<_, bool>(0));
    match lost.optional()? {
        Some(true) => return Err(StoreError::invalid("the session was lost; open a new one").into()),
        Some(false) => return Ok(()),
        None => {}
    }
    // First the lock: from the moment the row is visible, a free lock means death.
    locks.hold(info.id);
    conn.prepare_cached(queries::SESSION_OPEN)?.execute(params![
        info.id.to_bytes(),
        until.as_millis(),
        info.name.as_str(),
        info.host,
        names(&info.queues),
        names(&info.kinds),
    ])?;
    Ok(())
}

pub(crate) fn renew(
    conn: &Connection,
    locks: &SessionLocks,
    id: SessionId,
    until: Timestamp,
    effects: &mut Effects,
) -> Outcome<Renewed> {
    let renewed = conn
        .prepare_cached(queries::SESSION_RENEW)?
        .execute(params![id.to_bytes(), until.as_millis()])?;
    if renewed == 0 {
        if locks.holds(id) {
            effects.ended.push(id);
        }
        return Ok(Renewed::Lost);
    }
    // A program that reopened the file goes on with a session of its own.
    locks.hold(id);
    let mut held = conn.prepare_cached(queries::SESSION_HELD)?;
    let held: i64 = held.query_row([id.to_bytes()], |row| row.get(0))?;
    let held = held.unsigned_abs();
    let mut cancel = Vec::new();
    if held > 0 {
        let mut flagged = conn.prepare_cached(queries::SESSION_FLAGGED)?;
        let mut rows = flagged.query(params![
            id.to_bytes(),
            i64::try_from(MAX_BATCH).unwrap_or(i64::MAX)
        ])?;
        while let Some(row) = rows.next()? {
            cancel.extend(record::id(row, 0).ok().map(TaskId::from_bytes));
        }
    }
    Ok(Renewed::Live { cancel, held })
}

pub(crate) fn close(conn: &Connection, id: SessionId, effects: &mut Effects) -> Outcome<()> {
    if conn
        .prepare_cached(queries::SESSION_HOLDS)?
        .exists([id.to_bytes()])?
    {
        conn.prepare_cached(queries::SESSION_MARK)?
            .execute(params![id.to_bytes(), true])?;
    } else {
        conn.prepare_cached(queries::SESSION_DELETE)?
            .execute([id.to_bytes()])?;
    }
    effects.ended.push(id);
    Ok(())
}

pub(crate) fn list(conn: &Connection) -> Outcome<Vec<Session>> {
    let mut statement = conn.prepare_cached(queries::SESSION_LIST)?;
    let mut rows = statement.query([])?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        match session(row) {
            Ok(session) => sessions.push(session),
            Err(Damage(reason)) => tracing::warn!(reason, "a session that cannot be read is passed over"),
        }
    }
    Ok(sessions)
}

fn session(row: &Row<'_>) -> Read<Session> {
    let info = SessionInfo {
        id: SessionId::from_bytes(record::id(row, 0)?),
        name: WorkerName::new(record::text(row, 3)?).map_err(|_| Damage("the worker's name is no name"))?,
        host: record::text(row, 4)?.to_owned(),
        queues: parse::<Queue>(record::text(row, 5)?)?,
        kinds: parse::<Kind>(record::text(row, 6)?)?,
    };
    Ok(Session::new(info, record::time(row, 1)?, record::flag(row, 2)?))
}

fn names<T: serde::Serialize>(names: &[T]) -> String {
    // Names always serialize.
    serde_json::to_string(names).unwrap_or_default()
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Read<Vec<T>> {
    serde_json::from_str(text).map_err(|_| Damage("a list of names is damaged"))
}
