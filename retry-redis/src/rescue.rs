//! What a rescuer has to settle (laws 9, 13, 14): sessions marked, then their tasks, then due alarms.

use retry_core::id::{SessionId, TaskId};
use retry_core::store::{BadRecord, Cause, Expired, ExpiredCursor, ExpiredRequest, Result};
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::aside::put_aside;
use crate::error::unexpected;
use crate::record::{self, Names, Stored};
use crate::reply::Reply;
use crate::scripts;
use crate::server::Server;

pub(crate) async fn expired(server: &Server, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
    let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
    let mut args = Args::new();
    args.number(now.as_millis())
        .number(i64::from(request.mark))
        .number(limit)
        .push(request.after.map_or_else(Vec::new, position));
    let answer = server.run(&scripts::EXPIRED, &args).await?;
    let address = server.address();
    let mut parts = Reply::new(answer, address).array()?;
    let mut expired = Expired::default();
    let (mut names, mut unreadable) = (Names::default(), Vec::new());
    let mut items = parts.part()?.array()?;
    while items.left() > 0 {
        let cause = match items.part()?.bytes()?.as_slice() {
            b"L" => Cause::SessionLost,
            b"D" => Cause::SessionDead,
            b"A" => Cause::Alarm,
            _ => return Err(unexpected(address)),
        };
        let id = items.part()?.task_id()?;
        let (head, rest) = (items.part()?.bytes()?, items.part()?.opt_bytes()?);
        let stored = Stored {
            head: &head,
            rest: rest.as_deref(),
        };
        match record::read(id, stored, &mut names) {
            Ok(record) => expired.items.push((record.task, cause)),
            Err(damage) => unreadable.push(record::bad(id, &head, damage)),
        }
    }
    for id in parts.part()?.array()? {
        expired.bad.push(BadRecord {
            id: id.task_id()?,
            version: 0,
            reason: "the record is damaged".to_owned(),
        });
    }
    let next = parts.part()?.bytes()?;
    if !next.is_empty() {
        expired.next = Some(cursor(&next).ok_or_else(|| unexpected(address))?);
    }
    expired.bad.extend(put_aside(server, unreadable, now).await);
    Ok(expired)
}

/// A cursor as the script knows it: `s`, session, id, or `a`, time, id.
fn position(cursor: ExpiredCursor) -> Vec<u8> {
    match cursor {
        ExpiredCursor::Session(session, id) => [b"s", &session.to_bytes()[..], &id.to_bytes()[..]].concat(),
        ExpiredCursor::Alarm(at, id) => {
            [b"a", &at.as_millis().to_be_bytes()[..], &id.to_bytes()[..]].concat()
        }
    }
}

fn cursor(bytes: &[u8]) -> Option<ExpiredCursor> {
    let (kind, rest) = bytes.split_first()?;
    let (rest, id) = rest.split_last_chunk()?;
    let id = TaskId::from_bytes(*id);
    match kind {
        b's' => Some(ExpiredCursor::Session(
            SessionId::from_bytes(rest.try_into().ok()?),
            id,
        )),
        b'a' => {
            let at = i64::from_be_bytes(rest.try_into().ok()?);
            Some(ExpiredCursor::Alarm(Timestamp::from_millis(at), id))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        for at in [
            ExpiredCursor::START,
            ExpiredCursor::Session(SessionId::from_random(1, 2), TaskId::MAX),
            ExpiredCursor::Alarm(Timestamp::MIN, TaskId::MIN),
            ExpiredCursor::Alarm(Timestamp::MAX, TaskId::MAX),
        ] {
            assert_eq!(cursor(&position(at)), Some(at));
        }
        for bytes in [&b""[..], b"s", b"x1234567890123456789012345678901234"] {
            assert_eq!(cursor(bytes), None);
        }
    }
}
