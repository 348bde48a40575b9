//! Low-water marks: where a source's next claim starts in each lane, so that it does not walk over what was claimed before.
//!
//! A store that keeps dead entries until nobody can see them any more (PostgreSQL under an old snapshot, InnoDB behind its
//! purge) walks over all of them in a claim from the beginning, a *sweep*. Marks hide what lies before them, so they are soon
//! done with; but when sweeps are slow they may take no more than a tenth of the time.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::store::{ClaimRequest, Claimed, Lane, Mark};
use crate::task::{ClaimedTask, Task};

/// How long low-water marks are trusted: what they may hide, such as an earlier task that became due again, waits no
/// longer, unless sweeps are slow.
const MARK_LIFE: Duration = Duration::from_millis(250);
/// A sweep that takes longer than a claim behind marks by more than this is slow.
const SLOW: Duration = Duration::from_millis(5);
/// The pause after a slow sweep in times of what it took longer.
const PAUSE_FACTOR: u32 = 9;
/// The longest pause: what marks hide waits no longer however slow sweeps are.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The marks of one source.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: Vec<Mark>,
    /// A full claim's marks are trusted until here.
    until: Monotonic,
    /// There is no sweep before this, because the last ones were slow.
    next_sweep: Monotonic,
    asked_at: Monotonic,
    /// How long the last two sweeps took: a single slow answer has other causes.
    sweeps: [Duration; 2],
    /// How long the last claim behind marks took.
    behind: Duration,
}

impl Marks {
    /// Where a claim at `now` starts; empty for a sweep.
    pub(super) fn of_request(&mut self, now: Monotonic) -> Vec<Mark> {
        self.asked_at = now;
        if self.are_trusted(now) {
            self.marks.clone()
        } else {
            Vec::new()
        }
    }

    /// Whether the next claim starts behind them.
    pub(super) fn are_trusted(&self, now: Monotonic) -> bool {
        !self.marks.is_empty() && now < self.until.max(self.next_sweep)
    }

    /// When what they hide may be asked for.
    pub(super) const fn next_sweep(&self) -> Monotonic {
        self.next_sweep
    }

    /// Anything may have become due, also before them.
    pub(super) fn wake(&mut self) {
        self.until = Monotonic::default();
    }

    /// Takes an answer into account, which is `full` if it gave as many as it was asked for.
    pub(super) fn answered(&mut self, request: &ClaimRequest, claimed: &Claimed, full: bool, now: Monotonic) {
        if request.ids.is_some() {
            return;
        }
        let took = now.saturating_since(self.asked_at);
        if request.after.is_empty() {
            self.swept(took, claimed, full, now);
            return;
        }
        self.behind = took;
        if full {
            claimed.marks.iter().cloned().for_each(|mark| self.advance(mark));
        } else {
            self.until = Monotonic::default();
            self.advance_behind(&claimed.tasks, now);
        }
    }

    /// The call failed: a sweep may have been cut off because it took too long.
    pub(super) fn failed(&mut self, request: &ClaimRequest, now: Monotonic) {
        if request.ids.is_none() && request.after.is_empty() {
            self.took(now.saturating_since(self.asked_at), now);
        }
    }

    fn swept(&mut self, took: Duration, claimed: &Claimed, full: bool, now: Monotonic) {
        self.took(took, now);
        self.until = if full {
            now + MARK_LIFE
        } else {
            Monotonic::default()
        };
        if full {
            // It may have stopped before a mark of theirs. The other lanes it has looked into, or takes nothing from yet.
            let stopped_in = |mark: &Mark| claimed.marks.iter().any(|at| at.lane == mark.lane);
            self.marks.retain(|mark| !stopped_in(mark));
            self.marks.extend_from_slice(&claimed.marks);
        } else {
            self.advance_behind(&claimed.tasks, now);
        }
    }

    /// A sweep took so long: when is the next one?
    fn took(&mut self, took: Duration, now: Monotonic) {
        self.sweeps = [took, self.sweeps[0]];
        self.next_sweep = now + self.pause();
    }

    /// How long there is to be no sweep.
    fn pause(&self) -> Duration {
        let longer = self.sweeps[0].min(self.sweeps[1]).saturating_sub(self.behind);
        if longer <= SLOW {
            return Duration::ZERO;
        }
        longer.saturating_mul(PAUSE_FACTOR).min(MAX_PAUSE)
    }

    /// Stores give marks with a full claim only. While there is to be no sweep they are made of what was claimed: tasks come
    /// in the order of their lane.
    fn advance_behind(&mut self, claimed: &[ClaimedTask], now: Monotonic) {
        if now < self.next_sweep {
            claimed
                .iter()
                .for_each(|claimed| self.advance(behind(&claimed.task)));
        } else {
            self.marks.clear();
        }
    }

    fn advance(&mut self, to: Mark) {
        match self.marks.iter_mut().find(|mark| mark.lane == to.lane) {
            Some(mark) => (mark.run_at, mark.id) = (mark.run_at, mark.id).max((to.run_at, to.id)),
            None => self.marks.push(to),
        }
    }
}

fn behind(task: &Task) -> Mark {
    Mark {
        lane: Lane {
            kind: task.kind.clone(),
            priority: task.priority,
            suspect: task.is_suspect(),
        },
        run_at: task.run_at,
        id: task.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SessionId, TaskId};
    use crate::name::{Kind, Queue};
    use crate::priority::Priority;
    use crate::time::Timestamp;

    fn mark(priority: Priority, run_at: i64) -> Mark {
        Mark {
            lane: Lane {
                kind: Kind::new("a").unwrap(),
                priority,
                suspect: false,
            },
            run_at: Timestamp::from_millis(run_at),
            id: TaskId::MIN,
        }
    }

    /// A full claim at a time, in milliseconds, that takes so long and ends at these marks; answers where it started.
    fn full(marks: &mut Marks, at: u64, took: u64, ends: &[Mark]) -> Vec<Mark> {
        let time = |millis| Monotonic::from_start(Duration::from_millis(millis));
        let mut request = ClaimRequest::new(SessionId::from_random(1, 1), Queue::default(), [], 1);
        request.after = marks.of_request(time(at));
        let claimed = Claimed {
            marks: ends.to_vec(),
            ..Claimed::default()
        };
        marks.answered(&request, &claimed, true, time(at + took));
        request.after
    }

    /// The entries of a lane that has dried up are walked by every claim that has no mark there.
    #[test]
    fn the_mark_of_a_lane_that_gives_nothing_stays() {
        let [urgent, usual, later] = [
            mark(Priority::Urgent, 5),
            mark(Priority::Normal, 6),
            mark(Priority::Normal, 7),
        ];
        let mut marks = Marks::default();
        assert_eq!(full(&mut marks, 0, 1, std::slice::from_ref(&urgent)), []);
        assert_eq!(
            full(&mut marks, 10, 1, std::slice::from_ref(&usual)),
            [urgent.clone()]
        );
        assert_eq!(
            full(&mut marks, 20, 1, std::slice::from_ref(&later)),
            [urgent.clone(), usual.clone()]
        );
        assert_eq!(
            full(&mut marks, 600, 1, std::slice::from_ref(&usual)),
            [],
            "a sweep"
        );
        assert_eq!(
            full(&mut marks, 610, 1, &[]),
            [urgent, usual],
            "where the sweep stopped"
        );
    }
}
