//! Group commit: what has gathered is drafted write by write, each all or nothing, and becomes one batch with one sync.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use retry_core::store::{StoreError, StoreErrorKind};

use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::{Failure, panic_text};
use crate::files::Files;
use crate::job::{Desk, Job};
use crate::sessions::Orphans;

/// Writes in one group: bounds how long the first waits for the last.
pub(crate) const MAX_JOBS: usize = 256;

/// Bytes in one group, unless its first write alone has more.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// No write joins a group that changes so many keys; at about 5 µs each that is a tenth of a second.
const MAX_KEYS: usize = 20_000;

/// The files and what the writer keeps beside them.
pub(crate) struct Group {
    pub(crate) files: Arc<Files>,
    pub(crate) orphans: Orphans,
}

/// How a group ended.
#[derive(Default)]
pub(crate) struct Ended {
    /// Whether something was written.
    pub(crate) committed: bool,
    pub(crate) effects: Effects,
    /// To be replied after the effects.
    answered: Vec<Box<dyn Job>>,
    /// Set when the commit failed.
    failure: Option<Failure>,
}

impl Ended {
    /// Tells every caller.
    pub(crate) fn reply(self) {
        for job in self.answered {
            job.reply(self.failure.as_ref().map_or(Ok(()), Err));
        }
    }
}

impl Group {
    /// Runs writes from the front of `jobs` and commits. What is left there was not run.
    pub(crate) fn run(&mut self, jobs: &mut VecDeque<Box<dyn Job>>) -> Ended {
        let mut ended = Ended::default();
        if let Err(failure) = self.files.ensure_open() {
            ended.failure = Some(failure);
            ended.answered.extend(jobs.drain(..));
            return ended;
        }
        let files = Arc::clone(&self.files);
        let reading = files.read();
        let Some(disk) = reading.disk() else {
            ended.answered.extend(jobs.drain(..));
            return ended;
        };
        let mut draft = Draft::new(disk);
        while let Some(mut job) = jobs.pop_front() {
            if job.is_abandoned() {
                continue;
            }
            self.run_one(job.as_mut(), &mut draft, &mut ended.effects);
            ended.answered.push(job);
            if draft.len() >= MAX_KEYS {
                break;
            }
        }
        let changes = draft.into_changes();
        drop(reading);
        if changes.is_empty() {
            return ended;
        }
        match files.commit(changes) {
            Ok(()) => ended.committed = true,
            Err(failure) => {
                ended.failure = Some(failure);
                ended.effects = Effects::default();
            }
        }
        ended
    }

    fn run_one(&mut self, job: &mut dyn Job, draft: &mut Draft<'_>, effects: &mut Effects) {
        draft.begin();
        let mut own = Effects::default();
        let desk = Desk {
            draft,
            effects: &mut own,
            orphans: &mut self.orphans,
        };
        let keep = catch_unwind(AssertUnwindSafe(|| job.run(desk))).unwrap_or_else(|panic| {
            let text = panic_text(panic.as_ref());
            job.refuse(StoreError::rejected(
                StoreErrorKind::Other,
                format!("the write panicked and was taken back: {text}"),
            ));
            false
        });
        // A claim that nobody receives would keep its tasks until its session ends.
        if keep && !job.is_abandoned() {
            effects.merge(own);
        } else {
            draft.take_back();
        }
    }
}
