//! Inserts (laws 1, 2): new tasks as arguments of a script, and its answers.

use retry_core::id::SessionId;
use retry_core::store::{Inserted, Result};
use retry_core::task::{NewTask, OnDuplicate, State, Task};
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::codec::Body;
use crate::error::unexpected;
use crate::record;
use crate::reply::{Replies, Reply};
use crate::scripts;
use crate::server::Server;

/// What to do with a pending holder of the key, and whether to be born leased.
mod mode {
    pub(super) const REPLACE_PAYLOAD: u8 = 1;
    pub(super) const REPLACE_RUN_AT: u8 = 2;
    pub(super) const REPLACE: u8 = 4;
    pub(super) const LEASED: u8 = 8;
}

pub(crate) async fn insert(server: &Server, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
    let mut args = Args::new();
    args.number(now.as_millis());
    for task in tasks {
        new(task, now, &mut args);
    }
    let answer = server.run(&scripts::INSERT, &args).await?;
    let answers = Reply::new(answer, server.address()).array()?;
    if answers.left() != tasks.len() {
        return Err(unexpected(server.address()));
    }
    inserted(answers)
}

/// A new task as four arguments: what it is (`lua/part/new.lua`), the two values of its record, and its body.
pub(crate) fn new(task: &NewTask, now: Timestamp, args: &mut Args) {
    let body = Body::encode(&task.payload, &task.headers);
    let mode = mode_of(task);
    args.build(|out| {
        out.extend(task.id.to_bytes());
        if mode > 0 {
            out.push(mode);
            out.extend(task.leased_by.map_or([0; 16], SessionId::to_bytes));
        }
    });
    let task = Task::pending(task, now);
    args.build(|out| record::head(&task, body.len(), out));
    args.build(|out| record::rest(&task, out));
    args.push(body);
}

fn mode_of(task: &NewTask) -> u8 {
    let on_duplicate = task.unique.as_ref().map(|unique| unique.on_duplicate);
    let replace = match on_duplicate {
        Some(OnDuplicate::Replace { payload, run_at }) => {
            let payload = if payload { mode::REPLACE_PAYLOAD } else { 0 };
            let run_at = if run_at { mode::REPLACE_RUN_AT } else { 0 };
            mode::REPLACE | payload | run_at
        }
        Some(OnDuplicate::Keep) | None => 0,
    };
    let leased = if task.leased_by.is_some() { mode::LEASED } else { 0 };
    replace | leased
}

/// The answers to new tasks, in order.
pub(crate) fn inserted(answers: Replies<'_>) -> Result<Vec<Inserted>> {
    answers.map(one).collect()
}

fn one(answer: Reply<'_>) -> Result<Inserted> {
    let address = answer.address();
    if answer.is_int() {
        return match answer.int()? {
            0 => Ok(Inserted::New { leased: false }),
            1 => Ok(Inserted::New { leased: true }),
            2 => Ok(Inserted::Repeated),
            _ => Err(unexpected(address)),
        };
    }
    let mut parts = answer.array()?;
    match parts.part()?.int()? {
        3 => Ok(Inserted::Replaced {
            holder: parts.part()?.task_id()?,
        }),
        4 => {
            let holder = parts.part()?.task_id()?;
            let code = u8::try_from(parts.part()?.int()?).ok();
            let state = code
                .and_then(State::from_code)
                .ok_or_else(|| unexpected(address))?;
            Ok(Inserted::Duplicate { holder, state })
        }
        _ => Err(unexpected(address)),
    }
}
