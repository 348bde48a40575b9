//! What calls touch: the tasks that they name, by id or by a unique key, or answer. A claim may leave out a task that an
//! overlapping call touches; nothing else is excused.

use std::collections::{BTreeMap, BTreeSet};

use retry_core::id::TaskId;
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::store::{Applied, ClaimRequest, Inserted};
use retry_core::task::{NewTask, Task};

use super::clients::Record;
use crate::model::call::{Answer, Call};

/// What the calls that overlap one call touch.
#[derive(Debug, Clone, Default)]
pub(super) struct Excuse {
    tasks: BTreeSet<TaskId>,
    /// Keys of inserts: who holds them is asked and kept from changing, also when the answer is about the id in the end.
    keys: BTreeSet<(Kind, UniqueKey)>,
    /// Claims whose call settles as well: it may be undone and made again, and then anything asked for was touched.
    asked: Vec<ClaimRequest>,
    /// Queues whose setting changes.
    pub(super) queues: BTreeSet<Queue>,
    /// Whether any of them writes.
    pub(super) writes: bool,
    /// Every task is excused.
    everything: bool,
}

impl Excuse {
    /// The excuse for everything: something else than calls gets in the way.
    pub(super) fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// The excuse of `record`, one of `all`. `parents` are those of the tasks that were there before the round.
    pub(super) fn of(record: &Record, all: &[Record], parents: &BTreeMap<TaskId, TaskId>) -> Self {
        let mut excuse = Self::default();
        let others = all
            .iter()
            .filter(|other| other.called != record.called && other.overlaps(record));
        for other in others {
            excuse.add(other, parents);
        }
        excuse
    }

    fn add(&mut self, other: &Record, parents: &BTreeMap<TaskId, TaskId>) {
        self.writes |= other.call.writes();
        match (&other.call, &other.answer) {
            (Call::Insert(tasks), Ok(Answer::Inserted(answers))) => {
                self.inserts(tasks);
                self.holders(answers);
            }
            (Call::Exchange(edits, claims), Ok(Answer::Exchanged(answer))) => {
                for edit in edits {
                    self.tasks.insert(edit.id);
                    self.tasks.extend(parents.get(&edit.id));
                    self.inserts(&edit.insert);
                }
                for applied in &answer.applied {
                    match applied {
                        Applied::Done { inserted, .. } => self.holders(inserted),
                        Applied::KeyTaken(holder) => drop(self.tasks.insert(*holder)),
                        _ => {}
                    }
                }
                let claimed = answer.claimed.iter().flat_map(|claimed| &claimed.tasks);
                self.tasks.extend(claimed.map(|claimed| claimed.task.id));
                if !edits.is_empty() {
                    self.asked.extend(claims.iter().cloned());
                }
            }
            (Call::SetQueue(queue, _), _) => drop(self.queues.insert(queue.clone())),
            _ => {}
        }
    }

    fn inserts(&mut self, tasks: &[NewTask]) {
        self.tasks.extend(tasks.iter().map(|task| task.id));
        let key = |task: &NewTask| Some((task.kind.clone(), task.unique.as_ref()?.key.clone()));
        self.keys.extend(tasks.iter().filter_map(key));
    }

    fn holders(&mut self, answers: &[Inserted]) {
        self.tasks
            .extend(answers.iter().filter_map(|answer| match answer {
                Inserted::Duplicate { holder, .. } | Inserted::Replaced { holder } => Some(*holder),
                _ => None,
            }));
    }

    /// Whether an overlapping call touches this task.
    pub(super) fn touches(&self, id: TaskId) -> bool {
        self.everything || self.tasks.contains(&id)
    }

    /// Whether a claim may leave out this task.
    pub(super) fn covers(&self, task: &Task) -> bool {
        let names = |kinds: &[(Kind, usize)]| kinds.iter().any(|(kind, _)| *kind == task.kind);
        let asked = |claim: &ClaimRequest| claim.queue == task.queue && names(&claim.kinds);
        let key = task
            .unique
            .as_ref()
            .map(|(key, _)| (task.kind.clone(), key.clone()));
        self.touches(task.id)
            || key.is_some_and(|key| self.keys.contains(&key))
            || self.asked.iter().any(asked)
    }
}
