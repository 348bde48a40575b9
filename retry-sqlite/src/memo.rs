//! What one thread remembers between calls: names and settings, of which there are few, so that reading a row neither
//! checks nor allocates them anew; and the numbers of lanes and of claimed tasks, so that writing one looks nothing up.

use std::collections::{HashMap, HashSet};

use retry_core::id::TaskId;
use retry_core::name::{Kind, Queue};
use retry_core::task::Settings;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Outcome;
use crate::queries;

/// More distinct values than this are forgotten together: a file with unusual data must not fill the memory.
const MAX_REMEMBERED: usize = 4_096;

/// More claimed tasks than this are forgotten together: then a settle looks its task up.
const MAX_CLAIMED: usize = 16_384;

/// The number of a queue and a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneNumber(i64);

/// What was seen before.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    queues: HashSet<Queue>,
    kinds: HashSet<Kind>,
    /// The names of the row before: mostly also those of the next.
    last_queue: Option<Queue>,
    last_kind: Option<Kind>,
    read: HashMap<String, Settings>,
    usual: Option<Settings>,
    written: Option<(Settings, Option<String>)>,
    lanes: HashMap<Queue, HashMap<Kind, LaneNumber>>,
    last_lane: Option<(Queue, Kind, LaneNumber)>,
    claimed: HashMap<TaskId, (i64, Queue)>,
}

impl LaneNumber {
    /// The lane of its first level.
    pub(crate) const fn first(self) -> i64 {
        self.0 << 3
    }
}

impl Memo {
    /// The queue of a stored name; none if no queue has such a name.
    pub(crate) fn queue(&mut self, name: &str) -> Option<Queue> {
        if let Some(last) = self.last_queue.as_ref().filter(|last| last.as_str() == name) {
            return Some(last.clone());
        }
        if !self.queues.contains(name) {
            bound(self.queues.len(), || self.queues.clear());
            self.queues.insert(Queue::new(name).ok()?);
        }
        self.last_queue = self.queues.get(name).cloned();
        self.last_queue.clone()
    }

    /// The kind of a stored name; none if no kind has such a name.
    pub(crate) fn kind(&mut self, name: &str) -> Option<Kind> {
        if let Some(last) = self.last_kind.as_ref().filter(|last| last.as_str() == name) {
            return Some(last.clone());
        }
        if !self.kinds.contains(name) {
            bound(self.kinds.len(), || self.kinds.clear());
            self.kinds.insert(Kind::new(name).ok()?);
        }
        self.last_kind = self.kinds.get(name).cloned();
        self.last_kind.clone()
    }

    /// The settings of a stored text, or of none; none if it is damaged.
    pub(crate) fn settings(&mut self, text: Option<&str>) -> Option<Settings> {
        let Some(text) = text else {
            if self.usual.is_none() {
                self.usual = Settings::from_stored(Settings::USUAL_STORED).ok();
            }
            return self.usual.clone();
        };
        if let Some(settings) = self.read.get(text) {
            return Some(settings.clone());
        }
        let settings = Settings::from_stored(text).ok()?;
        bound(self.read.len(), || self.read.clear());
        self.read.insert(text.to_owned(), settings.clone());
        Some(settings)
    }

    /// The stored text of settings.
    pub(crate) fn settings_text(&mut self, settings: &Settings) -> Option<&str> {
        let same = self.written.as_ref().is_some_and(|(last, _)| last == settings);
        if !same {
            let text = Some(settings.to_stored()).filter(|text| text != Settings::USUAL_STORED);
            self.written = Some((settings.clone(), text));
        }
        self.written.as_ref().and_then(|(_, text)| text.as_deref())
    }

    /// The number of a queue and a kind; none if they never had a task.
    pub(crate) fn lane(
        &mut self,
        conn: &Connection,
        queue: &Queue,
        kind: &Kind,
    ) -> Outcome<Option<LaneNumber>> {
        if let Some((_, _, number)) = self
            .last_lane
            .as_ref()
            .filter(|last| last.0 == *queue && last.1 == *kind)
        {
            return Ok(Some(*number));
        }
        if let Some(number) = self.lanes.get(queue).and_then(|kinds| kinds.get(kind)) {
            let number = *number;
            self.last_lane = Some((queue.clone(), kind.clone(), number));
            return Ok(Some(number));
        }
        let mut find = conn.prepare_cached(queries::LANE_FIND)?;
        let number = find.query_row([queue.as_str(), kind.as_str()], |row| row.get(0));
        let number = number.optional()?.map(LaneNumber);
        if let Some(number) = number {
            self.remember_lane(queue, kind, number);
        }
        Ok(number)
    }

    /// The number of a queue and a kind, given now if they had none.
    pub(crate) fn lane_of_new(
        &mut self,
        conn: &Connection,
        queue: &Queue,
        kind: &Kind,
    ) -> Outcome<LaneNumber> {
        if let Some(number) = self.lane(conn, queue, kind)? {
            return Ok(number);
        }
        let mut add = conn.prepare_cached(queries::LANE_ADD)?;
        let number = LaneNumber(add.insert([queue.as_str(), kind.as_str()])?);
        self.remember_lane(queue, kind, number);
        Ok(number)
    }

    fn remember_lane(&mut self, queue: &Queue, kind: &Kind, number: LaneNumber) {
        bound(self.lanes.values().map(HashMap::len).sum(), || self.lanes.clear());
        let kinds = self.lanes.entry(queue.clone()).or_default();
        kinds.insert(kind.clone(), number);
        self.last_lane = Some((queue.clone(), kind.clone(), number));
    }

    /// After a rollback: numbers that were given in it may be given to others.
    pub(crate) fn forget_lanes(&mut self) {
        self.lanes.clear();
        self.last_lane = None;
    }

    /// A task that will be settled. A hint only: numbers are given again, so a write that goes by it checks the id.
    pub(crate) fn claimed(&mut self, id: TaskId, number: i64, queue: &Queue) {
        if self.claimed.len() >= MAX_CLAIMED {
            self.claimed.clear();
        }
        self.claimed.insert(id, (number, queue.clone()));
    }

    /// The number and the queue of a claimed task.
    pub(crate) fn claimed_at(&self, id: TaskId) -> Option<&(i64, Queue)> {
        self.claimed.get(&id)
    }

    /// A task that is settled.
    pub(crate) fn settled(&mut self, id: TaskId) {
        self.claimed.remove(&id);
    }
}

fn bound(len: usize, clear: impl FnOnce()) {
    if len >= MAX_REMEMBERED {
        clear();
    }
}
