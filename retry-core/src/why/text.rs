//! The reasons as sentences for an operator.

use std::fmt;

use super::{Because, Ended, Joining, Lease, Reason, Running, Why};
use crate::span::show;
use crate::task::{OnWaitDeadline, State};
use crate::time::Timestamp;

/// Workers told of by name at most.
const NAMED: usize = 5;

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = |at: Timestamp| {
            if at > self.at {
                format!("in {}", show(at.saturating_since(self.at)))
            } else {
                format!("{} ago", show(self.at.saturating_since(at)))
            }
        };
        match &self.reason {
            Reason::Missing => {
                f.write_str("the store has no such task: it never had, or forgot it after its retention")
            }
            Reason::NoAnswer { asked, part, error } => {
                match part {
                    Some(part) => write!(f, "part {part} of the store")?,
                    None => f.write_str("the store")?,
                }
                write!(f, " did not answer when asked for {asked}: {error}")
            }
            Reason::Ended(ended) => show_ended(f, ended, when),
            Reason::Running(running) => show_running(f, running, when),
            Reason::Waiting { until, then } => {
                f.write_str("it waits for a completion")?;
                let then = match then {
                    OnWaitDeadline::Resume => "goes on without one",
                    OnWaitDeadline::Fail => "fails",
                };
                match until {
                    Some(until) if *until > self.at => write!(f, "; {} it {then}", when(*until)),
                    Some(until) => write!(
                        f,
                        "; its deadline was {}: a worker sees that it {then}",
                        when(*until)
                    ),
                    None => Ok(()),
                }
            }
            Reason::Joining { children, next } => {
                let (open, total, failed) = (children.open, children.total, children.failed);
                write!(
                    f,
                    "it waits for its children: {open} of {total} open, {failed} failed"
                )?;
                f.write_str(match next {
                    Joining::Children => "",
                    Joining::Cancel => "; they are being cancelled, and then it is",
                    Joining::Operator => "; it is held until they are rerun or it is released",
                    Joining::Rescuer => "; a worker is about to end it",
                })
            }
            Reason::Later { at, because } => show_later(f, &when(*at), because),
            Reason::Expired { at, workers } => {
                write!(f, "its start deadline was {}; ", when(*at))?;
                match workers {
                    0 => f.write_str("no worker is live to cancel it"),
                    _ => f.write_str("a worker is about to cancel it"),
                }
            }
            Reason::CancelRequested => {
                f.write_str("its cancel was requested; the worker that claims it next cancels it")
            }
            Reason::Paused { queue } => write!(f, "it is due, but its queue {queue} is paused"),
            Reason::NoWorker { queue, kind, serving } => {
                show_no_worker(f, queue.as_str(), kind.as_str(), serving)
            }
            Reason::Suspect {
                crashes,
                budget,
                last_life,
                workers,
            } => {
                write!(f, "it is due, but its worker was lost {}", times(*crashes))?;
                if let Some(budget) = budget {
                    write!(f, " (of {budget} that fail it)")?;
                }
                let how = if *last_life {
                    "alone among its like"
                } else {
                    "with care"
                };
                write!(f, "; it waits to be run {how} by one of {workers} workers")
            }
            Reason::Queued {
                ahead,
                behind,
                workers,
            } => {
                write!(f, "it is due and waits for its turn at {workers} workers")?;
                if !ahead.is_empty() {
                    let lanes: Vec<String> = ahead
                        .iter()
                        .take(NAMED)
                        .map(|lane| format!("{} {:?}", lane.kind, lane.priority).to_lowercase())
                        .collect();
                    let more = if ahead.len() > NAMED { ", …" } else { "" };
                    write!(
                        f,
                        "; {} lanes come first ({}{more})",
                        ahead.len(),
                        lanes.join(", ")
                    )?;
                }
                match behind {
                    Some(first) => write!(f, "; tasks of its own lane have been due since {}", when(*first)),
                    None if ahead.is_empty() => f.write_str(
                        "; nothing comes first: they are busy, at a limit of their own, or about to claim it",
                    ),
                    None => Ok(()),
                }
            }
        }
    }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times in a row"),
    }
}

fn show_ended(f: &mut fmt::Formatter<'_>, ended: &Ended, when: impl Fn(Timestamp) -> String) -> fmt::Result {
    let how = match ended.state {
        State::Succeeded if ended.via_fallback => "succeeded by its fallback",
        State::Succeeded => "succeeded",
        State::Cancelled => "was cancelled",
        _ => "failed",
    };
    write!(f, "it {how} {}", when(ended.at))?;
    if let Some(error) = ended.error.as_ref().filter(|_| ended.state != State::Succeeded) {
        write!(f, ": {error}")?;
    }
    if ended.open_children > 0 {
        write!(
            f,
            "; {} of its children are still to be cancelled",
            ended.open_children
        )?;
    }
    Ok(())
}

fn show_running(
    f: &mut fmt::Formatter<'_>,
    running: &Running,
    when: impl Fn(Timestamp) -> String,
) -> fmt::Result {
    let rescue = match running.rescuers {
        0 => "no worker is live to rescue it",
        _ => "a worker is about to rescue it",
    };
    match &running.worker {
        Some(worker) => write!(f, "{} on {} has it", worker.name, worker.host)?,
        None => f.write_str("a worker that is gone has it")?,
    }
    write!(f, " since {} (attempt {})", when(running.since), running.attempt)?;
    match running.lease {
        Lease::Until(until) => write!(f, "; it runs, its lease ends {} unless renewed", when(until))?,
        Lease::EndedAt(at) => write!(f, "; the lease ended {}: {rescue}", when(at))?,
        Lease::Lost | Lease::Unknown => write!(f, "; the lease is lost: {rescue}")?,
        Lease::Overran(at) => write!(f, "; its deadline was {}: {rescue}", when(at))?,
    }
    if running.cancel_requested {
        f.write_str("; its cancel was requested")?;
    }
    Ok(())
}

fn show_later(f: &mut fmt::Formatter<'_>, when: &str, because: &Because) -> fmt::Result {
    write!(f, "it is due {when}")?;
    match because {
        Because::Enqueued => f.write_str(": it was enqueued for that time"),
        Because::Retry { attempt, error } => write!(f, ": attempt {attempt} failed: {error}"),
        Because::Rescued { crashes } => write!(f, ": its worker was lost {}", times(*crashes)),
        Because::PutOff => f.write_str(": its handler or an operator put it off"),
    }
}

fn show_no_worker(
    f: &mut fmt::Formatter<'_>,
    queue: &str,
    kind: &str,
    serving: &[super::Serves],
) -> fmt::Result {
    write!(
        f,
        "it is due, but no live worker serves kind {kind} of queue {queue}"
    )?;
    if serving.is_empty() {
        return f.write_str("; there is no live worker at all");
    }
    f.write_str("; there are: ")?;
    for (index, worker) in serving.iter().take(NAMED).enumerate() {
        let names = |names: Vec<&str>| names.join(", ");
        let queues = names(
            worker
                .queues
                .iter()
                .take(NAMED)
                .map(|name| name.as_str())
                .collect(),
        );
        let kinds = names(
            worker
                .kinds
                .iter()
                .take(NAMED)
                .map(|name| name.as_str())
                .collect(),
        );
        let comma = if index > 0 { "; " } else { "" };
        write!(f, "{comma}{} (queues {queues}; kinds {kinds})", worker.worker)?;
    }
    if serving.len() > NAMED {
        write!(f, "; and {} more", serving.len() - NAMED)?;
    }
    Ok(())
}
