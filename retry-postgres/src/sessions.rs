//! Sessions (law 9): open, renew, close, list.

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::MAX_BATCH;
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::store::{Renewed, Session, SessionInfo, StoreError};
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::error::Outcome;
use crate::insert::altered;
use crate::record::{self, Damage, Read};
use crate::tx::Tx;
use crate::types::Id;

pub(crate) async fn open(tx: &mut Tx<'_>, info: &SessionInfo, until: Timestamp) -> Outcome<()> {
    let statement = tx
        .query(&tx.sql.session_open)
        .bind(Id::from(info.id))
        .bind(until.as_millis())
        .bind(info.name.as_str().to_owned())
        .bind(info.host.clone())
        .bind(names(&info.queues))
        .bind(names(&info.kinds));
    if tx.row(statement).await?.is_some() {
        return Ok(());
    }
    let statement = tx.query(&tx.sql.session_get).bind(Id::from(info.id));
    let row = tx.row(statement).await?;
    let is_lost = row
        .map(|row| record::value(&row, 0))
        .transpose()
        .map_err(altered)?;
    match is_lost {
        Some(false) => Ok(()),
        // One that has gone meanwhile was lost before.
        Some(true) | None => Err(StoreError::invalid("the session was lost; open a new one").into()),
    }
}

pub(crate) async fn renew(
    tx: &mut Tx<'_>,
    id: SessionId,
    until: Timestamp,
    counted: bool,
) -> Outcome<Renewed> {
    let statement = if counted {
        &tx.sql.session_renew
    } else {
        &tx.sql.session_renew_uncounted
    };
    let statement = tx
        .query(statement)
        .bind(Id::from(id))
        .bind(until.as_millis())
        .bind(record::limit(MAX_BATCH));
    let Some(row) = tx.row(statement).await? else {
        return Ok(Renewed::Lost);
    };
    let cancel: Vec<Id> = record::value(&row, 0).map_err(altered)?;
    let cancel = cancel.into_iter().map(TaskId::from).collect();
    let held: Option<i64> = record::value(&row, 1).map_err(altered)?;
    Ok(match held.map(i64::unsigned_abs) {
        Some(held) => Renewed::Live { cancel, held },
        None => Renewed::Uncounted { cancel },
    })
}

pub(crate) async fn close(tx: &mut Tx<'_>, id: SessionId) -> Outcome<()> {
    let statement = tx.query(&tx.sql.session_close).bind(Id::from(id));
    if tx.row(statement).await?.is_none() {
        return Ok(());
    }
    // A statement of its own, later than the lock: it sees the tasks of every claim that the lock waited for.
    let statement = tx.query(&tx.sql.session_holds).bind(Id::from(id));
    let holds = tx.row(statement).await?.is_some();
    let statement = tx.query(if holds {
        &tx.sql.session_dead
    } else {
        &tx.sql.session_delete
    });
    tx.execute(statement.bind(Id::from(id))).await?;
    Ok(())
}

pub(crate) async fn list(tx: &mut Tx<'_>) -> Outcome<Vec<Session>> {
    let statement = tx.query(&tx.sql.session_list);
    let mut sessions = Vec::new();
    for row in tx.rows(statement).await? {
        match session(&row) {
            Ok(session) => sessions.push(session),
            Err(Damage(reason)) => tracing::warn!(reason, "a session that cannot be read is passed over"),
        }
    }
    Ok(sessions)
}

fn session(row: &PgRow) -> Read<Session> {
    let info = SessionInfo {
        id: record::value::<Id>(row, 0)?.into(),
        name: WorkerName::new(record::value::<&str>(row, 3)?)
            .map_err(|_| Damage("the worker's name is no name"))?,
        host: record::value(row, 4)?,
        queues: parse::<Queue>(record::value(row, 5)?)?,
        kinds: parse::<Kind>(record::value(row, 6)?)?,
    };
    Ok(Session::new(info, record::time(row, 1)?, record::value(row, 2)?))
}

fn names<T: serde::Serialize>(names: &[T]) -> String {
    // Names always serialize.
    serde_json::to_string(names).unwrap_or_default()
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Read<Vec<T>> {
    serde_json::from_str(text).map_err(|_| Damage("a list of names is damaged"))
}
