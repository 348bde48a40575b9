//! Faults that show when an outcome is unknown, a store is opened again, or a row cannot be read.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use retry_core::id::{Nonce, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::store::{
    Applied, ClaimRequest, Exchanged, Inserted, Page, Result, StoreError, StoreErrorKind, TaskFilter,
    TaskStore as _,
};
use retry_core::task::{Action, Edit, NewTask, State, TaskDetail};
use retry_core::time::Timestamp;

use super::base::{Base, bad};
use super::broken::Fault;
use super::faulty::faulty;

fn corrupt() -> StoreError {
    StoreError::rejected(StoreErrorKind::Corrupt, "unreadable")
}

/// Writes `action` to a task, whatever its version.
async fn write(store: &Base, id: TaskId, now: Timestamp, change: impl Fn(&mut Action) + Send) -> Result<()> {
    let Some(stored) = store.get(id).await? else {
        return Ok(());
    };
    let Ok(mut action) = transition(
        &stored.task,
        Event::Reschedule {
            at: stored.task.run_at,
        },
        now,
        0,
    ) else {
        return Ok(());
    };
    change(&mut action);
    let edit = Edit {
        id,
        version: stored.task.version,
        nonce: Nonce::from_random(stored.task.version + 4_242),
        action,
        insert: Vec::new(),
    };
    store.exchange(&[edit], &[], now).await.map(drop)
}

faulty! {
    /// Counts an attempt when a settle is repeated.
    RepeatCounts: exchange |store, edits, claims, now| {
        let applied = store.exchange(edits, &[], now).await?.applied;
        for (edit, applied) in edits.iter().zip(&applied) {
            if *applied == Applied::Repeated {
                let counted = |action: &mut Action| if let Action::Set(change) = action {
                    change.to.attempt += 1;
                };
                write(store, edit.id, now, counted).await?;
            }
        }
        Ok(Exchanged::new(applied, store.exchange(&[], claims, now).await?.claimed))
    };

    /// A repeated settle makes its inserts again, under other ids.
    RepeatInserts: exchange |store, edits, claims, now| {
        let answer = store.exchange(edits, claims, now).await?;
        for (edit, applied) in edits.iter().zip(&answer.applied) {
            if *applied == Applied::Repeated {
                let again = |task: &NewTask| NewTask {
                    id: TaskId::child(task.id, 9, 9, 9),
                    parent: None,
                    unique: None,
                    ..task.clone()
                };
                let again: Vec<NewTask> = edit.insert.iter().map(again).collect();
                store.insert(&again, now).await?;
            }
        }
        Ok(answer)
    };

    /// One row that cannot be read fails the whole claim, each time.
    BadFailsClaim: exchange |store, edits, claims, now| {
        let filter = TaskFilter { states: vec![State::Pending], ..TaskFilter::default() };
        let met = !claims.is_empty() && !store.list(&filter, &Page::first(1_000)).await?.bad.is_empty();
        if met { Err(corrupt()) } else { store.exchange(edits, claims, now).await }
    };

    /// Rows that cannot be read vanish without a word.
    BadIsSilent: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        answer.claimed.iter_mut().for_each(|claimed| claimed.bad.clear());
        Ok(answer)
    };

    /// A claim that meets a row that cannot be read gives nothing of what it took.
    BadTakesAll: exchange |store, edits, claims, now| {
        let mut answer = store.exchange(edits, claims, now).await?;
        for claimed in &mut answer.claimed {
            if !claimed.bad.is_empty() {
                claimed.tasks.clear();
            }
        }
        Ok(answer)
    };

    /// A row that cannot be read ends the listing with an error.
    BadEndsListing: list |store, filter, page| {
        let listed = store.list(filter, page).await?;
        if listed.bad.is_empty() { Ok(listed) } else { Err(corrupt()) }
    };

    /// A row that cannot be read is shown to nobody.
    BadIsAbsent: get |store, id| {
        match store.get(id).await {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(None),
            answer => answer,
        }
    };

    /// A row that cannot be read ends the round of the rescuer.
    BadEndsRound: expired |store, request, now| {
        let mut expired = store.expired(request, now).await?;
        if !expired.bad.is_empty() {
            expired.items.clear();
        }
        Ok(expired)
    };

    /// A call over the bound is cut, not refused.
    CutsBatches: insert |store, tasks, now| {
        let cut = &tasks[..tasks.len().min(retry_core::limits::MAX_BATCH)];
        let mut answers = store.insert(cut, now).await?;
        answers.resize(tasks.len(), Inserted::New { leased: false });
        Ok(answers)
    };
}

/// Reports a row that it cannot read with every claim.
#[derive(Debug, Default)]
pub(super) struct BadAgainAndAgain {
    known: Mutex<BTreeSet<TaskId>>,
}

#[async_trait]
impl Fault for BadAgainAndAgain {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let mut answer = store.exchange(edits, claims, now).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for claimed in &mut answer.claimed {
            known.extend(claimed.bad.iter().map(|bad| bad.id));
            claimed.bad = known.iter().map(|id| bad(*id)).collect();
        }
        drop(known);
        Ok(answer)
    }
}

/// Writes an insert with the next call: it answers before anything is kept.
#[derive(Debug, Default)]
pub(super) struct WritesLater {
    waiting: Mutex<Vec<NewTask>>,
}

impl WritesLater {
    fn take(&self) -> Vec<NewTask> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Fault for WritesLater {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        store.insert(&self.take(), now).await?;
        let plain = tasks
            .iter()
            .all(|task| task.unique.is_none() && task.leased_by.is_none());
        let mut fresh = true;
        for task in tasks {
            fresh &= store.get(task.id).await?.is_none();
        }
        if !plain || !fresh {
            return store.insert(tasks, now).await;
        }
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(tasks);
        Ok(vec![Inserted::New { leased: false }; tasks.len()])
    }

    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        store.insert(&self.take(), now).await?;
        store.exchange(edits, claims, now).await
    }

    async fn get(&self, store: &Base, id: TaskId) -> Result<Option<TaskDetail>> {
        let now = store.time().await?;
        store.insert(&self.take(), now).await?;
        store.get(id).await
    }
}
