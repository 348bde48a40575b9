//! The writer thread: the only connection of the store that writes.
//!
//! ```text
//!            ┌────────── nothing waits ──────────┐
//!            ▼                                   │
//!  wait ──► gather what is there ──► one group ──► effects, replies ──► let others write ──► upkeep
//!   ▲ │                                                                                      │
//!   │ └── a pause: look for others' writes, upkeep                                           │
//!   └────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! It never waits for a group to fill: what comes while a group is written is the next group. It never dies: a panic in
//! a write is that write's answer. It ends when the store is dropped, after what was sent before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use retry_core::store::Waker;

use crate::error::Failure;
use crate::group::{Group, MAX_BYTES, MAX_JOBS};
use crate::job::Job;
use crate::session_lock::SessionLocks;
use crate::sync::Syncer;
use crate::upkeep::Upkeep;
use crate::watcher::Watcher;

/// What is sent to the writer.
pub(crate) enum Message {
    Write(Box<dyn Job>),
    /// Somebody watches from now on.
    Watched,
}

pub(crate) struct Writer {
    pub(crate) group: Group,
    pub(crate) inbox: Receiver<Message>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) locks: Arc<SessionLocks>,
    pub(crate) watcher: Watcher,
    pub(crate) upkeep: Upkeep,
    /// Set under `Normal`. Dropped, and so synced to the end, behind the connection.
    pub(crate) syncer: Option<Syncer>,
    pub(crate) poll_interval: Duration,
    pub(crate) commits: Arc<AtomicU64>,
}

impl Writer {
    /// Runs until the store is dropped.
    pub(crate) fn run(mut self) {
        let mut waiting = VecDeque::new();
        self.watcher.has_changed(&self.group.conn);
        loop {
            if waiting.is_empty() && !self.wait(&mut waiting) {
                break;
            }
            self.gather(&mut waiting);
            if !waiting.is_empty() {
                self.write(&mut waiting);
            }
            self.look();
        }
        if let Err((_, error)) = self.group.conn.close() {
            tracing::warn!(%error, "the writer's connection could not be closed");
        }
    }

    /// Waits for something to do; false: nothing will ever come.
    fn wait(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) -> bool {
        let poll = self.waker.is_watched().then_some(self.poll_interval);
        let timeout = match (poll, self.upkeep.wait()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let message = match timeout {
            None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(timeout) => self.inbox.recv_timeout(timeout),
        };
        match message {
            Ok(Message::Write(job)) => waiting.push_back(job),
            Ok(Message::Watched) => {}
            Err(RecvTimeoutError::Timeout) => {
                self.upkeep
                    .after_pause(&self.group.conn, timeout.unwrap_or_default());
            }
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    /// Takes what is there, up to the bounds of a group.
    fn gather(&self, waiting: &mut VecDeque<Box<dyn Job>>) {
        let mut bytes: usize = waiting.iter().map(|job| job.bytes()).sum();
        while waiting.len() < MAX_JOBS && bytes < MAX_BYTES {
            match self.inbox.try_recv() {
                Ok(Message::Write(job)) => {
                    bytes = bytes.saturating_add(job.bytes());
                    waiting.push_back(job);
                }
                Ok(Message::Watched) => {}
                Err(_) => return,
            }
        }
    }

    fn write(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) {
        let ended = self.group.run(waiting);
        let committed = ended.committed;
        let full = ended.failure.as_ref().is_some_and(Failure::is_full);
        if committed {
            self.commits.fetch_add(1, Ordering::Relaxed);
            if let Some(syncer) = &self.syncer {
                syncer.committed();
            }
        }
        let woken = !ended.effects.woken.is_empty() && self.waker.is_watched();
        for queue in &ended.effects.woken {
            self.waker.wake(queue);
        }
        for session in &ended.effects.ended {
            self.locks.end(*session);
        }
        ended.reply();
        if committed {
            self.group.turn.step_back();
        }
        if full {
            self.upkeep.make_room(&self.group.conn);
        }
        let idle = waiting.is_empty() && !woken;
        self.upkeep.after_group(&self.group.conn, committed, idle);
    }

    fn look(&mut self) {
        if self.waker.is_watched() && self.watcher.has_changed(&self.group.conn) {
            self.waker.wake_all();
        }
    }
}
