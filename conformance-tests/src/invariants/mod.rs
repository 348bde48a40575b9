//! What holds between any two moments of a store, whatever was called in between: one file each.

mod attempts_bounded;
mod attempts_monotonic;
mod children_exact;
mod fields_fit_state;
mod final_is_final;
mod identity_kept;
mod key_held_once;
mod never_early;
mod nothing_lost;
mod pause_holds;
mod single_owner;
mod version_monotonic;

use std::collections::{BTreeMap, BTreeSet};

use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::task::Task;
use retry_core::time::Timestamp;

use crate::verdict::{Failure, Verdict};

/// All tasks at one moment.
pub type Tasks = BTreeMap<TaskId, Task>;

/// Two moments with one call between them.
#[derive(Debug, Clone)]
pub struct Step<'a> {
    /// The time of the call.
    pub now: Timestamp,
    /// All tasks before it.
    pub before: &'a Tasks,
    /// All tasks after it.
    pub after: &'a Tasks,
    /// Tasks that the call was asked to delete, or to settle so that they are not kept.
    pub deletable: &'a BTreeSet<TaskId>,
    /// Sessions that were live before it.
    pub live: &'a BTreeSet<SessionId>,
    /// Queues that were paused before it.
    pub paused: &'a BTreeSet<Queue>,
    /// Whether the call was a purge.
    pub purged: bool,
}

impl Step<'_> {
    /// Tasks that are there before and after. One that may have been deleted may also have been inserted anew.
    pub fn kept(&self) -> impl Iterator<Item = (&Task, &Task)> {
        let kept = self.before.iter().filter(|(id, _)| !self.deletable.contains(id));
        kept.filter_map(|(id, before)| self.after.get(id).map(|after| (before, after)))
    }

    /// Tasks that were claimed in this step, as they are after it.
    pub fn claimed(&self) -> impl Iterator<Item = (Option<&Task>, &Task)> {
        self.after.values().filter_map(|after| {
            let before = self.before.get(&after.id);
            let held = before.is_some_and(|before| before.session == after.session);
            (after.session.is_some() && !held).then_some((before, after))
        })
    }
}

/// Where an invariant writes what it finds.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<String>,
}

impl Violations {
    /// Notes a violation unless `right`.
    pub fn expect(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.found.push(what());
        }
    }
}

/// An invariant.
#[derive(Debug)]
pub struct Invariant {
    /// Its file.
    pub name: &'static str,
    /// The law it protects.
    pub law: &'static str,
    /// The promise in one sentence.
    pub promise: &'static str,
    /// Checks it.
    pub check: fn(&Step<'_>, &mut Violations),
}

macro_rules! invariants {
    ($($name:ident $law:literal $promise:literal,)*) => {
        &[$(Invariant { name: stringify!($name), law: $law, promise: $promise, check: $name::check },)*]
    };
}

/// All invariants.
pub const INVARIANTS: &[Invariant] = invariants! {
    attempts_bounded "L7" "no attempt is given out beyond the task's limit",
    attempts_monotonic "L7" "attempts go down only by snooze, continue, a new step and a rerun",
    children_exact "L8" "a parent's counters equal a recount of its children",
    fields_fit_state "L6" "each state has the fields it needs and no others",
    final_is_final "L6" "a final task changes by rerun and delete only",
    identity_kept "L1" "what a task was inserted with stays",
    key_held_once "L2" "at most one task holds a unique key",
    never_early "L4" "no task is claimed before it is due",
    nothing_lost "L1" "a task is gone only after a delete or a purge",
    pause_holds "L15" "no task of a paused queue is claimed",
    single_owner "L3" "a task with a current lease is given to nobody else",
    version_monotonic "L6" "versions only rise, and every change of a lease raises them",
};

/// Checks all invariants.
///
/// # Errors
/// The first that does not hold.
pub fn check(step: &Step<'_>) -> Verdict {
    for invariant in INVARIANTS {
        let mut violations = Violations::default();
        (invariant.check)(step, &mut violations);
        if !violations.found.is_empty() {
            let what = format!("invariant {}", invariant.name);
            return Err(Failure::new(
                invariant.law,
                what,
                violations.found.join("; "),
                invariant.promise,
            ));
        }
    }
    Ok(())
}
