//! Why a task was not inserted (law 2): it is stored already, or another one holds its key and may take over parts of it.

use std::collections::{HashMap, HashSet};

use retry_core::id::TaskId;
use retry_core::name::Queue;
use retry_core::store::Inserted;
use retry_core::task::{NewTask, OnDuplicate, State};
use retry_core::time::Timestamp;

use crate::error::Outcome;
use crate::insert::{Newcomer, altered};
use crate::record;
use crate::tx::Tx;
use crate::types::ids;

/// The pending holder of a key that took something over, as it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) id: TaskId,
    pub(crate) version: u64,
    pub(crate) run_at: Timestamp,
}

/// Answers for those of `tasks` that were not inserted; none where the key was let go meanwhile.
pub(crate) async fn answer(
    tx: &mut Tx<'_>,
    tasks: &[Newcomer<'_>],
    unanswered: &[usize],
    now: Timestamp,
    replaced: &mut Vec<Held>,
) -> Outcome<Vec<Option<Inserted>>> {
    let keyed: Vec<usize> = unanswered
        .iter()
        .copied()
        .filter(|index| tasks[*index].new.unique.is_some())
        .collect();
    // Without a key only the task itself can have been in the way.
    let mut stored: HashSet<TaskId> = unanswered.iter().map(|index| tasks[*index].new.id).collect();
    if !keyed.is_empty() {
        for index in &keyed {
            stored.remove(&tasks[*index].new.id);
        }
        let asked = keyed.iter().map(|index| tasks[*index].new.id);
        let statement = tx.query(&tx.sql.task_exists).bind(ids(asked));
        for row in tx.rows(statement).await? {
            stored.insert(record::task_id(&row, 0).map_err(altered)?);
        }
    }
    let losers: Vec<&NewTask> = keyed
        .iter()
        .map(|index| tasks[*index].new)
        .filter(|new| !stored.contains(&new.id))
        .collect();
    let holders = holders(tx, &losers).await?;
    let mut answers = Vec::with_capacity(unanswered.len());
    for index in unanswered {
        let Newcomer { new, edited } = tasks[*index];
        answers.push(if stored.contains(&new.id) {
            Some(Inserted::Repeated)
        } else {
            match holders.get(&new.id) {
                Some(holder) => duplicate(tx, new, edited, *holder, now, replaced).await?,
                None => None,
            }
        });
    }
    Ok(answers)
}

/// Who holds the keys of tasks, by the tasks' ids.
async fn holders(tx: &mut Tx<'_>, losers: &[&NewTask]) -> Outcome<HashMap<TaskId, (TaskId, State)>> {
    let mut found = HashMap::new();
    if losers.is_empty() {
        return Ok(found);
    }
    let kinds: Vec<&str> = losers.iter().map(|new| new.kind.as_str()).collect();
    let keys: Vec<&str> = losers
        .iter()
        .map(|new| new.unique.as_ref().map_or("", |unique| unique.key.as_str()))
        .collect();
    let statement = tx.query(&tx.sql.key_holder).bind(kinds).bind(keys);
    for row in tx.rows(statement).await? {
        let place: i64 = record::value(&row, 0).map_err(altered)?;
        let holder = record::task_id(&row, 1).map_err(altered)?;
        // A holder in a state that does not exist still holds; it answers as one that is kept.
        let state = record::state(&row, 2).unwrap_or(State::Failed);
        let loser = usize::try_from(place - 1)
            .ok()
            .and_then(|place| losers.get(place));
        if let Some(loser) = loser {
            found.insert(loser.id, (holder, state));
        }
    }
    Ok(found)
}

async fn duplicate(
    tx: &mut Tx<'_>,
    new: &NewTask,
    edited: Option<TaskId>,
    (holder, state): (TaskId, State),
    now: Timestamp,
    replaced: &mut Vec<Held>,
) -> Outcome<Option<Inserted>> {
    let kept = Some(Inserted::Duplicate { holder, state });
    let on_duplicate = new.unique.as_ref().map(|unique| unique.on_duplicate);
    let Some(OnDuplicate::Replace { payload, run_at }) = on_duplicate else {
        return Ok(kept);
    };
    if state != State::Pending {
        return Ok(kept);
    }
    if edited != Some(holder) {
        let due = run_at.then(|| new.run_at.max(now));
        let Some(held) = replace(tx, new, holder, due, payload, now).await? else {
            return Ok(None);
        };
        replaced.push(held);
    }
    Ok(Some(Inserted::Replaced { holder }))
}

/// Lets a pending holder take over parts of a task; none if it is not pending any more.
async fn replace(
    tx: &mut Tx<'_>,
    new: &NewTask,
    holder: TaskId,
    due: Option<Timestamp>,
    payload: bool,
    now: Timestamp,
) -> Outcome<Option<Held>> {
    let bytes = payload.then(|| i32::try_from(new.bytes()).unwrap_or(i32::MAX));
    let statement = tx
        .query(&tx.sql.replace_task)
        .bind(crate::types::Id::from(holder))
        .bind(now.as_millis())
        .bind(due.map(Timestamp::as_millis))
        .bind(bytes);
    let Some(row) = tx.row(statement).await? else {
        return Ok(None);
    };
    if payload {
        let statement = tx
            .query(&tx.sql.body_write)
            .bind(crate::types::Id::from(holder))
            .bind(new.payload.as_json().to_owned())
            .bind(true)
            .bind(record::headers_text(&new.headers));
        tx.rows(statement).await?;
    }
    let run_at = record::time(&row, 1).map_err(altered)?;
    if let Ok(queue) = Queue::new(record::value::<&str>(&row, 0).map_err(altered)?) {
        tx.effects.pending(&queue, run_at, now);
    }
    Ok(Some(Held {
        id: holder,
        version: record::version(&row, 2).map_err(altered)?,
        run_at,
    }))
}
