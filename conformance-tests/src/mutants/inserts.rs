//! Faults of inserts.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use retry_core::id::Nonce;
use retry_core::limits::MAX_BATCH;
use retry_core::machine::{AdminEdit, Event, transition};
use retry_core::name::UniqueKey;
use retry_core::payload::Payload;
use retry_core::store::{Inserted, Page, Result, StoreError, StoreErrorKind, TaskFilter, TaskStore as _};
use retry_core::task::{Edit, NewTask, Unique};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;

/// Answers New for every third task and does not store it.
#[derive(Debug, Default)]
pub(super) struct Drops {
    seen: AtomicUsize,
}

#[async_trait]
impl Fault for Drops {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let mut answers = Vec::new();
        for task in tasks {
            if self.seen.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
                answers.push(Inserted::New { leased: false });
            } else {
                answers.extend(store.insert(std::slice::from_ref(task), now).await?);
            }
        }
        Ok(answers)
    }
}

/// Stores payloads without the space around them.
#[derive(Debug, Default)]
pub(super) struct Trims;

#[async_trait]
impl Fault for Trims {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let trimmed = |task: &NewTask| NewTask {
            payload: Payload::from_stored(task.payload.as_json().trim()),
            ..task.clone()
        };
        let tasks: Vec<NewTask> = tasks.iter().map(trimmed).collect();
        store.insert(&tasks, now).await
    }
}

/// Fails the call when one of its tasks is a duplicate.
#[derive(Debug, Default)]
pub(super) struct Refuses;

#[async_trait]
impl Fault for Refuses {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let answers = store.insert(tasks, now).await?;
        let duplicate = answers
            .iter()
            .any(|answer| matches!(answer, Inserted::Duplicate { .. }));
        if duplicate {
            return Err(StoreError::rejected(StoreErrorKind::Other, "unique constraint"));
        }
        Ok(answers)
    }
}

/// Lets a repeated id write its payload.
#[derive(Debug, Default)]
pub(super) struct Overwrites;

#[async_trait]
impl Fault for Overwrites {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let answers = store.insert(tasks, now).await?;
        for (task, answer) in tasks.iter().zip(&answers) {
            let (Inserted::Repeated, Some(stored)) = (answer, store.get(task.id).await?) else {
                continue;
            };
            let edit = AdminEdit {
                payload: Some(task.payload.clone()),
                headers: None,
            };
            if let Ok(action) = transition(&stored.task, Event::Edit(edit), now, 0) {
                let edit = Edit {
                    id: task.id,
                    version: stored.task.version,
                    nonce: Nonce::from_random(stored.task.version + 99),
                    action,
                    insert: Vec::new(),
                };
                store.exchange(&[edit], &[], now).await?;
            }
        }
        Ok(answers)
    }
}

/// Looks whether a key is held, then inserts without one: between the two another caller may insert.
#[derive(Debug, Default)]
pub(super) struct LooksThenInserts;

#[async_trait]
impl Fault for LooksThenInserts {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let mut answers = Vec::new();
        for task in tasks {
            let Some(unique) = &task.unique else {
                answers.extend(store.insert(std::slice::from_ref(task), now).await?);
                continue;
            };
            // The key travels as a header, which the mutant can look for.
            let mut keyless = NewTask {
                unique: None,
                ..task.clone()
            };
            let marked = keyless.headers.insert("key", unique.key.as_str());
            marked.map_err(|error| StoreError::invalid(error.to_string()))?;
            let filter = TaskFilter {
                header: Some(("key".to_owned(), unique.key.as_str().to_owned())),
                ..TaskFilter::default()
            };
            let held = store.list(&filter, &Page::first(1)).await?;
            tokio::task::yield_now().await;
            answers.push(match held.tasks.first() {
                Some(row) => Inserted::Duplicate {
                    holder: row.task.id,
                    state: row.task.state,
                },
                None => store.insert(&[keyless], now).await?[0],
            });
        }
        Ok(answers)
    }
}

/// Writes the first thousand tasks of a call that it refuses.
#[derive(Debug, Default)]
pub(super) struct Half;

#[async_trait]
impl Fault for Half {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        if tasks.len() > MAX_BATCH {
            store.insert(&tasks[..MAX_BATCH], now).await?;
        }
        store.insert(tasks, now).await
    }
}

/// Answers in the order of the ids.
#[derive(Debug, Default)]
pub(super) struct Sorts;

#[async_trait]
impl Fault for Sorts {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let answers = store.insert(tasks, now).await?;
        let mut answers: Vec<_> = tasks.iter().map(|task| task.id).zip(answers).collect();
        answers.sort_by_key(|(id, _)| *id);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}

/// Compares keys without regard to case.
#[derive(Debug, Default)]
pub(super) struct FoldsKeys;

#[async_trait]
impl Fault for FoldsKeys {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let folded = |task: &NewTask| {
            let unique = task.unique.as_ref().and_then(|unique| {
                let key = UniqueKey::new(unique.key.as_str().to_lowercase()).ok()?;
                Some(Unique {
                    key,
                    ..unique.clone()
                })
            });
            NewTask {
                unique,
                ..task.clone()
            }
        };
        let tasks: Vec<NewTask> = tasks.iter().map(folded).collect();
        store.insert(&tasks, now).await
    }
}
