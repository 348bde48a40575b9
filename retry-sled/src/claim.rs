//! Claims (laws 3, 4, 5, 7, 14): lane by lane within each level, or by ids.

use retry_core::id::TaskId;
use retry_core::limits::{MAX_BATCH, MAX_CALL_BYTES};
use retry_core::machine;
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{self, ClaimRequest, Claimed, Mark};
use retry_core::task::{ClaimedTask, State, Task};
use retry_core::time::Timestamp;

use crate::aside;
use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::keys::{self, Key};
use crate::lanes::Lanes;
use crate::record::{Damage, Read, Row};
use crate::rows::{self, Found};
use crate::sessions::is_live;
use crate::view::View;

/// One claim request at work.
struct Claim<'c, 'd> {
    draft: &'c mut Draft<'d>,
    effects: &'c mut Effects,
    request: &'c ClaimRequest,
    now: Timestamp,
    /// Due times up to this are claimed.
    until: Timestamp,
    left: Left,
    /// Bytes of the answer so far.
    bytes: usize,
    answer: Claimed,
}

/// What a claim may still take; the kinds stand as in the request.
struct Left {
    all: usize,
    suspects: usize,
    kinds: Vec<usize>,
}

/// Answers one claim request.
pub(crate) fn claim(
    draft: &mut Draft<'_>,
    request: &ClaimRequest,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<Claimed> {
    let mut answer = Claimed::default();
    answer.session_lost = !is_live(draft, request.session)?;
    if answer.session_lost || draft.has(&keys::paused(&request.queue))? {
        return Ok(answer);
    }
    let mut claim = Claim {
        draft,
        effects,
        request,
        now,
        until: request.not_after.map_or(now, |not_after| not_after.min(now)),
        left: Left {
            all: request.limit,
            suspects: request.max_suspects,
            kinds: request.kinds.iter().map(|(_, limit)| *limit).collect(),
        },
        bytes: 0,
        answer,
    };
    match &request.ids {
        Some(ids) => claim.by_ids(ids)?,
        None => claim.by_lanes()?,
    }
    Ok(claim.answer)
}

impl Left {
    fn of(&self, kind: usize, suspect: bool) -> usize {
        let suspects = if suspect { self.suspects } else { usize::MAX };
        self.kinds[kind].min(self.all).min(suspects)
    }

    fn take(&mut self, kind: usize, suspect: bool) {
        self.all -= 1;
        self.kinds[kind] -= 1;
        self.suspects -= usize::from(suspect);
    }
}

impl Claim<'_, '_> {
    fn by_lanes(&mut self) -> Outcome<()> {
        let mut lanes = Lanes::new(self.request);
        for priority in Priority::ALL {
            if self.is_full() {
                break;
            }
            let mut heads = lanes.of_priority(self.draft, priority)?;
            heads.sort_unstable();
            for (_, lane) in heads {
                self.drain(&mut lanes, lane)?;
            }
        }
        self.answer.next_due = if self.is_full() {
            Some(self.now)
        } else {
            lanes.first_due().map(|due| due.max(self.now))
        };
        if self.left.all > 0 {
            self.answer.marks.clear();
        }
        Ok(())
    }

    /// Nothing more fits into the answer.
    fn is_full(&self) -> bool {
        self.left.all == 0 || self.bytes > MAX_CALL_BYTES || self.answer.bad.len() >= MAX_BATCH
    }

    /// Takes what is due from one lane.
    fn drain(&mut self, lanes: &mut Lanes<'_>, lane: usize) -> Outcome<()> {
        let (kind, level) = (lanes.seen[lane].kind, lanes.seen[lane].level);
        let Some((priority, suspect)) = keys::of_level(level) else {
            return Ok(());
        };
        while let wanted @ 1.. = self.left.of(kind, suspect)
            && !self.is_full()
        {
            let Some(head) = lanes.seen[lane].head.filter(|(due, _)| *due <= self.until) else {
                break;
            };
            let due = self.due(&lanes.seen[lane].prefix, head, wanted)?;
            if due.is_empty() {
                break;
            }
            for (key, parent) in due {
                if self.is_full() {
                    break;
                }
                let Some(id) = keys::id_at_end(&key) else { continue };
                if let Some(task) = self.take(id, Some((&key, parent)))? {
                    self.left.take(kind, suspect);
                    self.mark(kind, priority, suspect, &task.task);
                    self.answer.tasks.push(task);
                }
            }
            // Bad rows count among the wanted, so behind them there may be more.
            lanes.refresh(self.draft, lane)?;
        }
        Ok(())
    }

    /// Up to `wanted` due entries of a lane, from its head on, each with the parent that it names.
    fn due(
        &self,
        prefix: &[u8],
        head: (Timestamp, TaskId),
        wanted: usize,
    ) -> Outcome<Vec<(Key, Option<TaskId>)>> {
        let mut from = prefix.to_vec();
        from.extend_from_slice(&keys::ordered(head.0));
        from.extend_from_slice(&head.1.to_bytes());
        let mut last = prefix.to_vec();
        last.extend_from_slice(&keys::ordered(self.until));
        let mut due = Vec::with_capacity(wanted.min(MAX_BATCH));
        self.draft.scan(&from, &keys::behind(&last), &mut |key, parent| {
            due.push((key.to_vec(), keys::id_at_end(parent)));
            due.len() < wanted
        })?;
        Ok(due)
    }

    fn mark(&mut self, kind: usize, priority: Priority, suspect: bool, task: &Task) {
        let lane = store::Lane {
            kind: self.request.kinds[kind].0.clone(),
            priority,
            suspect,
        };
        let (run_at, id) = (task.run_at, task.id);
        match self.answer.marks.last_mut().filter(|mark| mark.lane == lane) {
            Some(mark) => (mark.run_at, mark.id) = (run_at, id),
            None => self.answer.marks.push(Mark { lane, run_at, id }),
        }
    }

    fn by_ids(&mut self, ids: &[TaskId]) -> Outcome<()> {
        for id in ids {
            if self.is_full() {
                break;
            }
            let Some(row) = rows::load_sound(self.draft, *id)? else {
                continue;
            };
            let Some((kind, suspect)) = self.asked_lane(&row.task) else {
                continue;
            };
            if let Some(task) = self.take_row(*row)? {
                self.left.take(kind, suspect);
                self.answer.tasks.push(task);
            }
        }
        Ok(())
    }

    /// The kind and the suspect flag of a task that this claim may take.
    fn asked_lane(&self, task: &Task) -> Option<(usize, bool)> {
        let from = self.request.not_before.unwrap_or(Timestamp::MIN);
        let due = task.state == State::Pending && (from..=self.until).contains(&task.run_at);
        let kinds = &self.request.kinds;
        let kind = kinds.iter().position(|(kind, _)| *kind == task.kind)?;
        let suspect = task.is_suspect();
        let asked = due && task.queue == self.request.queue && self.left.of(kind, suspect) > 0;
        asked.then_some((kind, suspect))
    }

    /// Claims the task of an entry of a lane, or puts aside what cannot be read.
    fn take(&mut self, id: TaskId, entry: Option<(&Key, Option<TaskId>)>) -> Outcome<Option<ClaimedTask>> {
        let damage = match rows::load(self.draft, id)? {
            Found::Row(row) if entry.is_none_or(|(key, _)| is_at(&row, key)) => return self.take_row(*row),
            Found::Row(_) => Damage("the row contradicts its place in a lane"),
            Found::Missing => Damage("the row is missing"),
            Found::Bad(damage) => damage,
        };
        if let Some((key, parent)) = entry {
            let bad = aside::entry(self.draft, key, id, parent, damage, self.now, self.effects)?;
            self.answer.bad.push(bad);
        }
        Ok(None)
    }

    fn take_row(&mut self, row: Row) -> Outcome<Option<ClaimedTask>> {
        let mut claimed = row.clone();
        claimed.task = machine::claim(&row.task, self.request.session, self.now);
        let read: Read<ClaimedTask> = rows::load_claimed(self.draft, claimed.clone())?;
        match read {
            Ok(task) => {
                rows::write(self.draft, Some(&row), &claimed)?;
                self.bytes += task.payload.len() + task.checkpoint.as_ref().map_or(0, Payload::len);
                Ok(Some(task))
            }
            Err(damage) => {
                let bad = aside::row(self.draft, &row, damage, self.now, self.effects)?;
                self.answer.bad.push(bad);
                Ok(None)
            }
        }
    }
}

/// Whether a pending row belongs where it was found.
fn is_at(row: &Row, key: &Key) -> bool {
    row.task.state == State::Pending && keys::ready(&row.task) == *key
}
