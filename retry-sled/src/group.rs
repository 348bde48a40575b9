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
    /// Kept with what is written: a mark that is taken back, or whose commit fails, is to be made again. Cloned for each write, it
    /// is empty as soon as the sessions of the process before are marked.
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
        let orphans = self.orphans.clone();
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
                self.orphans = orphans;
            }
        }
        ended
    }

    fn run_one(&mut self, job: &mut dyn Job, draft: &mut Draft<'_>, effects: &mut Effects) {
        draft.begin();
        let orphans = self.orphans.clone();
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
            self.orphans = orphans;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions;
    use retry_core::id::SessionId;
    use retry_core::name::WorkerName;
    use retry_core::store::{ExpiredRequest, SessionInfo};
    use retry_core::time::Timestamp;

    /// A look for what is expired, whose caller stays or goes away while it runs.
    struct Look {
        stays: bool,
        has_run: bool,
    }

    impl Job for Look {
        fn bytes(&self) -> usize {
            0
        }

        fn is_abandoned(&self) -> bool {
            self.has_run && !self.stays
        }

        fn run(&mut self, desk: Desk<'_, '_>) -> bool {
            self.has_run = true;
            let request = ExpiredRequest {
                limit: 10,
                ..ExpiredRequest::default()
            };
            crate::rescue::expired(desk.draft, desk.orphans, &request, Timestamp::from_millis(0)).is_ok()
        }

        fn refuse(&mut self, error: StoreError) {
            panic!("{error}");
        }

        fn reply(self: Box<Self>, commit: Result<(), &Failure>) {
            assert!(commit.is_ok());
        }
    }

    struct Open(SessionInfo);

    impl Job for Open {
        fn bytes(&self) -> usize {
            0
        }

        fn is_abandoned(&self) -> bool {
            false
        }

        fn run(&mut self, desk: Desk<'_, '_>) -> bool {
            sessions::open(desk.draft, desk.orphans, &self.0, Timestamp::from_millis(1)).is_ok()
        }

        fn refuse(&mut self, error: StoreError) {
            panic!("{error}");
        }

        fn reply(self: Box<Self>, commit: Result<(), &Failure>) {
            assert!(commit.is_ok());
        }
    }

    #[test]
    fn a_mark_that_is_taken_back_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let session = SessionId::from_random(1, 2);
        let mut group = Group {
            files: Arc::new(Files::open(dir.path(), 1 << 20).unwrap()),
            orphans: Orphans::new(),
        };
        let info = SessionInfo {
            id: session,
            name: WorkerName::new("w").unwrap(),
            host: String::new(),
            queues: Vec::new(),
            kinds: Vec::new(),
        };
        group
            .run(&mut VecDeque::from([Box::new(Open(info)) as Box<dyn Job>]))
            .reply();
        group.orphans.insert(session);
        for stays in [false, true] {
            let look = Look {
                stays,
                has_run: false,
            };
            group
                .run(&mut VecDeque::from([Box::new(look) as Box<dyn Job>]))
                .reply();
            let disk = group.files.read();
            let lost = sessions::all(disk.disk().unwrap()).unwrap()[0].session.lost;
            assert_eq!((lost, group.orphans.is_empty()), (stays, stays));
        }
    }
}
