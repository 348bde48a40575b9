//! Sessions (law 9): open, renew, close, list.

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::MAX_BATCH;
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::store::{Renewed, Session, SessionInfo, StoreError};
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlRow;

use crate::args::Args;
use crate::db::Db;
use crate::error::Outcome;
use crate::record::{self, Damage, Read};

pub(crate) async fn open(db: &mut Db<'_>, info: &SessionInfo, until: Timestamp) -> Outcome<()> {
    let id = info.id.to_bytes();
    if let Some(row) = db.row(&db.q.session_get, Args::new().with(id)).await? {
        if record::int(&row, 0) == Ok(0) {
            return Ok(());
        }
        return Err(StoreError::invalid("the session was lost; open a new one").into());
    }
    let args = Args::new()
        .with(id)
        .with(until.as_millis())
        .with(info.name.as_str().as_bytes())
        .with(info.host.as_bytes())
        .with(names(&info.queues))
        .with(names(&info.kinds));
    db.run(&db.q.session_open, args).await?;
    Ok(())
}

pub(crate) async fn renew(db: &mut Db<'_>, id: SessionId, until: Timestamp) -> Outcome<Renewed> {
    let id = id.to_bytes();
    let args = Args::new().with(until.as_millis()).with(id);
    if db.run(&db.q.session_renew, args).await? == 0 {
        return Ok(Renewed::Lost);
    }
    let row = db.row(&db.q.session_held, Args::new().with(id)).await?;
    let number = |column| {
        row.as_ref()
            .and_then(|row| record::int(row, column).ok())
            .unwrap_or(0)
            .unsigned_abs()
    };
    let (held, flagged) = (number(0), number(1));
    let mut cancel = Vec::new();
    if flagged > 0 {
        let args = Args::new().with(id).with(record::length(MAX_BATCH));
        let rows = db.rows(&db.q.session_flagged, args).await?;
        cancel.extend(
            rows.iter()
                .filter_map(|row| record::id(row, 0).ok().map(TaskId::from_bytes)),
        );
    }
    Ok(Renewed::Live { cancel, held })
}

pub(crate) async fn close(db: &mut Db<'_>, id: SessionId) -> Outcome<()> {
    let id = id.to_bytes();
    // Waits for a claim of this session that is under way: what it takes must not be overlooked.
    if db.row(&db.q.session_get, Args::new().with(id)).await?.is_none() {
        return Ok(());
    }
    let row = db.row(&db.q.session_held, Args::new().with(id)).await?;
    let holds = row.is_some_and(|row| record::int(&row, 0) != Ok(0));
    let sql = if holds {
        &db.q.session_close
    } else {
        &db.q.session_delete
    };
    db.run(sql, Args::new().with(id)).await?;
    Ok(())
}

pub(crate) async fn list(db: &mut Db<'_>) -> Outcome<Vec<Session>> {
    let mut sessions = Vec::new();
    for row in db.rows(&db.q.session_list, Args::new()).await? {
        match session(&row) {
            Ok(session) => sessions.push(session),
            Err(Damage(reason)) => tracing::warn!(reason, "a session that cannot be read is passed over"),
        }
    }
    Ok(sessions)
}

fn session(row: &MySqlRow) -> Read<Session> {
    let info = SessionInfo {
        id: SessionId::from_bytes(record::id(row, 0)?),
        name: WorkerName::new(record::text(row, 4)?).map_err(|_| Damage("the worker's name is no name"))?,
        host: record::text(row, 5)?.to_owned(),
        queues: parse::<Queue>(record::text(row, 6)?)?,
        kinds: parse::<Kind>(record::text(row, 7)?)?,
    };
    Ok(Session::new(info, record::time(row, 1)?, record::flag(row, 2)?))
}

fn names<T: serde::Serialize>(names: &[T]) -> Vec<u8> {
    // Names always serialize.
    serde_json::to_vec(names).unwrap_or_default()
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Read<Vec<T>> {
    serde_json::from_str(text).map_err(|_| Damage("a list of names is damaged"))
}
