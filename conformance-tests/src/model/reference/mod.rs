//! The model: a map of tasks and the pure machine. It has no index and scans for every answer, so that it shares no
//! shortcut with any store.

mod claim;
mod edit;
mod rescue;

use std::collections::{BTreeMap, BTreeSet};

use retry_core::id::{SessionId, TaskId};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::store::{Lane, QueueInfo, QueueSetting, Session, SessionInfo, TaskFilter};
use retry_core::task::{State, Task, TaskDetail, TaskSummary};
use retry_core::time::Timestamp;

use super::call::{Answer, Call};

/// A task with the nonce of the edit that wrote it last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) detail: TaskDetail,
    pub(super) nonce: u64,
}

/// What the store under test ought to hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reference {
    pub(super) rows: BTreeMap<TaskId, Row>,
    pub(super) sessions: BTreeMap<SessionId, Presence>,
    pub(super) paused: BTreeSet<Queue>,
}

/// A session in the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Presence {
    pub(super) info: SessionInfo,
    /// What it was opened with; opening it again says the same.
    pub(super) opened_until: Timestamp,
    pub(super) until: Timestamp,
    pub(super) lost: bool,
    pub(super) closed: bool,
}

impl Reference {
    /// Makes the call.
    pub(super) fn answer(&mut self, call: &Call, now: Timestamp) -> Answer {
        match call {
            Call::Insert(tasks) => {
                Answer::Inserted(tasks.iter().map(|task| self.insert(task, now)).collect())
            }
            Call::Exchange(edits, claims) => {
                let applied = edits.iter().map(|edit| self.apply(edit, now)).collect();
                let claimed = claims.iter().map(|claim| self.claim(claim, now)).collect();
                Answer::Exchanged(retry_core::store::Exchanged::new(applied, claimed))
            }
            Call::Open(info, until) => self.open(info, *until),
            Call::Renew(session, until) => Answer::Renewed(self.renew(*session, *until)),
            Call::Close(session) => self.close(*session),
            Call::Sessions => Answer::Sessions(self.session_list()),
            Call::Mark => {
                self.mark(now);
                Answer::Reported(self.reports(now))
            }
            Call::Round(_) => Answer::Reported(self.reports(now)),
            Call::Get(id) => Answer::Detail(self.rows.get(id).map(|row| Box::new(row.detail.clone()))),
            Call::List(filter, _) => Answer::Listed(self.list(filter)),
            Call::Count(scope) => Answer::Counts(self.count(scope.queue.as_ref())),
            Call::Purge => Answer::Purged(self.purge(now)),
            Call::SetQueue(queue, setting) => {
                match setting {
                    QueueSetting::Pause => self.paused.insert(queue.clone()),
                    _ => self.paused.remove(queue),
                };
                Answer::Done
            }
            Call::Queues => Answer::Queues(self.queues()),
        }
    }

    /// All records.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.rows.values().map(|row| &row.detail.task)
    }

    fn task(&self, id: TaskId) -> Option<&Task> {
        self.rows.get(&id).map(|row| &row.detail.task)
    }

    pub(super) fn is_live(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|presence| !presence.lost)
    }

    /// The running tasks of a session, by id.
    pub(super) fn held_by(&self, session: SessionId) -> Vec<&Task> {
        self.tasks()
            .filter(|task| task.session == Some(session))
            .collect()
    }

    fn holder(&self, kind: &Kind, key: &UniqueKey) -> Option<&Task> {
        self.tasks().find(|task| {
            task.holds_key && task.kind == *kind && task.unique.as_ref().is_some_and(|(held, _)| held == key)
        })
    }

    fn parent_of(&self, task: &Task) -> Option<&Task> {
        task.parent.and_then(|parent| self.task(parent))
    }

    /// All rows of a filter, newest id first.
    pub(super) fn list(&self, filter: &TaskFilter) -> Vec<TaskSummary> {
        let details = self.rows.values().rev().map(|row| row.detail.clone());
        let passing = details.filter(|detail| filter.matches(detail));
        passing
            .map(|detail| {
                let output = detail.output.filter(|_| filter.with_output);
                TaskSummary::new(detail.task, detail.last_error, output, detail.via_fallback)
            })
            .collect()
    }

    fn count(&self, only: Option<&Queue>) -> BTreeMap<(Queue, State), u64> {
        let mut counts = BTreeMap::new();
        for task in self
            .tasks()
            .filter(|task| only.is_none_or(|queue| *queue == task.queue))
        {
            *counts.entry((task.queue.clone(), task.state)).or_default() += 1;
        }
        counts
    }

    fn queues(&self) -> Vec<QueueInfo> {
        let pending = || self.tasks().filter(|task| task.state == State::Pending);
        let names: BTreeSet<&Queue> = pending().map(|task| &task.queue).chain(&self.paused).collect();
        let info = |queue: &Queue| {
            let mut heads: BTreeMap<Lane, Timestamp> = BTreeMap::new();
            for task in pending().filter(|task| task.queue == *queue) {
                let head = heads.entry(lane(task)).or_insert(task.run_at);
                *head = task.run_at.min(*head);
            }
            QueueInfo::new(
                queue.clone(),
                self.paused.contains(queue),
                heads.into_iter().collect(),
            )
        };
        names.into_iter().map(info).collect()
    }

    fn session_list(&self) -> Vec<Session> {
        let sessions = self.sessions.values();
        sessions
            .map(|presence| Session::new(presence.info.clone(), presence.until, presence.lost))
            .collect()
    }
}

/// The lane of a pending task.
pub(super) fn lane(task: &Task) -> Lane {
    Lane {
        kind: task.kind.clone(),
        priority: task.priority,
        suspect: task.crashes > 0,
    }
}
