//! Purges and marks with small limits: which rows and sessions a limit leaves out is the store's choice, so the model
//! follows it as far as it is right.

use std::collections::BTreeSet;

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_BATCH, PURGE_CHILD_DELAY, RESEND_WINDOW};
use retry_core::store::ExpiredRequest;
use retry_core::task::Task;
use retry_core::time::Timestamp;

use super::call::Call;
use super::history::{History, list_all};
use crate::describe;
use crate::verdict::{Failure, Verdict, equal, holds};

/// Whether a purge may forget the task, but for its parent.
fn may_go(task: &Task, now: Timestamp) -> bool {
    task.purge_at.is_some_and(|at| at <= now) && task.created_at.saturating_add(RESEND_WINDOW) <= now
}

impl History {
    /// Purges up to `limit` tasks.
    pub(super) async fn purge_some(&mut self, limit: usize) -> Verdict {
        let now = self.world.now();
        let moment = self.moment();
        let purged = self.store.purge(now, limit).await;
        self.trail.push(format!("purge {limit} at {now} → {purged:?}"));
        let purged = purged.map_err(|error| Failure::call("a purge", &error))?;
        let model = &self.world.model;
        let is_due = |task: &Task| may_go(task, now);
        let awaits = |task: &Task| model.is_awaited(task);
        let rows = list_all(&*self.store).await?;
        let stored: BTreeSet<TaskId> = rows.iter().map(|row| row.task.id).collect();
        let gone: Vec<&Task> = model.tasks().filter(|task| !stored.contains(&task.id)).collect();
        let right = gone.iter().all(|task| is_due(task) && !awaits(task));
        let ids: Vec<TaskId> = gone.iter().map(|task| task.id).collect();
        holds(
            "L1",
            "what a purge forgot",
            right,
            &ids,
            "ended tasks that are due, and no awaited child",
        )?;
        let unreadable = self.world.damaged.len() as u64;
        let told = (ids.len() as u64..=ids.len() as u64 + unreadable).contains(&purged);
        holds(
            "L1",
            "the answer of a purge",
            told,
            purged,
            &format!("{}", ids.len()),
        )?;
        let most = limit as u64;
        holds(
            "L13",
            "the answer of a purge",
            purged <= most,
            purged,
            &format!("at most {limit}"),
        )?;
        let later = now.saturating_add(PURGE_CHILD_DELAY);
        let put_off: Vec<TaskId> = rows
            .iter()
            .filter(|row| row.task.purge_at == Some(later))
            .filter_map(|row| model.rows.get(&row.task.id).map(|row| &row.detail.task))
            .filter(|task| is_due(task) && awaits(task))
            .map(|task| task.id)
            .collect();
        let idle = purged == 0 && put_off.is_empty() && unreadable == 0;
        let any_due = model.tasks().any(is_due);
        holds(
            "L1",
            "a purge of ended tasks",
            !(idle && any_due),
            purged,
            "some progress",
        )?;
        for id in ids {
            self.world.model.rows.remove(&id);
        }
        for id in put_off {
            if let Some(row) = self.world.model.rows.get_mut(&id) {
                row.detail.task.purge_at = Some(later);
            }
        }
        self.world.model.forget_idle_sessions();
        self.features.insert("a small purge".to_owned());
        self.finish(&Call::Purge, now, moment).await
    }

    /// Marks sessions and reports tasks, up to `limit` of both.
    pub(super) async fn mark_some(&mut self, limit: usize) -> Verdict {
        let now = self.world.now();
        let moment = self.moment();
        let request = ExpiredRequest {
            mark: true,
            after: None,
            limit,
        };
        let expired = self.store.expired(&request, now).await;
        let mut expired = expired.map_err(|error| Failure::call("a round", &error))?;
        let sessions = self.store.sessions().await;
        let sessions = sessions.map_err(|error| Failure::call("the sessions", &error))?;
        let shown: Vec<String> = expired
            .items
            .iter()
            .map(|(task, _)| describe::task(task))
            .collect();
        self.trail.push(format!(
            "expired, marking, limit {limit} at {now} → {shown:?}, next {:?}",
            expired.next
        ));
        expired
            .items
            .retain(|(task, _)| !self.world.damaged.contains_key(&task.id));
        let ended = self.world.model.ended(now);
        let marked: Vec<SessionId> = ended
            .iter()
            .copied()
            .filter(|id| {
                let open = sessions.iter().find(|session| session.info.id == *id);
                // A lost session that holds nothing may be forgotten.
                open.is_none_or(|session| session.lost)
            })
            .collect();
        for id in &marked {
            if let Some(presence) = self.world.model.sessions.get_mut(id) {
                presence.lost = true;
            }
        }
        let done = marked.len() + expired.items.len();
        holds(
            "L13",
            "sessions marked and tasks reported",
            done <= limit,
            done,
            &format!("at most {limit}"),
        )?;
        let wanted = self.world.model.reports(now);
        let first: Vec<_> = wanted.iter().take(expired.items.len()).cloned().collect();
        equal("L9", "what is reported", &expired.items, &first)?;
        // Sessions that the limit left unmarked are met by the next round.
        let complete = wanted.len() == first.len() || expired.next.is_some();
        holds(
            "L9",
            "a round without `next`",
            complete,
            expired.next,
            "everything reported",
        )?;
        let idle = done == 0 && self.world.damaged.is_empty();
        let any = !ended.is_empty() || !wanted.is_empty();
        holds(
            "L9",
            "a round with something to do",
            !(idle && any),
            done,
            "some progress",
        )?;
        self.features.insert("a small mark".to_owned());
        self.finish(&Call::Round(MAX_BATCH), now, moment).await
    }
}
