//! Every task ended, and ended right: its output, its children, its followers, its progress, its completion.

use std::collections::HashMap;

use retry_core::draft::TaskPayload as _;
use retry_core::id::TaskId;
use retry_core::task::State;

use super::{Found, Kept};
use crate::event::{Completed, How};
use crate::history::{History, Trace};
use crate::kinds::{FOLLOWERS, Follower, Kid, Leader, Parent, Saver, Slow, Waiter};

pub(super) fn check(history: &History, kept: &[Kept], found: &mut Found) {
    let mut kids: HashMap<TaskId, Vec<&Kept>> = HashMap::new();
    let mut followers: HashMap<u64, Vec<u32>> = HashMap::new();
    for kept in kept {
        if let Some(parent) = kept.detail.task.parent {
            kids.entry(parent).or_default().push(kept);
        }
        if kept.kind() == Follower::KIND {
            followers
                .entry(kept.common.n)
                .or_default()
                .push(kept.common.index.unwrap_or(u32::MAX));
        }
    }
    for kept in kept {
        let (id, task) = (&kept.id, &kept.detail.task);
        if task.state != State::Succeeded {
            let why = kept.detail.last_error.as_ref().map_or("", |error| error.as_str());
            found.wrong(format!(
                "task {id} ({}) is {} at the end, not succeeded: {why}",
                kept.kind(),
                task.state
            ));
            continue;
        }
        if task.holds_key || task.session.is_some() {
            found.wrong(format!("task {id} has ended and holds its key or a session"));
        }
        match history.tasks.get(id) {
            Some(trace) => last_run(kept, trace, found),
            None => found.wrong(format!("task {id} ({}) succeeded and never ran", kept.kind())),
        }
        match kept.kind() {
            Parent::KIND => family(kept, kids.get(&task.id).map_or(&[], Vec::as_slice), found),
            Kid::KIND if task.parent.is_none() => found.wrong(format!("kid {id} has no parent")),
            Slow::KIND => {
                let output = output(kept);
                if output != Some(kept.common.n) {
                    found.wrong(format!("task {id} has output {output:?}, not {}", kept.common.n));
                }
            }
            Leader::KIND => {
                let mut there = followers.remove(&kept.common.n).unwrap_or_default();
                there.sort_unstable();
                if there != (0..FOLLOWERS).collect::<Vec<_>>() {
                    found.wrong(format!("leader {id} succeeded with followers {there:?}"));
                }
            }
            _ => {}
        }
    }
    for n in followers.keys() {
        found.wrong(format!("{n} has followers and no leader that succeeded"));
    }
}

/// The run that succeeded is in the log, and the record's last write was its.
fn last_run(kept: &Kept, trace: &Trace, found: &mut Found) {
    let (id, task) = (&kept.id, &kept.detail.task);
    let good = trace.runs.iter().filter_map(|run| Some((run, run.end?)));
    let settled = good.into_iter().any(|(run, end)| {
        end.how == How::Good
            && end.version + 1 == task.version
            && (run.attempt, run.step) == (task.attempt, task.step)
    });
    if !settled {
        found.wrong(format!(
            "task {id} ({}) succeeded at version {}, attempt {}, step {}, and no run in the log did that",
            kept.kind(),
            task.version,
            task.attempt,
            task.step
        ));
    }
    if kept.kind() == Saver::KIND {
        progress(id, trace, found);
    }
    if kept.kind() == Waiter::KIND {
        completion(kept, trace, found);
    }
}

/// The wait was completed once, and the task got the data of the one who was told so.
fn completion(kept: &Kept, trace: &Trace, found: &mut Found) {
    let (id, step) = (&kept.id, kept.detail.task.step);
    let done = trace.completed.iter().filter(|(_, how)| *how == Completed::Done);
    let done: Vec<u64> = done.map(|(mark, _)| *mark).collect();
    if done.len() > 1 || step != 1 {
        found.wrong(format!(
            "wait {id} is at step {step} and was completed {} times",
            done.len()
        ));
    }
    let got = output(kept);
    if got.is_none() || done.iter().any(|mark| got != Some(*mark)) {
        found.wrong(format!("wait {id} was completed with {done:?} and got {got:?}"));
    }
}

fn output(kept: &Kept) -> Option<u64> {
    kept.detail.output.as_ref()?.decode().ok()
}

/// No run starts behind a checkpoint that was acknowledged before.
fn progress(id: &str, trace: &Trace, found: &mut Found) {
    for run in &trace.runs {
        let before = trace.saved.iter().filter(|(version, _)| *version < run.version);
        let saved = before.map(|(_, progress)| *progress).max().unwrap_or(0);
        if run.found.is_none_or(|progress| progress < saved) {
            found.wrong(format!(
                "task {id}: the run of version {} found {:?} after {saved} was stored",
                run.version, run.found
            ));
        }
    }
}

fn family(kept: &Kept, kids: &[&Kept], found: &mut Found) {
    let (id, task, wanted) = (&kept.id, &kept.detail.task, kept.common.children.unwrap_or(0));
    let children = task.children;
    if (children.total, children.open, children.failed) != (wanted, 0, 0) {
        found.wrong(format!("parent {id} of {wanted} counts {children:?}"));
    }
    let mut there: Vec<TaskId> = kids.iter().map(|kid| kid.detail.task.id).collect();
    let mut ids: Vec<TaskId> = (0..wanted)
        .map(|index| TaskId::child(task.id, 0, 0, index))
        .collect();
    there.sort_unstable();
    ids.sort_unstable();
    if there != ids {
        found.wrong(format!(
            "parent {id} of {wanted} has {} kids, or not its own",
            there.len()
        ));
    }
}
