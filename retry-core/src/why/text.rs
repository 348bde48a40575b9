//! The reasons as sentences for an operator.

use std::fmt::{self, Formatter};

use super::{Because, Ended, Joining, Lease, Reason, Running, Serves, Why};
use crate::span::show;
use crate::store::{Lane, StoreError};
use crate::task::{Children, OnWaitDeadline, State};
use crate::time::Timestamp;

/// Workers, lanes and names told of at most.
const NAMED: usize = 5;

impl fmt::Display for Why {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Missing => {
                f.write_str("the store has no such task: it never had, or forgot it after its retention")
            }
            Reason::NoAnswer { asked, part, error } => no_answer(f, asked, *part, error),
            Reason::Ended(ended) => self.ended(f, ended),
            Reason::Running(running) => self.running(f, running),
            Reason::Waiting { until, then } => self.waiting(f, *until, *then),
            Reason::Joining { children, next } => joining(f, children, *next),
            Reason::Later { at, because } => self.later(f, *at, because),
            Reason::Expired { at, workers } => {
                let who = if *workers == 0 {
                    "no worker is live"
                } else {
                    "a worker is about"
                };
                write!(f, "its start deadline was {}; {who} to cancel it", self.when(*at))
            }
            Reason::CancelRequested => {
                f.write_str("its cancel was requested; the worker that claims it next cancels it")
            }
            Reason::Paused { queue } => write!(f, "it is due, but its queue {queue} is paused"),
            Reason::NoWorker { queue, kind, serving } => {
                write!(
                    f,
                    "it is due, but no live worker serves kind {kind} of queue {queue}"
                )?;
                told(f, serving)
            }
            Reason::Suspect {
                crashes,
                budget,
                last_life,
                workers,
            } => suspect(f, *crashes, *budget, *last_life, *workers),
            Reason::Queued {
                ahead,
                behind,
                workers,
            } => self.queued(f, ahead, *behind, *workers),
        }
    }
}

impl Why {
    fn when(&self, at: Timestamp) -> String {
        if at > self.at {
            format!("in {}", show(at.saturating_since(self.at)))
        } else {
            format!("{} ago", show(self.at.saturating_since(at)))
        }
    }

    fn ended(&self, f: &mut Formatter<'_>, ended: &Ended) -> fmt::Result {
        let how = match ended.state {
            State::Succeeded if ended.via_fallback => "succeeded by its fallback",
            State::Succeeded => "succeeded",
            State::Cancelled => "was cancelled",
            _ => "failed",
        };
        write!(f, "it {how} {}", self.when(ended.at))?;
        if let Some(error) = ended.error.as_ref().filter(|_| ended.state != State::Succeeded) {
            write!(f, ": {error}")?;
        }
        match ended.open_children {
            0 => Ok(()),
            open => write!(f, "; {open} of its children are still to be cancelled"),
        }
    }

    fn running(&self, f: &mut Formatter<'_>, running: &Running) -> fmt::Result {
        let rescue = match running.rescuers {
            0 => "no worker is live to rescue it",
            _ => "a worker is about to rescue it",
        };
        match &running.worker {
            Some(worker) => write!(f, "{} on {} has it", worker.name, worker.host)?,
            None => f.write_str("a worker that is gone has it")?,
        }
        let (since, attempt) = (self.when(running.since), running.attempt);
        write!(f, " since {since} (attempt {attempt})")?;
        match running.lease {
            Lease::Until(until) => {
                write!(f, "; it runs, its lease ends {} unless renewed", self.when(until))?;
            }
            Lease::EndedAt(at) => write!(f, "; the lease ended {}: {rescue}", self.when(at))?,
            Lease::Lost | Lease::Unknown => write!(f, "; the lease is lost: {rescue}")?,
            Lease::Overran(at) => write!(f, "; its deadline was {}: {rescue}", self.when(at))?,
        }
        if running.children.open > 0 {
            let Children { total, open, .. } = running.children;
            write!(
                f,
                "; it is splitting: {total} children so far, {open} of them open"
            )?;
        }
        if running.cancel_requested {
            f.write_str("; its cancel was requested")?;
        }
        Ok(())
    }

    fn waiting(&self, f: &mut Formatter<'_>, until: Option<Timestamp>, then: OnWaitDeadline) -> fmt::Result {
        f.write_str("it waits for a completion")?;
        let then = match then {
            OnWaitDeadline::Resume => "goes on without one",
            OnWaitDeadline::Fail => "fails",
        };
        match until {
            Some(until) if until > self.at => write!(f, "; {} it {then}", self.when(until)),
            Some(until) => {
                let when = self.when(until);
                write!(f, "; its deadline was {when}: a worker sees that it {then}")
            }
            None => Ok(()),
        }
    }

    fn later(&self, f: &mut Formatter<'_>, at: Timestamp, because: &Because) -> fmt::Result {
        write!(f, "it is due {}", self.when(at))?;
        match because {
            Because::Enqueued => f.write_str(": it was enqueued for that time"),
            Because::Retry { attempt, error } => write!(f, ": attempt {attempt} failed: {error}"),
            Because::Rescued { crashes } => write!(f, ": its worker was lost {}", times(*crashes)),
            Because::PutOff => f.write_str(": its handler or an operator put it off"),
        }
    }

    fn queued(
        &self,
        f: &mut Formatter<'_>,
        ahead: &[Lane],
        behind: Option<Timestamp>,
        workers: usize,
    ) -> fmt::Result {
        write!(
            f,
            "it is due and waits for its turn at {}",
            some(workers, "worker")
        )?;
        if !ahead.is_empty() {
            let lanes: Vec<String> = ahead
                .iter()
                .take(NAMED)
                .map(|lane| format!("{} {:?}", lane.kind, lane.priority).to_lowercase())
                .collect();
            let more = if ahead.len() > NAMED { ", …" } else { "" };
            let (n, lanes) = (some(ahead.len(), "lane"), lanes.join(", "));
            write!(f, "; ahead of it: {n} ({lanes}{more})")?;
        }
        match behind {
            Some(first) => {
                let when = self.when(first);
                write!(f, "; tasks of its own lane have been due since {when}")
            }
            None if ahead.is_empty() => f.write_str(
                "; nothing is ahead of it: they are busy, at a limit of their own, or about to claim it",
            ),
            None => Ok(()),
        }
    }
}

fn some(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times in a row"),
    }
}

fn no_answer(f: &mut Formatter<'_>, asked: &str, part: Option<usize>, error: &StoreError) -> fmt::Result {
    match part {
        Some(part) => write!(f, "part {part} of the store")?,
        None => f.write_str("the store")?,
    }
    write!(f, " did not answer when asked for {asked}: {error}")
}

fn joining(f: &mut Formatter<'_>, children: &Children, next: Joining) -> fmt::Result {
    let (open, total, failed) = (children.open, children.total, children.failed);
    write!(
        f,
        "it waits for its children: {open} of {total} open, {failed} failed"
    )?;
    f.write_str(match next {
        Joining::Children => "",
        Joining::Cancel => "; they are being cancelled, and then it is",
        Joining::Operator => "; it is held until they are rerun or it is released",
        Joining::Rescuer => "; a worker is about to settle it",
    })
}

fn suspect(
    f: &mut Formatter<'_>,
    crashes: u32,
    budget: Option<u32>,
    last_life: bool,
    workers: usize,
) -> fmt::Result {
    write!(f, "it is due, but its worker was lost {}", times(crashes))?;
    if let Some(budget) = budget {
        write!(f, " (of {budget} that fail it)")?;
    }
    let how = if last_life {
        "alone among its like"
    } else {
        "with care"
    };
    write!(
        f,
        "; it waits to be run {how} by one of {}",
        some(workers, "worker")
    )
}

fn told(f: &mut Formatter<'_>, serving: &[Serves]) -> fmt::Result {
    if serving.is_empty() {
        return f.write_str("; there is no live worker at all");
    }
    f.write_str("; there are: ")?;
    let names = |names: Vec<&str>| names.join(", ");
    for (index, worker) in serving.iter().take(NAMED).enumerate() {
        let queues = worker.queues.iter().take(NAMED).map(|name| name.as_str());
        let kinds = worker.kinds.iter().take(NAMED).map(|name| name.as_str());
        let (queues, kinds) = (names(queues.collect()), names(kinds.collect()));
        let comma = if index > 0 { "; " } else { "" };
        write!(f, "{comma}{} (queues {queues}; kinds {kinds})", worker.worker)?;
    }
    if serving.len() > NAMED {
        write!(f, "; and {} more", serving.len() - NAMED)?;
    }
    Ok(())
}
