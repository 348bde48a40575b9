//! What a claim finds: a task, or a row that cannot be read (law 14).

use retry_core::limits::{MAX_COUNT, MAX_VERSION};
use retry_core::task::ClaimedTask;
use rusqlite::Row;

use crate::aside::Aside;
use crate::error::Outcome;
use crate::lanes::Position;
use crate::memo::Memo;
use crate::record::{self, Read, at};

/// A row that was read for a claim.
pub(crate) enum Found {
    /// Its number and all a handler needs.
    Good(i64, Box<ClaimedTask>),
    Bad(Aside),
}

impl Found {
    /// Its place in its lane.
    pub(crate) fn position(&self) -> Position {
        match self {
            Self::Good(_, claimed) => (
                claimed.task.run_at.as_millis(),
                claimed.task.id.to_bytes().to_vec(),
            ),
            Self::Bad(aside) => aside.position.clone(),
        }
    }

    /// Whether a claim only adds one to its attempts and its version.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Self::Good(_, claimed) => {
                let task = &claimed.task;
                task.settings.deadline_after.is_none()
                    && task.attempt < MAX_COUNT
                    && task.version < MAX_VERSION
            }
            Self::Bad(_) => false,
        }
    }

    pub(crate) fn read(row: &Row<'_>, memo: &mut Memo) -> Outcome<Self> {
        let number = row.get(at::NUMBER)?;
        Ok(match claimed_task(row, memo) {
            Ok(task) => Self::Good(number, Box::new(task)),
            Err(damage) => Self::Bad(Aside::of(row, number, &damage)),
        })
    }
}

fn claimed_task(row: &Row<'_>, memo: &mut Memo) -> Read<ClaimedTask> {
    Ok(ClaimedTask {
        task: record::task(row, memo)?,
        payload: record::payload(row, at::MORE)?,
        headers: record::headers(row, at::MORE + 1)?,
        checkpoint: record::opt_payload(row, at::MORE + 2)?,
        completion: record::opt_completion(row, at::MORE + 3)?,
    })
}
