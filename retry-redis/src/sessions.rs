//! Sessions (law 9): open, renew, close, list.

use retry_core::id::SessionId;
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::store::{Renewed, Result, Session, SessionInfo, StoreError};
use retry_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::codec::{self, Damage, Read};
use crate::reply::Reply;
use crate::scripts;
use crate::server::Server;

/// What a worker told about itself, as it is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    name: WorkerName,
    host: String,
    queues: Vec<Queue>,
    kinds: Vec<Kind>,
}

pub(crate) async fn open(server: &Server, info: &SessionInfo, until: Timestamp) -> Result<()> {
    let stored = Stored {
        name: info.name.clone(),
        host: info.host.clone(),
        queues: info.queues.clone(),
        kinds: info.kinds.clone(),
    };
    let mut args = Args::new();
    args.push("open")
        .push(info.id.to_bytes())
        .number(until.as_millis())
        .push(codec::encode(&stored));
    let answer = server.run(&scripts::SESSION, &args).await?;
    if Reply::new(answer, server.address()).int()? == 1 {
        return Ok(());
    }
    Err(StoreError::invalid("the session was lost; open a new one"))
}

pub(crate) async fn renew(server: &Server, id: SessionId, until: Timestamp) -> Result<Renewed> {
    let mut args = Args::new();
    args.push("renew").push(id.to_bytes()).number(until.as_millis());
    let answer = server.run(&scripts::SESSION, &args).await?;
    let answer = Reply::new(answer, server.address());
    if answer.is_nil() {
        return Ok(Renewed::Lost);
    }
    let mut parts = answer.array()?;
    let held = parts.part()?.int()?.unsigned_abs();
    let flagged = parts.part()?.array()?;
    // Each is the session and the task.
    let ids = flagged.map(|member| Ok(member.member()?.1));
    Ok(Renewed::Live {
        cancel: ids.collect::<Result<_>>()?,
        held,
    })
}

pub(crate) async fn close(server: &Server, id: SessionId) -> Result<()> {
    let mut args = Args::new();
    args.push("close").push(id.to_bytes()).number(0);
    server.run(&scripts::SESSION, &args).await.map(drop)
}

pub(crate) async fn list(server: &Server) -> Result<Vec<Session>> {
    let answer = server.run(&scripts::SESSIONS, &Args::new()).await?;
    let mut pairs = Reply::new(answer, server.address()).array()?;
    let mut sessions = Vec::new();
    while pairs.left() > 0 {
        let (id, stored) = (pairs.part()?.session_id(), pairs.part()?.bytes()?);
        let session = id
            .map_err(|_| Damage("its id is damaged"))
            .and_then(|id| session(id, &stored));
        match session {
            Ok(session) => sessions.push(session),
            Err(Damage(reason)) => tracing::warn!(reason, "a session that cannot be read is passed over"),
        }
    }
    Ok(sessions)
}

fn session(id: SessionId, stored: &[u8]) -> Read<Session> {
    let cut = Damage("its record is cut");
    let (state, rest) = stored.split_first().ok_or(cut)?;
    let (until, info) = rest.split_first_chunk().ok_or(cut)?;
    let stored: Stored = codec::decode(info, "its description is damaged")?;
    let info = SessionInfo {
        id,
        name: stored.name,
        host: stored.host,
        queues: stored.queues,
        kinds: stored.kinds,
    };
    let until = Timestamp::from_millis(i64::from_be_bytes(*until));
    Ok(Session::new(info, until, *state != 0))
}
