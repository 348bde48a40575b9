//! The audit: every entry of an index has its row, every row its entries, and every count and counter is right.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use retry_core::id::TaskId;
use retry_core::name::Queue;
use retry_core::store::Result;
use retry_core::task::{State, Task};

use crate::disk::Disk;
use crate::error::Outcome;
use crate::keys;
use crate::members;
use crate::record::{Damage, Row, SessionRow};
use crate::rows;
use crate::store::SledStore;
use crate::view::View;

/// Problems that an audit tells; of more only the number.
const TOLD: usize = 100;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Audit {
    /// Tasks that were read.
    pub tasks: u64,
    /// Rows that cannot be read, which listings report.
    pub unreadable: u64,
    /// Contradictions between rows, indexes and counts.
    pub problems: u64,
    /// The first 100 of them, in words, without data of tasks.
    pub told: Vec<String>,
    /// Parents that count more open children than there are, and by how many.
    pub(crate) missing_children: Vec<(TaskId, u32)>,
}

impl Audit {
    /// Whether everything can be read and nothing contradicts anything.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.unreadable == 0 && self.problems == 0
    }
}

impl SledStore {
    /// Reads the whole store and compares the rows with the indexes, as SQLite's `integrity_check` does.
    ///
    /// Writes wait meanwhile, and reads that come behind them: about a second for a hundred thousand tasks.
    ///
    /// # Errors
    /// The files cannot be read.
    pub async fn audit(&self) -> Result<Audit> {
        self.read(audit).await
    }
}

/// An audit at work.
struct Auditor<'d> {
    disk: &'d Disk,
    audit: Audit,
    counts: BTreeMap<(Queue, State), u64>,
    /// Children that have not ended, by parent.
    open: BTreeMap<TaskId, u32>,
    /// What the counters of parents say.
    told_open: BTreeMap<TaskId, u32>,
}

pub(crate) fn audit(disk: &Disk) -> Outcome<Audit> {
    let mut auditor = Auditor {
        disk,
        audit: Audit::default(),
        counts: BTreeMap::new(),
        open: BTreeMap::new(),
        told_open: BTreeMap::new(),
    };
    auditor.rows()?;
    auditor.entries()?;
    auditor.members()?;
    auditor.parts()?;
    auditor.shared()?;
    auditor.parents();
    Ok(auditor.audit)
}

impl Auditor<'_> {
    fn problem(&mut self, what: impl FnOnce() -> String) {
        self.audit.problems += 1;
        if self.audit.told.len() < TOLD {
            self.audit.told.push(what());
        }
    }

    /// Every row can be read and has what it needs.
    fn rows(&mut self) -> Outcome<()> {
        for key in self.keys(keys::ROW)? {
            let Some(id) = keys::id_at_end(&key) else { continue };
            let Some(bytes) = self.disk.get(&key)? else {
                continue;
            };
            match Row::decode(id, &bytes) {
                Ok(row) => self.row(&row)?,
                Err(damage) => self.unreadable(id, damage)?,
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> Outcome<()> {
        let (task, id) = (&row.task, row.task.id);
        self.audit.tasks += 1;
        for (key, value) in rows::index(task) {
            if self.disk.get(&key)?.as_ref() != Some(&value) {
                self.problem(|| format!("task {id} has no entry under {:?}", char::from(key[0])));
            }
        }
        for set in rows::sets(task) {
            if !members::has(self.disk, &set, id)? {
                self.problem(|| format!("task {id} is not in its set under {:?}", char::from(set[0])));
            }
        }
        if let (true, Some((key, _))) = (task.holds_key, &task.unique)
            && rows::key_holder(self.disk, &task.kind, key)? != Some(id)
        {
            self.problem(|| format!("task {id} does not hold the key that it says it holds"));
        }
        let body = rows::load_body(self.disk, row)?.err();
        let (note, failures) = match rows::load_note(self.disk, row)? {
            Ok(note) => (None, rows::load_failures(self.disk, id, &note)?.err()),
            Err(damage) => (Some(damage), None),
        };
        if let Some(Damage(reason)) = body.or(note).or(failures) {
            self.problem(|| format!("task {id}: {reason}"));
        }
        *self.counts.entry((task.queue.clone(), task.state)).or_default() += 1;
        self.children(task);
        Ok(())
    }

    fn children(&mut self, task: &Task) {
        if let Some(parent) = task.parent.filter(|_| !task.state.is_final()) {
            *self.open.entry(parent).or_default() += 1;
        }
        if task.children.total > 0 {
            self.told_open.insert(task.id, task.children.open);
        }
    }

    fn unreadable(&mut self, id: TaskId, Damage(reason): Damage) -> Outcome<()> {
        self.audit.unreadable += 1;
        if self.audit.told.len() < TOLD {
            self.audit
                .told
                .push(format!("task {id} cannot be read: {reason}"));
        }
        if let Some(lane) = self.disk.get(&keys::aside(id))?
            && let Some((queue, ..)) = keys::lane_parts(&lane)
        {
            *self.counts.entry((queue, State::Failed)).or_default() += 1;
        }
        Ok(())
    }

    /// Every entry of an index is one that its row wants. An entry of a row that cannot be read may be right.
    fn entries(&mut self) -> Outcome<()> {
        for prefix in [keys::LANE, keys::ALARM, keys::FLAGGED, keys::LISTED, keys::CHILD] {
            for key in self.keys(prefix)? {
                let right = match keys::id_at_end(&key)
                    .map(|id| rows::load(self.disk, id))
                    .transpose()?
                {
                    Some(rows::Found::Row(row)) => {
                        rows::index(&row.task).iter().any(|(wanted, _)| *wanted == key)
                    }
                    Some(rows::Found::Bad(_)) => true,
                    Some(rows::Found::Missing) | None => false,
                };
                if !right {
                    self.problem(|| format!("an entry under {:?} has no such row", char::from(prefix)));
                }
            }
        }
        Ok(())
    }

    /// Every member of a set is a task that belongs there.
    fn members(&mut self) -> Outcome<()> {
        for key in [self.keys(keys::HELD)?, self.keys(keys::PURGE)?].concat() {
            let purge = keys::purge_parts(&key).map(|(set, _)| set);
            let set = if key[0] == keys::PURGE {
                purge
            } else {
                keys::held_set(&key)
            };
            let ids = self.disk.get(&key)?.unwrap_or_default();
            for id in members::ids_of(&ids) {
                let right = match rows::load(self.disk, id)? {
                    rows::Found::Row(row) => rows::sets(&row.task)
                        .iter()
                        .any(|own| Some(own.as_slice()) == set),
                    rows::Found::Bad(_) => true,
                    rows::Found::Missing => false,
                };
                if !right {
                    self.problem(|| {
                        format!("task {id} is in a set under {:?} by mistake", char::from(key[0]))
                    });
                }
            }
        }
        Ok(())
    }

    /// Every body, note and failed attempt belongs to a row that says so.
    fn parts(&mut self) -> Outcome<()> {
        for prefix in [keys::BODY, keys::NOTE, keys::FAILURE] {
            for key in self.keys(prefix)? {
                let id = key.get(..17).and_then(keys::id_at_end);
                let right = match id.map(|id| rows::load(self.disk, id)).transpose()? {
                    Some(rows::Found::Row(row)) if prefix == keys::BODY => row.body.is_none(),
                    Some(rows::Found::Row(row)) => row.noted,
                    Some(rows::Found::Bad(_)) => true,
                    Some(rows::Found::Missing) | None => false,
                };
                if !right {
                    self.problem(|| format!("something under {:?} belongs to no row", char::from(prefix)));
                }
            }
        }
        Ok(())
    }

    /// Keys are held by tasks that say so, counts are right, sessions can be read.
    fn shared(&mut self) -> Outcome<()> {
        for key in self.keys(keys::SLOT)? {
            let holder = self.disk.get(&key)?.and_then(|bytes| keys::id_at_end(&bytes));
            let right = match holder.map(|id| rows::load(self.disk, id)).transpose()? {
                Some(rows::Found::Row(row)) => {
                    let task = &row.task;
                    let unique = task.unique.as_ref().filter(|_| task.holds_key);
                    unique.is_some_and(|(unique, _)| keys::slot(&task.kind, unique) == key)
                }
                Some(rows::Found::Bad(_)) => true,
                Some(rows::Found::Missing) | None => false,
            };
            if !right {
                self.problem(|| "a unique key is held by no task that says so".to_owned());
            }
        }
        for key in self.keys(keys::COUNT)? {
            let stored = self.disk.get(&key)?.map_or(0, |bytes| rows::counted(&bytes));
            let counted = keys::count_parts(&key).and_then(|place| match self.counts.entry(place) {
                Entry::Occupied(entry) => Some(entry.remove()),
                Entry::Vacant(_) => None,
            });
            // What cannot be read is counted where it was.
            if counted.unwrap_or(0) != stored && self.audit.unreadable == 0 {
                self.problem(|| format!("{stored} tasks are counted where {} are", counted.unwrap_or(0)));
            }
        }
        for ((queue, state), n) in std::mem::take(&mut self.counts) {
            self.problem(|| format!("{n} {state} tasks of queue {queue} are not counted"));
        }
        for key in self.keys(keys::SESSION)? {
            let Some(id) = key.get(..17).and_then(keys::session_at_end) else {
                continue;
            };
            let stored = self.disk.get_long(&keys::session(id))?;
            if let Some(Err(Damage(reason))) = stored.map(|bytes| SessionRow::decode(id, &bytes)) {
                self.problem(|| format!("session {id}: {reason}"));
            }
        }
        Ok(())
    }

    /// A parent's counter of open children is their number.
    fn parents(&mut self) {
        if self.audit.unreadable > 0 {
            return;
        }
        for (parent, told) in std::mem::take(&mut self.told_open) {
            let open = self.open.remove(&parent).unwrap_or(0);
            if open != told {
                self.problem(|| format!("task {parent} counts {told} open children where {open} are"));
                let missing = told.saturating_sub(open);
                self.audit
                    .missing_children
                    .extend((missing > 0).then_some((parent, missing)));
            }
        }
    }

    fn keys(&self, prefix: u8) -> Outcome<Vec<keys::Key>> {
        let mut found = Vec::new();
        self.disk.all(&[prefix], &mut |key, _| {
            found.push(key.to_vec());
            true
        })?;
        Ok(found)
    }
}
