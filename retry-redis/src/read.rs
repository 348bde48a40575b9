//! One task with everything that is kept about it (laws 11, 12, 14).

use retry_core::id::TaskId;
use retry_core::store::{Result, StoreError, StoreErrorKind};
use retry_core::task::{ClaimedTask, FailedAttempt, TaskDetail};

use crate::args::Args;
use crate::codec::{self, Damage, Read};
use crate::record::{self, Names, Stored};
use crate::reply::Reply;
use crate::scripts;
use crate::server::Server;
use crate::texts::Texts;

pub(crate) async fn get(server: &Server, id: TaskId) -> Result<Option<TaskDetail>> {
    let mut args = Args::new();
    args.push(id.to_bytes());
    let answer = server.run(&scripts::GET, &args).await?;
    let answer = Reply::new(answer, server.address());
    if answer.is_nil() {
        return Ok(None);
    }
    let mut parts = answer.array()?;
    let head = parts.part()?.bytes()?;
    if parts.left() == 0 {
        return Err(corrupt(server, id, Damage("the record is damaged")));
    }
    let (rest, body) = (parts.part()?.opt_bytes()?, parts.part()?.opt_bytes()?);
    let stored = Stored {
        head: &head,
        rest: rest.as_deref(),
    };
    let texts = Texts::read(parts.part()?.array()?)?;
    let history = parts.part()?.array()?.map(Reply::opt_bytes);
    let history = history.collect::<Result<Vec<_>>>()?;
    let detail = detail(id, stored, body.as_deref(), &texts, &history);
    detail.map(Some).map_err(|damage| corrupt(server, id, damage))
}

fn detail(
    id: TaskId,
    stored: Stored<'_>,
    body: Option<&[u8]>,
    texts: &Texts,
    history: &[Option<Vec<u8>>],
) -> Read<TaskDetail> {
    let record = record::read(id, stored, &mut Names::default())?;
    let (payload, headers) = texts.body(body.ok_or(Damage("the body is missing"))?)?;
    let mut detail = TaskDetail::new(ClaimedTask {
        task: record.task,
        payload,
        headers,
        checkpoint: texts.checkpoint()?,
        completion: texts.completion()?,
    });
    detail.early_completion = texts.early_completion()?;
    detail.output = texts.output()?;
    detail.last_error = texts.last_error()?;
    detail.via_fallback = record.via_fallback;
    detail.failures = history.iter().map(failure).collect::<Read<_>>()?;
    Ok(detail)
}

fn failure(stored: &Option<Vec<u8>>) -> Read<FailedAttempt> {
    let bytes = stored.as_deref().ok_or(Damage("a failed attempt is missing"))?;
    codec::decode(bytes, "a failed attempt is damaged")
}

fn corrupt(server: &Server, id: TaskId, Damage(reason): Damage) -> StoreError {
    StoreError::rejected(
        StoreErrorKind::Corrupt,
        format!(
            "redis at {}: the stored task {id} cannot be read: {reason}; restore it from a backup",
            server.address()
        ),
    )
}
