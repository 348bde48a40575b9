//! The writer thread: it alone writes, one group after another.
//!
//! It never waits for a group to fill: what comes while a group is written is the next group. It never dies: a panic in
//! a write is that write's answer. It ends when the store is dropped, after what was sent before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use retry_core::store::Waker;

use crate::group::{Group, MAX_BYTES, MAX_JOBS};
use crate::job::Job;

pub(crate) struct Writer {
    pub(crate) group: Group,
    pub(crate) inbox: Receiver<Box<dyn Job>>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) commits: Arc<AtomicU64>,
}

impl Writer {
    /// Runs until the store is dropped.
    pub(crate) fn run(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let Ok(job) = self.inbox.recv() else { break };
                waiting.push_back(job);
            }
            self.gather(&mut waiting);
            self.write(&mut waiting);
        }
        self.group.files.close();
    }

    /// Takes what is there, up to the bounds of a group.
    fn gather(&self, waiting: &mut VecDeque<Box<dyn Job>>) {
        let mut bytes: usize = waiting.iter().map(|job| job.bytes()).sum();
        while waiting.len() < MAX_JOBS && bytes < MAX_BYTES {
            let Ok(job) = self.inbox.try_recv() else { return };
            bytes = bytes.saturating_add(job.bytes());
            waiting.push_back(job);
        }
    }

    fn write(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) {
        let ended = self.group.run(waiting);
        if ended.committed {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        for queue in &ended.effects.woken {
            self.waker.wake(queue);
        }
        ended.reply();
    }
}
