//! Faults of what is kept: texts, times, levels, keys.

use std::time::Duration;

use async_trait::async_trait;
use retry_core::headers::Headers;
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{Inserted, Result, TaskStore as _};
use retry_core::task::{ErrorText, NewTask, OnDuplicate, State, Unique};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;
use super::faulty::faulty;

/// Inserts the tasks as `change` makes them.
async fn changed(
    store: &Base,
    tasks: &[NewTask],
    now: Timestamp,
    change: impl Fn(&mut NewTask) + Send + Sync,
) -> Result<Vec<Inserted>> {
    let mut tasks = tasks.to_vec();
    tasks.iter_mut().for_each(change);
    store.insert(&tasks, now).await
}

faulty! {
    /// Keeps whole seconds only.
    WholeSeconds: insert |store, tasks, now| changed(store, tasks, now, |task| {
        task.run_at = Timestamp::from_millis(task.run_at.as_millis().div_euclid(1_000) * 1_000);
    }).await;

    /// Keeps no time before the epoch.
    NothingNegative: insert |store, tasks, now| changed(store, tasks, now, |task| {
        task.run_at = task.run_at.max(Timestamp::EPOCH);
    }).await;

    /// Keeps times as seconds in 32 bits.
    EndsIn2038: insert |store, tasks, now| changed(store, tasks, now, |task| {
        task.run_at = task.run_at.min(Timestamp::from_millis(1_000 * i64::from(i32::MAX)));
    }).await;

    /// Has three levels.
    ThreeLevels: insert |store, tasks, now| changed(store, tasks, now, |task| {
        if task.priority == Priority::Low {
            task.priority = Priority::Normal;
        }
    }).await;

    /// Cuts payloads at 64 KiB.
    CutsPayloads: insert |store, tasks, now| changed(store, tasks, now, |task| {
        if task.payload.len() > 65_535 {
            task.payload = Payload::null();
        }
    }).await;

    /// Keeps no character outside the basic plane of Unicode.
    ThreeBytes: insert |store, tasks, now| changed(store, tasks, now, |task| {
        let text = task.payload.as_json();
        let plain: String = text.chars().map(|c| if u32::from(c) > 0xffff { '?' } else { c }).collect();
        task.payload = Payload::from_stored(plain);
    }).await;

    /// Keeps header names in lower case.
    FoldsHeaders: insert |store, tasks, now| changed(store, tasks, now, |task| {
        let mut headers = Headers::new();
        for (key, value) in task.headers.iter() {
            // A folded name is as short as the name.
            let _ = headers.insert(key.to_lowercase(), value);
        }
        task.headers = headers;
    }).await;

    /// Takes a duplicate that replaces for one that keeps.
    NeverReplaces: insert |store, tasks, now| changed(store, tasks, now, |task| {
        if let Some(unique) = &mut task.unique {
            *unique = Unique { on_duplicate: OnDuplicate::Keep, ..unique.clone() };
        }
    }).await;

    /// Lets no task be born leased.
    NeverLeased: insert |store, tasks, now| changed(store, tasks, now, |task| task.leased_by = None).await;

    /// Forgets the start deadline.
    NeverExpires: insert |store, tasks, now| changed(store, tasks, now, |task| {
        task.settings.expires_at = None;
    }).await;

    /// Forgets how long a task is to be kept.
    OneRetention: insert |store, tasks, now| changed(store, tasks, now, |task| {
        task.settings.retention.cancelled = Some(Duration::from_hours(24));
    }).await;

    /// Says of every holder that it is pending.
    HolderIsPending: insert |store, tasks, now| {
        let mut answers = store.insert(tasks, now).await?;
        for answer in &mut answers {
            if let Inserted::Duplicate { state, .. } = answer {
                *state = State::Pending;
            }
        }
        Ok(answers)
    };

    /// Looks at the key before the id: a task sent again meets itself.
    KeyBeforeId: insert |store, tasks, now| {
        let mut answers = store.insert(tasks, now).await?;
        for (task, answer) in tasks.iter().zip(&mut answers) {
            if *answer == Inserted::Repeated && task.unique.is_some() {
                let found = store.get(task.id).await?;
                let state = found.map_or(State::Pending, |found| found.task.state);
                *answer = Inserted::Duplicate { holder: task.id, state };
            }
        }
        Ok(answers)
    };

    /// Shows the last error cut to 255 bytes.
    CutsErrors: get |store, id| {
        let mut found = store.get(id).await?;
        if let Some(detail) = &mut found {
            let cut = |error: &ErrorText| error.as_str().chars().take(255).collect::<String>();
            detail.last_error = detail.last_error.as_ref().map(|error| ErrorText::new(cut(error)));
        }
        Ok(found)
    };

    /// Keeps the last failed attempt only.
    LastFailureOnly: get |store, id| {
        let mut found = store.get(id).await?;
        if let Some(detail) = &mut found {
            let older = detail.failures.len().saturating_sub(1);
            detail.failures.drain(..older);
        }
        Ok(found)
    };
}
