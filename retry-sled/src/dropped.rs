//! Calls whose future was dropped: what they were about to write is decided before the next read.
//!
//! A write that was sent may be in the middle of its commit when its caller stops waiting. A read that came right after
//! would see the time before, and find the write later. So the first read after a dropped call waits for the writer once.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts dropped calls, and up to which of them all are decided.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    calls: AtomicU64,
    decided: AtomicU64,
}

/// A call that somebody waits for.
#[derive(Debug)]
pub(crate) struct Waiting<'d> {
    dropped: &'d Dropped,
    answered: bool,
}

impl Dropped {
    /// A call was sent.
    pub(crate) const fn wait(&self) -> Waiting<'_> {
        Waiting {
            dropped: self,
            answered: false,
        }
    }

    /// The calls that a read has to wait for; none in the ordinary case.
    pub(crate) fn undecided(&self) -> Option<u64> {
        let calls = self.calls.load(Ordering::Acquire);
        (calls > self.decided.load(Ordering::Acquire)).then_some(calls)
    }

    /// The writer has come past these calls.
    pub(crate) fn decide(&self, calls: u64) {
        self.decided.fetch_max(calls, Ordering::AcqRel);
    }
}

impl Waiting<'_> {
    /// The answer came.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.dropped.calls.fetch_add(1, Ordering::AcqRel);
        }
    }
}
