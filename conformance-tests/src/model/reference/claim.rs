//! Claims in the model.

use std::collections::BTreeMap;

use retry_core::id::TaskId;
use retry_core::machine;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, Claimed, Lane};
use retry_core::task::{ClaimedTask, State, Task};
use retry_core::time::Timestamp;

use super::{Reference, lane};

impl Reference {
    pub(super) fn claim(&mut self, request: &ClaimRequest, now: Timestamp) -> Claimed {
        let mut claimed = Claimed::default();
        claimed.session_lost = !self.is_live(request.session);
        if claimed.session_lost || self.paused.contains(&request.queue) {
            return claimed;
        }
        let mut taken: Vec<Lane> = Vec::new();
        for (_, id, lane) in self.due(request, now) {
            if !room(request, &taken, &lane) {
                continue;
            }
            taken.push(lane);
            claimed.tasks.extend(self.take(id, request, now));
        }
        claimed.next_due = self.next_due(request).map(|run_at| run_at.max(now));
        claimed
    }

    /// The due tasks that the request asks for, in the order of the contract.
    pub(in crate::model) fn due(
        &self,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Vec<(Timestamp, TaskId, Lane)> {
        let mut order = match &request.ids {
            Some(ids) => self.named(request, ids),
            None => self.in_order(request),
        };
        let until = request.not_after.unwrap_or(now).min(now);
        order.retain(|(run_at, _, _)| *run_at <= until);
        order
    }

    /// The pending tasks that the request asks for, whatever their time: queue, kind, window and marks fit.
    pub(in crate::model) fn asked<'a>(&'a self, request: &'a ClaimRequest) -> impl Iterator<Item = &'a Task> {
        self.tasks().filter(|task| {
            let kind = request
                .kinds
                .iter()
                .any(|(kind, limit)| *kind == task.kind && *limit > 0);
            let place = (task.run_at, task.id);
            let behind = request
                .after
                .iter()
                .all(|mark| mark.lane != lane(task) || place > (mark.run_at, mark.id));
            task.state == State::Pending
                && task.queue == request.queue
                && kind
                && (task.crashes == 0 || request.max_suspects > 0)
                && behind
                && request.not_before.is_none_or(|from| task.run_at >= from)
                && request.not_after.is_none_or(|until| task.run_at <= until)
        })
    }

    /// Every asked task in the order of the contract: by level, then by lanes in the order of their heads, then inside
    /// a lane.
    fn in_order(&self, request: &ClaimRequest) -> Vec<(Timestamp, TaskId, Lane)> {
        let mut order = Vec::new();
        for priority in Priority::ALL {
            let mut lanes: BTreeMap<Lane, Vec<(Timestamp, TaskId)>> = BTreeMap::new();
            for task in self.asked(request).filter(|task| task.priority == priority) {
                lanes.entry(lane(task)).or_default().push((task.run_at, task.id));
            }
            lanes.values_mut().for_each(|places| places.sort_unstable());
            let mut lanes: Vec<_> = lanes.into_iter().collect();
            lanes.sort_by_key(|(_, places)| places[0]);
            for (lane, places) in lanes {
                order.extend(places.into_iter().map(|(at, id)| (at, id, lane.clone())));
            }
        }
        order
    }

    fn named(&self, request: &ClaimRequest, ids: &[TaskId]) -> Vec<(Timestamp, TaskId, Lane)> {
        let asked = self.asked(request).filter(|task| ids.contains(&task.id));
        asked.map(|task| (task.run_at, task.id, lane(task))).collect()
    }

    /// Takes one task, as a claim does.
    pub(in crate::model) fn take(
        &mut self,
        id: TaskId,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Option<ClaimedTask> {
        let detail = &mut self.rows.get_mut(&id)?.detail;
        detail.task = machine::claim(&detail.task, request.session, now);
        let detail = detail.clone();
        Some(ClaimedTask {
            task: detail.task,
            payload: detail.payload,
            headers: detail.headers,
            checkpoint: detail.checkpoint,
            completion: detail.completion,
        })
    }

    /// The first due time that is left in the asked lanes.
    fn next_due(&self, request: &ClaimRequest) -> Option<Timestamp> {
        self.asked(request).map(|task| task.run_at).min()
    }
}

/// Whether one more task of `lane` fits into the limits.
fn room(request: &ClaimRequest, taken: &[Lane], lane: &Lane) -> bool {
    let of_kind = taken.iter().filter(|taken| taken.kind == lane.kind).count();
    let suspects = taken.iter().filter(|taken| taken.suspect).count();
    let kind_limit = request
        .kinds
        .iter()
        .find(|(kind, _)| *kind == lane.kind)
        .map_or(0, |(_, limit)| *limit);
    taken.len() < request.limit && of_kind < kind_limit && (!lane.suspect || suspects < request.max_suspects)
}
