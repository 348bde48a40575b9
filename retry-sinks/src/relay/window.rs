//! What the owner of a partition holds: the messages of each key in their order, and which may be sent now. No I/O, no clock.
//!
//! The whole order per key rests on this: a lane gives its next message only when the one before is acknowledged or
//! refused.

use std::collections::{BTreeMap, VecDeque};

use retry_core::clock::Monotonic;
use retry_core::id::TaskId;
use retry_core::task::{ErrorText, Task};
use retry_core::time::Timestamp;

use crate::limits::{MAX_HELD, MAX_HELD_BYTES, MAX_WAVE_BYTES};
use crate::message::Outgoing;
use crate::sink::Answer;

/// A message that is held.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) task: Task,
    pub(super) message: Outgoing,
}

/// The messages of one key.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Held>,
    /// How many at the front are at the sink.
    sent: usize,
    /// Failed attempts of the first one, one after the other.
    failures: u32,
    /// The first one is not sent again before.
    not_before: Monotonic,
    /// The failure of the first one is on its way to the store.
    recording: bool,
    /// When its first message came here, as a number: lanes take turns by it.
    turn: u64,
}

/// How an attempt to send a message ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// Acknowledged. It is not held any more.
    Acked(Held),
    /// Refused. It is not held any more.
    Refused(Held, ErrorText),
    /// To be sent again; it stays held, and nothing of its key is sent before this is [recorded](Window::recorded).
    Failed(Failure),
}

/// A message that was not acknowledged.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) key: String,
    pub(super) topic: String,
    pub(super) task: Task,
    pub(super) error: ErrorText,
    /// How often it has failed in a row.
    pub(super) failures: u32,
}

/// All that is held of a partition.
#[derive(Debug, Default)]
pub(super) struct Window {
    lanes: BTreeMap<String, Lane>,
    held: usize,
    /// Of the bodies of all that are held.
    bytes: usize,
    turns: u64,
}

impl Window {
    /// How many are held.
    pub(super) const fn len(&self) -> usize {
        self.held
    }

    /// Whether as much is held as may be, by number or by bytes.
    pub(super) const fn is_full(&self) -> bool {
        self.held >= MAX_HELD || self.bytes >= MAX_HELD_BYTES
    }

    /// Adds a message behind all others of its key.
    pub(super) fn push(&mut self, held: Held) {
        let lane = self.lanes.entry(lane_of(&held.message)).or_default();
        if lane.waiting.is_empty() {
            self.turns += 1;
            lane.turn = self.turns;
        }
        self.bytes += held.message.body.len();
        lane.waiting.push_back(held);
        self.held += 1;
    }

    /// Takes what may be sent now, at most `most`: the first message of each key, of several keys the one that waits
    /// longest. With `runs` also those behind it with the same topic.
    pub(super) fn wave(&mut self, now: Monotonic, most: usize, runs: bool) -> Vec<Outgoing> {
        let mut ready: Vec<_> = self
            .lanes
            .values_mut()
            .filter(|lane| lane.is_ready(now))
            .collect();
        ready.sort_unstable_by_key(|lane| lane.turn);
        let mut wave: Vec<Outgoing> = Vec::new();
        let mut bytes = 0;
        for lane in ready {
            let topic = lane.waiting.front().map(|held| held.message.topic.clone());
            for held in lane.waiting.iter().take(if runs { most } else { 1 }) {
                bytes += held.message.body.len();
                let full = wave.len() >= most || (bytes > MAX_WAVE_BYTES && !wave.is_empty());
                if full || Some(&held.message.topic) != topic.as_ref() {
                    break;
                }
                wave.push(held.message.clone());
                lane.sent += 1;
            }
            if lane.sent > 0 {
                self.turns += 1;
                lane.turn = self.turns;
            }
        }
        wave
    }

    /// Takes in the answers to a wave.
    pub(super) fn answered(&mut self, wave: &[Outgoing], answers: Vec<Answer>) -> Vec<Sent> {
        let missing = || Answer::retry("the sink gave no answer");
        let answers = answers
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat_with(|| None));
        let mut ended = Vec::new();
        for (message, answer) in wave.iter().zip(answers) {
            let Some(lane) = self.lanes.get_mut(&lane_of(message)) else {
                continue;
            };
            // Behind one of its key that has to be sent again nothing is believed.
            let first = lane
                .waiting
                .front()
                .is_some_and(|held| held.message.id == message.id);
            if lane.sent == 0 || !first {
                continue;
            }
            match answer.unwrap_or_else(missing) {
                Answer::Acked => ended.extend(lane.pop().map(Sent::Acked)),
                Answer::Refused(reason) => {
                    ended.extend(lane.pop().map(|held| Sent::Refused(held, reason.into_text())));
                }
                Answer::Retry(reason) => {
                    lane.sent = 0;
                    lane.failures = lane.failures.saturating_add(1);
                    lane.recording = true;
                    let (failures, error) = (lane.failures, reason.into_text());
                    ended.extend(lane.waiting.front().map(|held| {
                        Sent::Failed(Failure {
                            key: lane_of(message),
                            topic: held.message.topic.clone(),
                            task: held.task.clone(),
                            error,
                            failures,
                        })
                    }));
                }
            }
        }
        for sent in &ended {
            if let Sent::Acked(held) | Sent::Refused(held, _) = sent {
                self.held -= 1;
                self.bytes -= held.message.body.len();
            }
        }
        self.lanes.retain(|_, lane| !lane.waiting.is_empty());
        ended
    }

    /// The store has recorded that the first message of a key failed; `task` is what it is now.
    pub(super) fn recorded(&mut self, message_key: &str, task: Task) {
        if let Some(lane) = self.lanes.get_mut(message_key)
            && let Some(first) = lane.waiting.front_mut().filter(|held| held.task.id == task.id)
        {
            first.task = task;
            lane.recording = false;
        }
    }

    /// The first message of a key is sent no sooner than `until`.
    pub(super) fn put_off(&mut self, message_key: &str, until: Monotonic) {
        if let Some(lane) = self.lanes.get_mut(message_key) {
            lane.not_before = until;
        }
    }

    /// Lets go of a message of which neither the sink nor the store has anything to say yet: its cancel is wanted.
    pub(super) fn release(&mut self, id: TaskId) -> Option<Held> {
        let (key, at) = self.find(id)?;
        let lane = self.lanes.get(&key)?;
        let busy = at < lane.sent || (at == 0 && lane.recording);
        if busy { None } else { self.take(&key, at) }
    }

    /// Lets go of a message that has ended.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Held> {
        let (key, at) = self.find(id)?;
        self.take(&key, at)
    }

    fn find(&self, id: TaskId) -> Option<(String, usize)> {
        self.lanes.iter().find_map(|(key, lane)| {
            let at = lane.waiting.iter().position(|held| held.task.id == id)?;
            Some((key.clone(), at))
        })
    }

    fn take(&mut self, key: &str, at: usize) -> Option<Held> {
        let lane = self.lanes.get_mut(key)?;
        let held = lane.waiting.remove(at)?;
        if at == 0 {
            (lane.failures, lane.recording, lane.not_before) = (0, false, Monotonic::default());
        }
        self.held -= 1;
        self.bytes -= held.message.body.len();
        if lane.waiting.is_empty() {
            self.lanes.remove(key);
        }
        Some(held)
    }

    /// Lets go of everything.
    pub(super) fn take_all(&mut self) -> Vec<Held> {
        (self.held, self.bytes) = (0, 0);
        std::mem::take(&mut self.lanes)
            .into_values()
            .flat_map(|lane| lane.waiting)
            .collect()
    }

    /// Since when the oldest message is due.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let first = self.lanes.values().filter_map(|lane| lane.waiting.front());
        first.map(|held| held.task.run_at).min()
    }

    /// When the next message may be sent, as far as that is a matter of time.
    pub(super) fn next_ready(&self) -> Monotonic {
        let idle = self
            .lanes
            .values()
            .filter(|lane| lane.sent == 0 && !lane.recording);
        idle.map(|lane| lane.not_before).min().unwrap_or(Monotonic::NEVER)
    }
}

impl Lane {
    fn is_ready(&self, now: Monotonic) -> bool {
        self.sent == 0 && !self.recording && self.not_before <= now && !self.waiting.is_empty()
    }

    /// The first message has ended.
    fn pop(&mut self) -> Option<Held> {
        self.sent = self.sent.saturating_sub(1);
        (self.failures, self.not_before) = (0, Monotonic::default());
        self.waiting.pop_front()
    }
}

/// What a message is ordered by. One without key, which has no business here, is ordered with its own kind.
pub(super) fn lane_of(message: &Outgoing) -> String {
    message.key.clone().unwrap_or_default()
}

#[cfg(test)]
#[path = "window_test.rs"]
mod tests;
