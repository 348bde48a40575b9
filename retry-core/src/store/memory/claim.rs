//! Claims: lane by lane within each level.

use super::rows::Rows;
use crate::id::TaskId;
use crate::machine;
use crate::name::Kind;
use crate::priority::Priority;
use crate::store::{ClaimRequest, Claimed, Lane, Mark};
use crate::task::{ClaimedTask, State};
use crate::time::Timestamp;

/// What a claim may still take.
struct Left {
    all: usize,
    suspects: usize,
    kinds: Vec<(Kind, usize)>,
}

impl Left {
    fn of(&self, lane: &Lane) -> usize {
        let kind = self
            .kinds
            .iter()
            .find(|(kind, _)| *kind == lane.kind)
            .map_or(0, |(_, left)| *left);
        let suspects = if lane.suspect { self.suspects } else { usize::MAX };
        kind.min(self.all).min(suspects)
    }

    fn take(&mut self, lane: &Lane) {
        self.all -= 1;
        self.suspects -= usize::from(lane.suspect);
        self.kinds
            .iter_mut()
            .filter(|(kind, _)| *kind == lane.kind)
            .for_each(|(_, left)| *left -= 1);
    }
}

impl Rows {
    pub(super) fn claim(&mut self, request: &ClaimRequest, now: Timestamp) -> Claimed {
        let mut claimed = Claimed {
            session_lost: !self.is_live(request.session),
            ..Claimed::default()
        };
        if claimed.session_lost || self.paused.contains(&request.queue) {
            return claimed;
        }
        let mut left = Left {
            all: request.limit,
            suspects: request.max_suspects,
            kinds: request.kinds.clone(),
        };
        if let Some(ids) = &request.ids {
            self.claim_ids(request, ids, &mut left, &mut claimed, now);
            return claimed;
        }
        for priority in Priority::ALL {
            for lane in self.lanes_by_head(request, priority, &left) {
                self.drain(request, &lane, &mut left, &mut claimed, now);
            }
        }
        claimed.next_due = self.next_due(request, &left, now);
        if left.all > 0 {
            claimed.marks.clear();
        }
        claimed
    }

    /// The asked lanes of a level that have tasks in the window, in the order of their heads.
    fn lanes_by_head(&self, request: &ClaimRequest, priority: Priority, left: &Left) -> Vec<Lane> {
        let mut lanes: Vec<_> = request
            .kinds
            .iter()
            .flat_map(|(kind, _)| {
                [false, true].map(|suspect| Lane {
                    kind: kind.clone(),
                    priority,
                    suspect,
                })
            })
            .filter(|lane| left.of(lane) > 0)
            .filter_map(|lane| self.head(request, &lane).map(|head| (head, lane)))
            .collect();
        lanes.sort_by_key(|(head, _)| *head);
        lanes.into_iter().map(|(_, lane)| lane).collect()
    }

    fn head(&self, request: &ClaimRequest, lane: &Lane) -> Option<(Timestamp, TaskId)> {
        let entries = self.ready.get(&request.queue)?.get(lane)?;
        let from = (request.not_before.unwrap_or(Timestamp::MIN), TaskId::MIN);
        let mark = request
            .after
            .iter()
            .find(|mark| mark.lane == *lane)
            .map(|mark| (mark.run_at, mark.id));
        entries
            .range(from..)
            .find(|entry| mark.is_none_or(|mark| **entry > mark))
            .copied()
    }

    fn drain(
        &mut self,
        request: &ClaimRequest,
        lane: &Lane,
        left: &mut Left,
        claimed: &mut Claimed,
        now: Timestamp,
    ) {
        let until = request.not_after.map_or(now, |not_after| not_after.min(now));
        while left.of(lane) > 0 {
            let Some((run_at, id)) = self.head(request, lane).filter(|(run_at, _)| *run_at <= until) else {
                return;
            };
            claimed.tasks.extend(self.take(id, request, now));
            left.take(lane);
            match claimed.marks.iter_mut().find(|mark| mark.lane == *lane) {
                Some(mark) => (mark.run_at, mark.id) = (run_at, id),
                None => claimed.marks.push(Mark {
                    lane: lane.clone(),
                    run_at,
                    id,
                }),
            }
        }
    }

    fn claim_ids(
        &mut self,
        request: &ClaimRequest,
        ids: &[TaskId],
        left: &mut Left,
        claimed: &mut Claimed,
        now: Timestamp,
    ) {
        let until = request.not_after.map_or(now, |not_after| not_after.min(now));
        let from = request.not_before.unwrap_or(Timestamp::MIN);
        for id in ids {
            let Some(row) = self.rows.get(id) else { continue };
            let task = &row.detail.task;
            let lane = super::rows::lane(task);
            let due = task.state == State::Pending && (from..=until).contains(&task.run_at);
            if due && task.queue == request.queue && left.of(&lane) > 0 {
                claimed.tasks.extend(self.take(*id, request, now));
                left.take(&lane);
            }
        }
    }

    fn take(&mut self, id: TaskId, request: &ClaimRequest, now: Timestamp) -> Option<ClaimedTask> {
        let mut row = self.remove(id)?;
        row.detail.task = machine::claim(&row.detail.task, request.session, now);
        let detail = &row.detail;
        let claimed = ClaimedTask {
            task: detail.task.clone(),
            payload: detail.payload.clone(),
            headers: detail.headers.clone(),
            checkpoint: detail.checkpoint.clone(),
            completion: detail.completion.clone(),
        };
        self.put(row);
        Some(claimed)
    }

    /// `now` when the claim was full, else the first due time that is left in the asked lanes.
    fn next_due(&self, request: &ClaimRequest, left: &Left, now: Timestamp) -> Option<Timestamp> {
        if left.all == 0 {
            return Some(now);
        }
        let asked = request.kinds.iter().filter(|(_, limit)| *limit > 0);
        let suspects: &[bool] = if request.max_suspects > 0 {
            &[false, true]
        } else {
            &[false]
        };
        let lanes = asked.flat_map(|(kind, _)| {
            Priority::ALL.into_iter().flat_map(move |priority| {
                suspects.iter().map(move |suspect| Lane {
                    kind: kind.clone(),
                    priority,
                    suspect: *suspect,
                })
            })
        });
        let heads = lanes
            .filter_map(|lane| self.head(request, &lane))
            .map(|(run_at, _)| run_at);
        let until = request.not_after.unwrap_or(Timestamp::MAX);
        heads
            .filter(|run_at| *run_at <= until)
            .min()
            .map(|run_at| run_at.max(now))
    }
}
