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
/// The longest pause: what marks hide waits no longer however slow sweeps are, as long as one succeeds.
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
    /// How long the last two claims behind marks took.
    behind: [Duration; 2],
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

    /// Takes an answer into account. `more`: it may have left due tasks.
    pub(super) fn answered(&mut self, request: &ClaimRequest, claimed: &Claimed, more: bool, now: Monotonic) {
        if request.ids.is_some() {
            return;
        }
        let took = now.saturating_since(self.asked_at);
        let full = claimed.tasks.len() >= request.limit;
        if request.after.is_empty() {
            self.took(took, now);
            self.until = now + MARK_LIFE;
            self.marks
                .retain_mut(|mark| vouched(mark, request, claimed, more));
        } else {
            self.behind = [took, self.behind[0]];
        }
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

    /// A sweep took so long: when is the next one?
    fn took(&mut self, took: Duration, now: Monotonic) {
        self.sweeps = [took, self.sweeps[0]];
        self.next_sweep = now + self.pause();
    }

    /// How long there is to be no sweep.
    fn pause(&self) -> Duration {
        let longer = self.sweeps[0]
            .min(self.sweeps[1])
            .saturating_sub(self.behind[0].min(self.behind[1]));
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

/// Whether a sweep has left nothing due before a mark of an earlier claim; moves the mark back to where that is so. The lanes
/// that it took from have marks of its own.
fn vouched(mark: &mut Mark, request: &ClaimRequest, claimed: &Claimed, more: bool) -> bool {
    let lane = &mark.lane;
    let tasks = || claimed.tasks.iter().map(|claimed| &claimed.task);
    let limit = request.kinds.iter().find(|(kind, _)| *kind == lane.kind);
    let Some((_, limit)) = limit.filter(|_| !lane.suspect || request.max_suspects > 0) else {
        return false;
    };
    let is_of_lane = |task: &Task| {
        task.kind == lane.kind && task.priority == lane.priority && task.is_suspect() == lane.suspect
    };
    if tasks().any(is_of_lane) {
        return false;
    }
    if !more {
        return true;
    }
    // Suspects, and kinds that have their limit, may have been left out.
    if lane.suspect || tasks().filter(|task| task.kind == lane.kind).count() >= *limit {
        return false;
    }
    let Some(last) = tasks().map(|task| task.priority).max() else {
        return false;
    };
    if lane.priority == last {
        // Of a priority the lane with the oldest task comes first.
        let of_last = tasks().filter(|task| task.priority == last);
        let positions = of_last.map(|task| (task.run_at, task.id));
        let own = (mark.run_at, mark.id);
        (mark.run_at, mark.id) = positions.fold(own, Ord::min);
    }
    mark.lane.priority <= last
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
    use crate::draft::Draft;
    use crate::headers::Headers;
    use crate::id::{SessionId, TaskId};
    use crate::name::{Kind, Queue};
    use crate::payload::Payload;
    use crate::priority::Priority::{self, High, Low, Normal, Urgent};
    use crate::time::Timestamp;

    /// Kind, priority and due time in milliseconds.
    type At = (&'static str, Priority, i64);

    fn mark((kind, priority, run_at): At) -> Mark {
        behind(&task((kind, priority, run_at)).task)
    }

    fn task((kind, priority, run_at): At) -> ClaimedTask {
        let run_at = Timestamp::from_millis(run_at);
        let draft = Draft::raw(kind, Payload::null())
            .priority(priority)
            .run_at(run_at);
        let new = draft.build(TaskId::MIN, run_at, 0, None).unwrap();
        ClaimedTask {
            task: Task::pending(&new, run_at),
            payload: Payload::null(),
            headers: Headers::default(),
            checkpoint: None,
            completion: None,
        }
    }

    /// Claims one after the other on a store whose sweeps are slow.
    #[derive(Default)]
    struct Source {
        marks: Marks,
        millis: u64,
    }

    impl Source {
        fn now(&self) -> Monotonic {
            Monotonic::from_start(Duration::from_millis(self.millis))
        }

        /// A claim of the kinds `a` and `b` that gets these tasks, a full one or one that leaves nothing due; answers where it
        /// started.
        fn claim(&mut self, tasks: &[At], is_full: bool) -> Vec<Mark> {
            let kinds = ["a", "b"].map(|kind| Kind::new(kind).unwrap());
            let limit = tasks.len() + usize::from(!is_full);
            let mut request = ClaimRequest::new(SessionId::from_random(1, 1), Queue::default(), kinds, limit);
            request.kinds.iter_mut().for_each(|(_, limit)| *limit += 1);
            request.after = self.marks.of_request(self.now());
            self.millis += if request.after.is_empty() { 100 } else { 1 };
            let mut claimed = Claimed {
                tasks: tasks.iter().copied().map(task).collect(),
                ..Claimed::default()
            };
            if is_full {
                claimed.marks = tasks.iter().copied().map(mark).collect();
            }
            self.marks.answered(&request, &claimed, is_full, self.now());
            request.after
        }

        /// A full claim when the next sweep is due.
        fn sweep(&mut self, tasks: &[At]) {
            self.millis += 100_000;
            assert_eq!(self.claim(tasks, true), [], "a sweep");
        }

        /// Where the next claim starts.
        fn starts(&mut self) -> Vec<At> {
            let name = |mark: Mark| {
                let kind = if mark.lane.kind.as_str() == "a" { "a" } else { "b" };
                (kind, mark.lane.priority, mark.run_at.as_millis())
            };
            let mut starts: Vec<At> = self.marks.of_request(self.now()).into_iter().map(name).collect();
            starts.sort_unstable();
            starts
        }
    }

    fn slow() -> Source {
        let mut source = Source::default();
        for _ in 0..2 {
            source.sweep(&[("a", Normal, 0)]);
        }
        source
    }

    #[test]
    fn claims_behind_marks_move_them_and_no_other() {
        let mut source = slow();
        source.claim(&[("a", Urgent, 5), ("b", Normal, 7)], true);
        assert_eq!(
            source.starts(),
            [("a", Urgent, 5), ("a", Normal, 0), ("b", Normal, 7)]
        );
        source.claim(&[("b", Normal, 9)], false);
        assert_eq!(
            source.starts(),
            [("a", Urgent, 5), ("a", Normal, 0), ("b", Normal, 9)]
        );
    }

    /// The entries of a lane that has dried up are walked by every claim that has no mark there.
    #[test]
    fn a_sweep_keeps_the_marks_that_it_vouches_for() {
        let mut source = slow();
        let all = [("a", Urgent, 5), ("a", High, 50), ("b", High, 6), ("a", Low, 7)];
        source.claim(&all, true);
        // More urgent: nothing was left. As urgent: nothing due before the oldest that it got. Less urgent: not looked at.
        source.sweep(&[("b", High, 20), ("b", High, 30)]);
        assert_eq!(
            source.starts(),
            [("a", Urgent, 5), ("a", High, 20), ("b", High, 30)]
        );
        source.millis += 100_000;
        source.claim(&[("a", High, 3)], false);
        let wanted = [("a", Urgent, 5), ("a", High, 3), ("b", High, 30)];
        assert_eq!(
            source.starts(),
            wanted,
            "nothing was left, and where it took from it says where"
        );
    }

    #[test]
    fn a_sweep_vouches_for_no_lane_that_it_did_not_ask_for() {
        let mut source = slow();
        source.claim(&[("a", Normal, 5), ("b", Normal, 6)], true);
        let mut request = ClaimRequest::new(
            SessionId::from_random(1, 1),
            Queue::default(),
            [Kind::new("a").unwrap()],
            10,
        );
        source.millis += 100_000;
        request.after = source.marks.of_request(source.now());
        assert_eq!(request.after, []);
        source.millis += 100;
        source
            .marks
            .answered(&request, &Claimed::default(), false, source.now());
        assert_eq!(source.starts(), [("a", Normal, 5)]);
    }

    /// A store may give less than was asked for, because the answer would grow too large, say.
    #[test]
    fn a_sweep_that_left_due_tasks_moves_marks_back() {
        let mut source = slow();
        source.claim(&[("a", Normal, 50)], true);
        source.millis += 100_000;
        let limit = 10;
        let mut request = ClaimRequest::new(
            SessionId::from_random(1, 1),
            Queue::default(),
            [Kind::new("a").unwrap()],
            limit,
        );
        request.after = source.marks.of_request(source.now());
        source.millis += 100;
        let claimed = Claimed {
            tasks: vec![task(("a", Normal, 20))],
            ..Claimed::default()
        };
        source.marks.answered(&request, &claimed, true, source.now());
        assert_eq!(source.starts(), [("a", Normal, 20)]);
    }
}
