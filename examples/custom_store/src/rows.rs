//! The map that is the store, with the old values of what the present call changes.

use std::collections::{BTreeMap, BTreeSet};

use retry_core::id::{SessionId, TaskId};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::store::{Lane, Session};
use retry_core::task::{State, Task, TaskDetail};

/// A task with the nonce of the edit that wrote it last.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) detail: TaskDetail,
    pub(crate) nonce: u64,
}

/// A session, and whether its worker closed it.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    pub(crate) session: Session,
    pub(crate) closed: bool,
}

/// Everything stored. All changes go through the methods here, which remember what was there before.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    tasks: BTreeMap<TaskId, Row>,
    sessions: BTreeMap<SessionId, Presence>,
    paused: BTreeSet<Queue>,
    /// The old values of what the present call changed.
    old_tasks: BTreeMap<TaskId, Option<Row>>,
    old_sessions: BTreeMap<SessionId, Option<Presence>>,
    old_paused: BTreeMap<Queue, bool>,
    woken: BTreeSet<Queue>,
}

impl Rows {
    pub(crate) fn put(&mut self, row: Row) {
        let task = &row.detail.task;
        let id = task.id;
        if task.state == State::Pending {
            self.woken.insert(task.queue.clone());
        }
        let old = self.tasks.insert(id, row);
        self.old_tasks.entry(id).or_insert(old);
    }

    pub(crate) fn remove(&mut self, id: TaskId) {
        let old = self.tasks.remove(&id);
        self.old_tasks.entry(id).or_insert(old);
    }

    pub(crate) fn put_session(&mut self, presence: Presence) {
        let id = presence.session.info.id;
        let old = self.sessions.insert(id, presence);
        self.old_sessions.entry(id).or_insert(old);
    }

    pub(crate) fn remove_session(&mut self, id: SessionId) {
        let old = self.sessions.remove(&id);
        self.old_sessions.entry(id).or_insert(old);
    }

    pub(crate) fn pause(&mut self, queue: &Queue, paused: bool) {
        let was = if paused {
            !self.paused.insert(queue.clone())
        } else {
            self.woken.insert(queue.clone());
            self.paused.remove(queue)
        };
        self.old_paused.entry(queue.clone()).or_insert(was);
    }

    /// What the present call changed, each with its new value; none: it is gone.
    pub(crate) fn changed_tasks(&self) -> impl Iterator<Item = (TaskId, Option<&Row>)> {
        self.old_tasks.keys().map(|id| (*id, self.tasks.get(id)))
    }

    pub(crate) fn changed_sessions(&self) -> impl Iterator<Item = (SessionId, Option<&Presence>)> {
        self.old_sessions.keys().map(|id| (*id, self.sessions.get(id)))
    }

    pub(crate) fn changed_queues(&self) -> impl Iterator<Item = (&Queue, bool)> {
        self.old_paused.keys().map(|queue| (queue, self.is_paused(queue)))
    }

    /// The call ended: what it did is kept, or taken back. Answers the queues to wake.
    pub(crate) fn finish(&mut self, keep: bool) -> BTreeSet<Queue> {
        let (tasks, sessions, paused) = (
            std::mem::take(&mut self.old_tasks),
            std::mem::take(&mut self.old_sessions),
            std::mem::take(&mut self.old_paused),
        );
        let woken = std::mem::take(&mut self.woken);
        if keep {
            return woken;
        }
        for (id, old) in tasks {
            match old {
                Some(row) => self.tasks.insert(id, row),
                None => self.tasks.remove(&id),
            };
        }
        for (id, old) in sessions {
            match old {
                Some(presence) => self.sessions.insert(id, presence),
                None => self.sessions.remove(&id),
            };
        }
        for (queue, was) in paused {
            if was {
                self.paused.insert(queue);
            } else {
                self.paused.remove(&queue);
            }
        }
        BTreeSet::new()
    }

    pub(crate) fn row(&self, id: TaskId) -> Option<&Row> {
        self.tasks.get(&id)
    }

    pub(crate) fn detail(&self, id: TaskId) -> Option<&TaskDetail> {
        self.tasks.get(&id).map(|row| &row.detail)
    }

    /// All rows by id. A store for more than a few thousand tasks asks an index instead (law 13).
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &TaskDetail> {
        self.tasks.values().map(|row| &row.detail)
    }

    pub(crate) fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.all().map(|detail| &detail.task)
    }

    pub(crate) fn presence(&self, id: SessionId) -> Option<&Presence> {
        self.sessions.get(&id)
    }

    pub(crate) fn presences(&self) -> impl Iterator<Item = &Presence> {
        self.sessions.values()
    }

    pub(crate) fn paused(&self) -> impl Iterator<Item = &Queue> {
        self.paused.iter()
    }

    pub(crate) fn is_paused(&self, queue: &Queue) -> bool {
        self.paused.contains(queue)
    }

    pub(crate) fn is_live(&self, session: SessionId) -> bool {
        self.presence(session)
            .is_some_and(|presence| !presence.session.lost)
    }

    /// The task that holds a unique key.
    pub(crate) fn holder(&self, kind: &Kind, key: &UniqueKey) -> Option<&Task> {
        self.tasks().find(|task| {
            let unique = task.unique.as_ref();
            task.holds_key && task.kind == *kind && unique.is_some_and(|(held, _)| held == key)
        })
    }

    /// Whether a parent that has not ended still needs this child.
    pub(crate) fn is_awaited(&self, task: &Task) -> bool {
        let parent = task.parent.and_then(|parent| self.detail(parent));
        parent.is_some_and(|parent| !parent.task.state.is_final())
    }
}

/// The lane of a pending task.
pub(crate) fn lane(task: &Task) -> Lane {
    Lane {
        kind: task.kind.clone(),
        priority: task.priority,
        suspect: task.is_suspect(),
    }
}
