//! Claims (laws 3, 4, 5, 7, 15): all that is asked for in the order of the contract, then as much as the limits allow.

use std::collections::BTreeMap;

use retry_core::id::TaskId;
use retry_core::machine;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, Claimed, Lane};
use retry_core::task::{ClaimedTask, State, Task};
use retry_core::time::Timestamp;

use crate::rows::{Rows, lane};

type Place = (Timestamp, TaskId);

impl Rows {
    pub(crate) fn claim(&mut self, request: &ClaimRequest, now: Timestamp) -> Claimed {
        let mut claimed = Claimed::default();
        claimed.session_lost = !self.is_live(request.session);
        if claimed.session_lost || self.is_paused(&request.queue) {
            return claimed;
        }
        let until = request.not_after.map_or(now, |not_after| not_after.min(now));
        let mut taken: Vec<Lane> = Vec::new();
        for ((run_at, id), lane) in self.in_order(request) {
            if run_at <= until && has_room(request, &taken, &lane) {
                taken.push(lane);
                claimed.tasks.extend(self.take(id, request, now));
            }
        }
        if request.ids.is_none() {
            let left = self.asked(request).map(|task| task.run_at).min();
            claimed.next_due = left.map(|run_at| run_at.max(now));
        }
        claimed
    }

    /// The pending tasks that the request asks for, due or not.
    fn asked<'a>(&'a self, request: &'a ClaimRequest) -> impl Iterator<Item = &'a Task> {
        self.tasks().filter(|task| {
            let place = (task.run_at, task.id);
            let mark = request.after.iter().find(|mark| mark.lane == lane(task));
            task.state == State::Pending
                && task.queue == request.queue
                && limit(request, task) > 0
                && (!task.is_suspect() || request.max_suspects > 0)
                && mark.is_none_or(|mark| place > (mark.run_at, mark.id))
                && request.not_before.is_none_or(|from| task.run_at >= from)
                && request.not_after.is_none_or(|until| task.run_at <= until)
                && request.ids.as_ref().is_none_or(|ids| ids.contains(&task.id))
        })
    }

    /// By level, then by lanes in the order of their heads, then by place; the named ones as they are named.
    fn in_order(&self, request: &ClaimRequest) -> Vec<(Place, Lane)> {
        let mut order = Vec::new();
        if let Some(ids) = &request.ids {
            let mut named: Vec<&Task> = self.asked(request).collect();
            named.sort_by_key(|task| ids.iter().position(|id| *id == task.id));
            return named
                .into_iter()
                .map(|task| ((task.run_at, task.id), lane(task)))
                .collect();
        }
        for priority in Priority::ALL {
            let mut lanes: BTreeMap<Lane, Vec<Place>> = BTreeMap::new();
            for task in self.asked(request).filter(|task| task.priority == priority) {
                lanes.entry(lane(task)).or_default().push((task.run_at, task.id));
            }
            lanes.values_mut().for_each(|places| places.sort_unstable());
            let mut lanes: Vec<_> = lanes.into_iter().collect();
            lanes.sort_by_key(|(_, places)| places[0]);
            for (lane, places) in lanes {
                order.extend(places.into_iter().map(|place| (place, lane.clone())));
            }
        }
        order
    }

    fn take(&mut self, id: TaskId, request: &ClaimRequest, now: Timestamp) -> Option<ClaimedTask> {
        let mut row = self.row(id)?.clone();
        row.detail.task = machine::claim(&row.detail.task, request.session, now);
        let detail = row.detail.clone();
        self.put(row);
        Some(ClaimedTask {
            task: detail.task,
            payload: detail.payload,
            headers: detail.headers,
            checkpoint: detail.checkpoint,
            completion: detail.completion,
        })
    }
}

fn limit(request: &ClaimRequest, task: &Task) -> usize {
    let kind = request.kinds.iter().find(|(kind, _)| *kind == task.kind);
    kind.map_or(0, |(_, limit)| *limit)
}

/// Whether one more task of `lane` fits into the limits.
fn has_room(request: &ClaimRequest, taken: &[Lane], lane: &Lane) -> bool {
    let of_kind = taken.iter().filter(|taken| taken.kind == lane.kind).count();
    let suspects = taken.iter().filter(|taken| taken.suspect).count();
    let kind = request.kinds.iter().find(|(kind, _)| *kind == lane.kind);
    taken.len() < request.limit
        && of_kind < kind.map_or(0, |(_, limit)| *limit)
        && (!lane.suspect || suspects < request.max_suspects)
}
