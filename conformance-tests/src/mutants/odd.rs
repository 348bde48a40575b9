//! Faults of filters, cursors, boundaries and what belongs together.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::headers::Headers;
use retry_core::id::SessionId;
use retry_core::store::{Applied, Count, Inserted, Page, QueueSetting, Result, TaskFilter, TaskStore as _};
use retry_core::store::{ClaimRequest, Exchanged};
use retry_core::task::{Action, Edit, State};
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;
use super::faulty::faulty;

/// The edits as `change` makes them.
async fn edited(
    store: &Base,
    edits: &[Edit],
    claims: &[ClaimRequest],
    now: Timestamp,
    change: impl Fn(&mut Edit) + Send + Sync,
) -> Result<Exchanged> {
    let mut edits = edits.to_vec();
    edits.iter_mut().for_each(change);
    store.exchange(&edits, claims, now).await
}

faulty! {
    /// Keeps no kinds of a session.
    SessionsWithoutKinds: sessions |store| {
        let mut sessions = store.sessions().await?;
        sessions.iter_mut().for_each(|session| session.info.kinds.clear());
        Ok(sessions)
    };

    /// Takes the first of several states.
    FirstState: list |store, filter, page| {
        let mut filter = filter.clone();
        filter.states.truncate(1);
        store.list(&filter, page).await
    };

    /// Takes the first of several kinds.
    FirstFilterKind: list |store, filter, page| {
        let mut filter = filter.clone();
        filter.kinds.truncate(1);
        store.list(&filter, page).await
    };

    /// `due_before` includes its time.
    DueBeforeIncludes: list |store, filter, page| {
        let mut filter = filter.clone();
        filter.due_before = filter.due_before.map(|at| at.saturating_add(Duration::from_millis(1)));
        store.list(&filter, page).await
    };

    /// `created_from` leaves its time out.
    CreatedFromExcludes: list |store, filter, page| {
        let mut filter = filter.clone();
        filter.created_from = filter.created_from.map(|at| at.saturating_add(Duration::from_millis(1)));
        store.list(&filter, page).await
    };

    /// A page behind a row that is gone is empty.
    CursorMustExist: list |store, filter, page| {
        let gone = match page.after {
            Some(after) => store.list(&TaskFilter::default(), &Page::first(1_000)).await?.tasks.iter().all(|row| row.task.id != after),
            None => false,
        };
        if gone { Ok(retry_core::store::Listed::default()) } else { store.list(filter, page).await }
    };

    /// Says of an exact count that it is at least so much.
    NeverExact: count |store, scope| {
        let mut counts = store.count(scope).await?;
        counts.counts.values_mut().for_each(|count| *count = Count::AtLeast(count.get()));
        Ok(counts)
    };

    /// Says of every count that it was given up.
    NeverComplete: count |store, scope| {
        let mut counts = store.count(scope).await?;
        counts.complete = false;
        Ok(counts)
    };

    /// An alarm rings a millisecond late.
    LateAlarms: expired |store, request, now| {
        let mut expired = store.expired(request, now).await?;
        expired.items.retain(|(task, _)| task.session.is_some() || task.alarm_at != Some(now));
        Ok(expired)
    };

    /// Reports the last first.
    RoundBackwards: expired |store, request, now| {
        let mut expired = store.expired(request, now).await?;
        if expired.next.is_none() && request.after.is_none() {
            expired.items.reverse();
        }
        Ok(expired)
    };

    /// The second of two tasks with one key in a batch is stored without it.
    KeysWithinBatch: insert |store, tasks, now| {
        let mut seen = BTreeSet::new();
        let mut tasks = tasks.to_vec();
        for task in &mut tasks {
            let key = task.unique.as_ref().map(|unique| (task.kind.clone(), unique.key.as_str().to_owned()));
            if key.is_some_and(|key| !seen.insert(key)) {
                task.unique = None;
            }
        }
        store.insert(&tasks, now).await
    };

    /// A key keeps out tasks of other kinds as well.
    KeysForAllKinds: insert |store, tasks, now| {
        let mut answers = Vec::new();
        for task in tasks {
            let key = task.unique.as_ref().map(|unique| unique.key.as_str().to_owned());
            let filter = TaskFilter { key, ..TaskFilter::default() };
            let rows = store.list(&filter, &Page::first(1_000)).await?.tasks;
            let other = rows.iter().find(|row| row.task.holds_key && row.task.kind != task.kind && row.task.id != task.id);
            match (&task.unique, other) {
                (Some(_), Some(row)) => answers.push(Inserted::Duplicate { holder: row.task.id, state: row.task.state }),
                _ => answers.extend(store.insert(std::slice::from_ref(task), now).await?),
            }
        }
        Ok(answers)
    };

    /// A checkpoint forgets the deadline of its attempt.
    CheckpointStopsDeadline: exchange |store, edits, claims, now| edited(store, edits, claims, now, |edit| {
        if let Action::Set(change) = &mut edit.action && change.to.state == State::Running {
            change.to.alarm_at = None;
        }
    }).await;

    /// A cancel between decision and write is overlooked by retries.
    OverlooksCancels: exchange |store, edits, claims, now| edited(store, edits, claims, now, |edit| {
        if let Action::Set(change) = &mut edit.action {
            change.if_cancelled = None;
        }
    }).await;

    /// Tasks inserted by an edit have no headers.
    FollowUpsWithoutHeaders: exchange |store, edits, claims, now| edited(store, edits, claims, now, |edit| {
        edit.insert.iter_mut().for_each(|task| task.headers = Headers::new());
    }).await;

    /// A delete inserts nothing.
    DeletesInsertNothing: exchange |store, edits, claims, now| edited(store, edits, claims, now, |edit| {
        if matches!(edit.action, Action::Delete { .. }) {
            edit.insert.clear();
        }
    }).await;

    /// A rerun keeps the flag of the cancel that ended it.
    RerunKeepsFlag: exchange |store, edits, claims, now| edited(store, edits, claims, now, |edit| {
        if let Action::Set(change) = &mut edit.action && change.from.is_final() {
            change.to.cancel_requested = None;
        }
    }).await;

    /// A settle clears the history it does not name.
    SettleKeepsCrashes: exchange |store, edits, claims, now| edited(store, edits, claims, now, |edit| {
        if let Action::Set(change) = &mut edit.action && change.to.failure.is_some() {
            change.to.crashes = change.to.crashes.max(1);
        }
    }).await;

    /// Two claims of one call share the first one's limit.
    SharedLimit: exchange |store, edits, claims, now| {
        let mut left = claims.first().map_or(0, |first| first.limit);
        let mut answer = store.exchange(edits, &[], now).await?;
        for claim in claims {
            let limit = claim.limit.min(left);
            let claim = ClaimRequest { limit, ..claim.clone() };
            let claimed = store.exchange(&[], &[claim], now).await?.claimed;
            left -= claimed.iter().map(|claimed| claimed.tasks.len()).sum::<usize>().min(left);
            answer.claimed.extend(claimed);
        }
        Ok(answer)
    };

    /// Pauses queues whose names differ in case as well.
    PausesIgnoreCase: set_queue |store, queue, setting| {
        for info in store.queues().await? {
            if info.queue.as_str().eq_ignore_ascii_case(queue.as_str()) {
                store.set_queue(&info.queue, setting).await?;
            }
        }
        store.set_queue(queue, setting).await
    };

    /// Closing a session hands its tasks back by itself.
    CloseHandsBack: close_session |store, session| {
        let filter = TaskFilter { session: Some(session), ..TaskFilter::default() };
        let now = store.time().await?;
        for row in store.list(&filter, &Page::first(1_000)).await?.tasks {
            let action = retry_core::machine::transition(&row.task, retry_core::machine::Event::HandBack, now, 0);
            let action = action.map_err(|error| retry_core::store::StoreError::invalid(error.to_string()))?;
            let edit = Edit { id: row.task.id, version: row.task.version, nonce: retry_core::id::Nonce::from_random(row.task.version + 5), action, insert: Vec::new() };
            store.exchange(&[edit], &[], now).await?;
        }
        store.close_session(session).await
    };

    /// Loses the history of failures with a rerun.
    RerunForgetsHistory: get |store, id| {
        let mut found = store.get(id).await?;
        if let Some(detail) = &mut found && detail.task.reruns > 0 {
            detail.failures.clear();
        }
        Ok(found)
    };
}

/// Remembers every nonce it has ever seen.
#[derive(Debug, Default)]
pub(super) struct RemembersNonces {
    seen: Mutex<BTreeSet<u64>>,
}

#[async_trait]
impl Fault for RemembersNonces {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let mut answer = store.exchange(edits, claims, now).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (edit, applied) in edits.iter().zip(&mut answer.applied) {
            let old = !seen.insert(edit.nonce.get());
            if old && *applied == Applied::Stale {
                *applied = Applied::Repeated;
            }
        }
        drop(seen);
        Ok(answer)
    }
}
