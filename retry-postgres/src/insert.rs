//! Inserts (laws 1, 2): the tasks with their bodies, or the answers why not.

use std::collections::{BTreeSet, HashMap, HashSet};

use retry_core::id::{SessionId, TaskId};
use retry_core::machine::claim;
use retry_core::name::Queue;
use retry_core::store::{Inserted, StoreError, StoreErrorKind};
use retry_core::task::{NewTask, Task};
use retry_core::time::Timestamp;

use crate::error::Outcome;
use crate::existing::{self, Held};
use crate::memo::Memo;
use crate::record::{self, Damage};
use crate::rows::NewRows;
use crate::tx::Tx;
use crate::types::{Id, ids};

/// How often a key that is held by nobody any more is tried to be taken, before its neighbours are believed to be too busy.
const ROUNDS: usize = 4;

/// A task on its way, and the task whose edit carries it, if one does: what that edit is about to write anyway is not
/// replaced by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer<'a> {
    pub(crate) new: &'a NewTask,
    pub(crate) edited: Option<TaskId>,
}

/// How an insert ended.
#[derive(Debug, Default)]
pub(crate) struct Inserts {
    /// In input order.
    pub(crate) answers: Vec<Inserted>,
    /// Pending holders of keys that took something over.
    pub(crate) replaced: Vec<Held>,
}

/// Whether nothing but one statement is needed: without keys all that can be in the way is the task itself.
pub(crate) fn is_plain(tasks: &[NewTask]) -> bool {
    tasks
        .iter()
        .all(|task| task.unique.is_none() && task.leased_by.is_none())
}

/// Inserts plain tasks where each statement commits by itself. Nearly all are new, and what is new is written without a look at what
/// is there; one that was sent before has the server refuse all of them, and then it is looked at.
pub(crate) async fn insert_plain(
    tx: &mut Tx<'_>,
    tasks: &[Newcomer<'_>],
    now: Timestamp,
) -> Outcome<Vec<Inserted>> {
    let mut memo = Memo::default();
    let mut rows = NewRows::with_capacity(tasks.len());
    for Newcomer { new, .. } in tasks {
        rows.push(new, &Task::pending(new, now), &mut memo);
    }
    let statement = rows.bind(tx.query(&tx.sql.insert_new), now);
    match tx.execute(statement).await {
        Ok(_) => {
            for Newcomer { new, .. } in tasks {
                tx.effects.pending(&new.queue, new.run_at, now);
            }
            Ok(vec![Inserted::New { leased: false }; tasks.len()])
        }
        Err(fault) if fault.is_repeat() => Ok(insert(tx, tasks, now).await?.answers),
        Err(fault) => Err(fault),
    }
}

/// Inserts tasks. The answers are as if they were inserted one after another.
pub(crate) async fn insert(tx: &mut Tx<'_>, tasks: &[Newcomer<'_>], now: Timestamp) -> Outcome<Inserts> {
    let mut memo = Memo::default();
    let may_lease = lease_check(tx, tasks).await?;
    let mut answers: Vec<Option<Inserted>> = vec![None; tasks.len()];
    let mut replaced = Vec::new();
    let mut left: Vec<usize> = (0..tasks.len()).collect();
    let mut idle_rounds = 0;
    while !left.is_empty() {
        let before = left.len();
        let round = first_of_each_id(tasks, &left);
        let fresh = write(tx, tasks, &round, &may_lease, now, &mut memo).await?;
        let mut unanswered = Vec::new();
        for index in round {
            match fresh.get(&tasks[index].new.id) {
                Some(leased) => answers[index] = Some(Inserted::New { leased: *leased }),
                None => unanswered.push(index),
            }
        }
        let answered = existing::answer(tx, tasks, &unanswered, now, &mut replaced).await?;
        for (index, answer) in unanswered.into_iter().zip(answered) {
            answers[index] = answer;
        }
        left.retain(|index| answers[*index].is_none());
        answer_repeats(tasks, &mut answers, &mut left);
        idle_rounds += usize::from(left.len() == before);
        if idle_rounds == ROUNDS {
            let message = "a unique key was taken and let go again and again; repeat the call";
            return Err(StoreError::rejected(StoreErrorKind::Busy, message).into());
        }
    }
    let answers = answers
        .into_iter()
        .map(|answer| answer.unwrap_or(Inserted::Repeated))
        .collect();
    Ok(Inserts { answers, replaced })
}

/// Answers those whose id an earlier one of the call has stored. To ask the server again could store the task twice: where each
/// statement commits by itself, the first one may have run and been forgotten by now.
fn answer_repeats(tasks: &[Newcomer<'_>], answers: &mut [Option<Inserted>], left: &mut Vec<usize>) {
    if left.is_empty() {
        return;
    }
    let is_stored = |answer: &Inserted| matches!(answer, Inserted::New { .. } | Inserted::Repeated);
    let answered = tasks.iter().zip(answers.iter());
    let stored: HashSet<TaskId> = answered
        .filter(|(_, answer)| answer.as_ref().is_some_and(is_stored))
        .map(|(task, _)| task.new.id)
        .collect();
    left.retain(|index| {
        let is_repeat = stored.contains(&tasks[*index].new.id);
        if is_repeat {
            answers[*index] = Some(Inserted::Repeated);
        }
        !is_repeat
    });
}

/// Leaves out those whose id an earlier one has: what becomes of them depends on what becomes of it.
fn first_of_each_id(tasks: &[Newcomer<'_>], left: &[usize]) -> Vec<usize> {
    let mut seen = HashSet::new();
    left.iter()
        .copied()
        .filter(|index| seen.insert(tasks[*index].new.id))
        .collect()
}

/// Who may give birth to leased tasks, and where.
#[derive(Debug, Default)]
struct MayLease {
    live: BTreeSet<SessionId>,
    paused: BTreeSet<Queue>,
}

async fn lease_check(tx: &mut Tx<'_>, tasks: &[Newcomer<'_>]) -> Outcome<MayLease> {
    let asked: BTreeSet<SessionId> = tasks.iter().filter_map(|task| task.new.leased_by).collect();
    let mut may_lease = MayLease::default();
    if asked.is_empty() {
        return Ok(may_lease);
    }
    let queues: BTreeSet<&str> = tasks.iter().map(|task| task.new.queue.as_str()).collect();
    let queues: Vec<&str> = queues.into_iter().collect();
    let statement = if tx.foreign {
        &tx.sql.lease_look
    } else {
        &tx.sql.lease_check
    };
    let statement = tx.query(statement).bind(ids(asked)).bind(queues);
    for row in tx.rows(statement).await? {
        if let Ok(Some(session)) = record::opt_session(&row, 0) {
            may_lease.live.insert(session);
        }
        if let Ok(Some(name)) = record::value::<Option<&str>>(&row, 1) {
            may_lease.paused.extend(Queue::new(name).ok());
        }
    }
    Ok(may_lease)
}

/// The first record of a task: pending, or born leased.
fn born(new: &NewTask, may_lease: &MayLease, now: Timestamp) -> Task {
    let task = Task::pending(new, now);
    match new.leased_by {
        Some(session)
            if new.run_at <= now
                && may_lease.live.contains(&session)
                && !may_lease.paused.contains(&new.queue) =>
        {
            claim(&task, session, now)
        }
        _ => task,
    }
}

/// Writes those that nothing is in the way of; answers their ids and whether they are leased.
async fn write(
    tx: &mut Tx<'_>,
    tasks: &[Newcomer<'_>],
    round: &[usize],
    may_lease: &MayLease,
    now: Timestamp,
    memo: &mut Memo,
) -> Outcome<HashMap<TaskId, bool>> {
    let mut sorted = round.to_vec();
    // A stable order: of one key the first task of the batch wins.
    sorted.sort_by_key(|index| {
        let new = tasks[*index].new;
        new.unique.as_ref().map(|unique| (&new.kind, &unique.key))
    });
    let mut rows = NewRows::with_capacity(sorted.len());
    let mut records = HashMap::with_capacity(sorted.len());
    for index in sorted {
        let new = tasks[index].new;
        let task = born(new, may_lease, now);
        rows.push(new, &task, memo);
        records.insert(task.id, task);
    }
    let statement = rows.bind(tx.query(&tx.sql.insert_task), now);
    let mut fresh = HashMap::with_capacity(records.len());
    for row in tx.rows(statement).await? {
        let id: TaskId = record::value::<Id>(&row, 0).map_err(altered)?.into();
        let Some(task) = records.get(&id) else { continue };
        let leased = task.session.is_some();
        if !leased {
            tx.effects.pending(&task.queue, task.run_at, now);
        }
        fresh.insert(id, leased);
    }
    Ok(fresh)
}

/// A statement of ours that answers what it cannot answer: somebody altered the tables.
pub(crate) fn altered(damage: Damage) -> StoreError {
    let message = format!("the store's tables were altered: {}", damage.0);
    StoreError::rejected(StoreErrorKind::Schema, message)
}
