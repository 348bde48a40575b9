//! Claims as arguments of a script, and the tasks in its answer (laws 3, 5, 14).

use retry_core::id::TaskId;
use retry_core::limits::MAX_BATCH;
use retry_core::store::{BadRecord, ClaimRequest, Claimed, Mark, Result};
use retry_core::task::ClaimedTask;
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::codec::{Damage, Read};
use crate::record::{self, Names, Stored, opt_time};
use crate::reply::Reply;
use crate::texts::Texts;

/// A number of tasks: more than a call carries is the same as that.
fn count(n: usize) -> [u8; 2] {
    u16::try_from(n.min(MAX_BATCH)).unwrap_or(u16::MAX).to_be_bytes()
}

/// Adds a claim.
pub(crate) fn push(claim: &ClaimRequest, args: &mut Args) {
    let ids = claim.ids.as_deref();
    let marks: Vec<(u16, &Mark)> = claim.after.iter().filter_map(|mark| asked(claim, mark)).collect();
    args.build(|out| {
        out.extend(claim.session.to_bytes());
        for n in [claim.limit, claim.max_suspects, claim.kinds.len()] {
            out.extend(count(n));
        }
        let from = claim.not_before.unwrap_or(Timestamp::MIN);
        out.extend(from.as_millis().to_be_bytes());
        out.extend(opt_time(claim.not_after).to_be_bytes());
        out.push(u8::from(ids.is_some()));
        out.extend(count(ids.map_or(0, <[_]>::len)));
        out.extend(count(marks.len()));
    });
    args.push(claim.queue.as_str());
    for (kind, limit) in &claim.kinds {
        args.build(|out| {
            out.extend(count(*limit));
            out.extend(kind.as_str().as_bytes());
        });
    }
    for id in ids.unwrap_or_default() {
        args.push(id.to_bytes());
    }
    for (kind, mark) in marks {
        args.build(|out| {
            out.extend(kind.to_be_bytes());
            out.push(mark.lane.priority.code() * 2 + u8::from(mark.lane.suspect));
            out.extend(mark.run_at.as_millis().to_be_bytes());
            out.extend(mark.id.to_bytes());
        });
    }
}

/// A mark with the number of its kind among those that are asked, from 1.
fn asked<'a>(claim: &ClaimRequest, mark: &'a Mark) -> Option<(u16, &'a Mark)> {
    let at = claim.kinds.iter().position(|(kind, _)| *kind == mark.lane.kind)?;
    Some((u16::try_from(at + 1).ok()?, mark))
}

/// What one claim brought; rows whose texts cannot be read are still the session's until they are put aside.
pub(crate) struct Brought {
    pub(crate) claimed: Claimed,
    pub(crate) unreadable: Vec<BadRecord>,
}

/// Reads the answer to one claim.
pub(crate) fn claimed(answer: Reply<'_>) -> Result<Brought> {
    let mut parts = answer.array()?;
    let mut claimed = Claimed::default();
    let mut unreadable = Vec::new();
    claimed.session_lost = parts.part()?.int()? == 1;
    if claimed.session_lost {
        return Ok(Brought { claimed, unreadable });
    }
    let mut tasks = parts.part()?.array()?;
    let mut texts = Texts::by_task(parts.part()?.array()?)?;
    let mut names = Names::default();
    for number in 1.. {
        if tasks.left() == 0 {
            break;
        }
        let (id, head) = (tasks.part()?.task_id()?, tasks.part()?.bytes()?);
        let (rest, body) = (tasks.part()?.opt_bytes()?, tasks.part()?.opt_bytes()?);
        let stored = Stored {
            head: &head,
            rest: rest.as_deref(),
        };
        let texts = texts.remove(&number).unwrap_or_default();
        match task(id, stored, body.as_deref(), &texts, &mut names) {
            Ok(task) => claimed.tasks.push(task),
            Err(damage) => unreadable.push(record::bad(id, &head, damage)),
        }
    }
    let put_aside = parts.part()?.array()?;
    for id in put_aside {
        claimed.bad.push(BadRecord {
            id: id.task_id()?,
            version: 0,
            reason: "the record is damaged".to_owned(),
        });
    }
    claimed.next_due = parts.part()?.opt_time()?;
    for entry in parts.part()?.array()? {
        let entry = entry.bytes()?;
        tracing::warn!(entry = %entry.escape_ascii(), "what stood in a lane and is no entry of one was put aside");
    }
    Ok(Brought { claimed, unreadable })
}

fn task(
    id: TaskId,
    stored: Stored<'_>,
    body: Option<&[u8]>,
    texts: &Texts,
    names: &mut Names,
) -> Read<ClaimedTask> {
    let task = record::read(id, stored, names)?.task;
    let body = body.ok_or(Damage("the body is missing"))?;
    let (payload, headers) = texts.body(body)?;
    Ok(ClaimedTask {
        task,
        payload,
        headers,
        checkpoint: texts.checkpoint()?,
        completion: texts.completion()?,
    })
}
