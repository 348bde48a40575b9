//! The kit's book: which handlers run and wait for what, what they did, and which fault is due.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::clock::KitClock;
use super::exec::{Exec, Process, lock};
use super::fault::{Counted, Fault};
use crate::clock::{Clock as _, Monotonic};
use crate::executor::Ctx;
use crate::id::TaskId;
use crate::name::Kind;

/// One run of a handler, as the kit saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The task.
    pub task: TaskId,
    /// Its kind.
    pub kind: Kind,
    /// The number of the attempt.
    pub attempt: u32,
    /// The fencing version with which it began.
    pub version: u64,
    /// Await points so far.
    pub awaits: u32,
    /// How it stands.
    pub end: RunEnd,
}

/// How a run of a handler stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// It has not ended.
    Running,
    /// It answered, with an outcome or an error.
    Returned,
    /// Its future was dropped before: by a crash, after a cancel or a timeout; or it panicked.
    Dropped,
}

/// What the drive has to do to a process, after the poll that brought it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Crash(Process),
    Stall(Process),
}

/// What a handler waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The kit's clock; or something outside, for so long already that the clock goes on.
    Kit,
    Outside,
}

#[derive(Debug)]
struct Active {
    process: Process,
    waits: Waits,
}

/// The number of a run, from 0.
pub(super) type RunNumber = usize;

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) exec: Exec,
    pub(super) clock: KitClock,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    runs: Vec<Run>,
    active: BTreeMap<RunNumber, Active>,
    /// By [`Counted`].
    counts: [u32; 3],
    planned: Vec<Planned>,
    order: Option<Order>,
    down_until: Monotonic,
}

/// A fault, and the count at which it strikes.
#[derive(Debug)]
struct Planned {
    fault: Fault,
    at: u32,
    struck: bool,
}

/// What becomes of a handler that has just returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Undisturbed,
    /// Its process dies now.
    Dies,
    /// Its process stands still now.
    Stands,
}

impl Book {
    /// Counts, and takes the fault that strikes here.
    fn count(&mut self, what: Counted) -> Option<Fault> {
        let count = &mut self.counts[what as usize];
        *count += 1;
        let now = *count;
        let strikes =
            |planned: &&mut Planned| !planned.struck && planned.fault.counted() == what && planned.at == now;
        let planned = self.planned.iter_mut().find(strikes)?;
        planned.struck = true;
        Some(planned.fault)
    }

    fn strike(&mut self, fault: Option<Fault>, process: Process) -> Fate {
        match fault {
            Some(Fault::CrashAtAwait(_) | Fault::CrashBeforeSettle(_)) => {
                self.order = Some(Order::Crash(process));
                Fate::Dies
            }
            Some(Fault::OverlapAtAwait(_) | Fault::DeliverTwice(_)) => {
                self.order = Some(Order::Stall(process));
                Fate::Stands
            }
            Some(Fault::LoseReply(_)) | None => Fate::Undisturbed,
        }
    }
}

impl Desk {
    pub(super) fn new(exec: Exec, clock: KitClock) -> Arc<Self> {
        Arc::new(Self {
            exec,
            clock,
            book: Mutex::default(),
        })
    }

    pub(super) fn plan(&self, fault: Fault) {
        let mut book = lock(&self.book);
        let at = book.counts[fault.counted() as usize].saturating_add(fault.number());
        book.planned.push(Planned {
            fault,
            at,
            struck: false,
        });
    }

    /// Planned faults that have not struck.
    pub(super) fn outstanding(&self) -> Vec<Fault> {
        let book = lock(&self.book);
        let left = book.planned.iter().filter(|planned| !planned.struck);
        left.map(|planned| planned.fault).collect()
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        lock(&self.book).runs.clone()
    }

    pub(super) fn take_order(&self) -> Option<Order> {
        lock(&self.book).order.take()
    }

    // The handlers.

    pub(super) fn begin(&self, ctx: &Ctx) -> RunNumber {
        let process = self.exec.current();
        let mut book = lock(&self.book);
        let number = book.runs.len();
        book.runs.push(Run {
            task: ctx.id(),
            kind: ctx.kind().clone(),
            attempt: ctx.attempt(),
            version: ctx.version(),
            awaits: 0,
            end: RunEnd::Running,
        });
        let waits = Waits::Kit;
        book.active.insert(number, Active { process, waits });
        number
    }

    /// Its poll ended unfinished.
    pub(super) fn awaits(&self, run: RunNumber, for_the_clock: bool) {
        let mut book = lock(&self.book);
        book.runs[run].awaits += 1;
        let fault = book.count(Counted::Awaits);
        if let Some(active) = book.active.get_mut(&run) {
            active.waits = if for_the_clock { Waits::Kit } else { Waits::Outside };
            let process = active.process;
            book.strike(fault, process);
        }
    }

    /// It has returned.
    pub(super) fn returned(&self, run: RunNumber) -> Fate {
        let mut book = lock(&self.book);
        let fault = book.count(Counted::Returns);
        let Some(active) = book.active.get_mut(&run) else {
            return Fate::Undisturbed;
        };
        active.waits = Waits::Kit;
        let process = active.process;
        let fate = book.strike(fault, process);
        if fate != Fate::Dies {
            book.runs[run].end = RunEnd::Returned;
        }
        fate
    }

    /// Its future is gone.
    pub(super) fn gone(&self, run: RunNumber) {
        let mut book = lock(&self.book);
        book.active.remove(&run);
        if book.runs[run].end == RunEnd::Running {
            book.runs[run].end = RunEnd::Dropped;
        }
    }

    /// Whether a handler runs in a process that does not stand still.
    pub(super) fn anything_runs(&self) -> bool {
        let book = lock(&self.book);
        book.active
            .values()
            .any(|active| !self.exec.is_paused(active.process))
    }

    /// Whether one of them waits for something outside.
    pub(super) fn waits_outside(&self) -> bool {
        let book = lock(&self.book);
        book.active
            .values()
            .any(|active| active.waits == Waits::Outside && !self.exec.is_paused(active.process))
    }

    /// The clock goes on although they wait.
    pub(super) fn lose_patience(&self) {
        let mut book = lock(&self.book);
        book.active
            .values_mut()
            .for_each(|active| active.waits = Waits::Kit);
    }

    // The store.

    pub(super) fn set_down_until(&self, until: Monotonic) {
        lock(&self.book).down_until = until;
    }

    pub(super) fn is_down(&self) -> bool {
        self.clock.monotonic() < lock(&self.book).down_until
    }

    /// A write of outcomes goes out; true: its answer gets lost.
    pub(super) fn loses_reply(&self) -> bool {
        lock(&self.book).count(Counted::Settles).is_some()
    }
}
