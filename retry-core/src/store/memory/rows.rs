//! The rows and their indexes. Every write goes through [`Rows::put`] or [`Rows::remove`], so no index can lag.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{SessionId, TaskId};
use crate::name::{Kind, Queue, UniqueKey};
use crate::store::{Lane, Session};
use crate::task::{State, Task, TaskDetail};
use crate::time::Timestamp;

/// A stored task.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) detail: TaskDetail,
    pub(super) last_nonce: u64,
}

/// A stored session.
#[derive(Debug, Clone)]
pub(super) struct SessionRow {
    pub(super) session: Session,
    /// Closed by its worker: its tasks need no grace.
    pub(super) dead: bool,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Rows {
    /// Boxed, so that the tree moves pointers and not records.
    pub(super) rows: BTreeMap<TaskId, Box<Row>>,
    pub(super) sessions: BTreeMap<SessionId, SessionRow>,
    pub(super) paused: BTreeSet<Queue>,
    pub(super) ready: BTreeMap<Queue, BTreeMap<Lane, BTreeSet<(Timestamp, TaskId)>>>,
    pub(super) keys: HashMap<(Kind, UniqueKey), TaskId>,
    pub(super) held: BTreeSet<(SessionId, TaskId)>,
    pub(super) alarms: BTreeSet<(Timestamp, TaskId)>,
    pub(super) purges: BTreeSet<(Timestamp, TaskId)>,
    pub(super) counts: BTreeMap<(Queue, State), u64>,
    woken: BTreeSet<Queue>,
}

pub(super) fn lane(task: &Task) -> Lane {
    Lane {
        kind: task.kind.clone(),
        priority: task.priority,
        suspect: task.is_suspect(),
    }
}

impl Rows {
    /// Stores a row in place of the one with the same id.
    pub(super) fn put(&mut self, row: Box<Row>) {
        if let Some(old) = self.rows.remove(&row.detail.task.id) {
            self.leave_indexes(&old.detail.task);
        }
        let task = &row.detail.task;
        let id = task.id;
        match task.state {
            State::Pending => {
                let lanes = self.ready.entry(task.queue.clone()).or_default();
                lanes.entry(lane(task)).or_default().insert((task.run_at, id));
                self.woken.insert(task.queue.clone());
            }
            State::Running => self.held.extend(task.session.map(|session| (session, id))),
            _ => {}
        }
        self.alarms.extend(task.alarm_at.map(|at| (at, id)));
        self.purges.extend(task.purge_at.map(|at| (at, id)));
        if let (true, Some((key, _))) = (task.holds_key, &task.unique) {
            self.keys.insert((task.kind.clone(), key.clone()), id);
        }
        *self.counts.entry((task.queue.clone(), task.state)).or_default() += 1;
        self.rows.insert(id, row);
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Box<Row>> {
        let row = self.rows.remove(&id)?;
        self.leave_indexes(&row.detail.task);
        Some(row)
    }

    fn leave_indexes(&mut self, task: &Task) {
        let id = task.id;
        if task.state == State::Pending
            && let Some(lanes) = self.ready.get_mut(&task.queue)
        {
            let lane = lane(task);
            if let Some(entries) = lanes.get_mut(&lane) {
                entries.remove(&(task.run_at, id));
                if entries.is_empty() {
                    lanes.remove(&lane);
                }
            }
            if lanes.is_empty() {
                self.ready.remove(&task.queue);
            }
        }
        if let Some(session) = task.session {
            self.held.remove(&(session, id));
        }
        if let Some(at) = task.alarm_at {
            self.alarms.remove(&(at, id));
        }
        if let Some(at) = task.purge_at {
            self.purges.remove(&(at, id));
        }
        self.free_key(task);
        let count = (task.queue.clone(), task.state);
        if let Some(n) = self.counts.get_mut(&count) {
            *n -= 1;
            if *n == 0 {
                self.counts.remove(&count);
            }
        }
    }

    /// Frees the unique key that `task` holds; one that went on to another task stays with that.
    pub(super) fn free_key(&mut self, task: &Task) {
        if let (true, Some((key, _))) = (task.holds_key, &task.unique)
            && self.key_holder(&task.kind, key) == Some(task.id)
        {
            self.keys.remove(&(task.kind.clone(), key.clone()));
        }
    }

    /// The task that holds the key of `task`.
    pub(super) fn key_holder(&self, kind: &Kind, key: &UniqueKey) -> Option<TaskId> {
        self.keys.get(&(kind.clone(), key.clone())).copied()
    }

    pub(super) fn is_live(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|row| !row.session.lost)
    }

    /// The queues that got pending tasks since the last call.
    pub(super) fn take_woken(&mut self) -> BTreeSet<Queue> {
        std::mem::take(&mut self.woken)
    }
}
