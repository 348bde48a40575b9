//! What a claim may give while other calls run: every task that is neither given nor excused needs a reason.

use retry_core::id::TaskId;
use retry_core::store::{ClaimRequest, Claimed, Lane};
use retry_core::task::ClaimedTask;
use retry_core::time::Timestamp;

use super::excuse::Excuse;
use crate::model::reference::Reference;
use crate::verdict::{Verdict, equal, holds};

/// Fails unless the claim may be answered so now; then makes it in the model.
pub(super) fn claim(
    model: &mut Reference,
    request: &ClaimRequest,
    given: &Claimed,
    excuse: &Excuse,
    now: Timestamp,
) -> Verdict {
    let lost = !model.is_live(request.session);
    equal("L9", "whether the session is lost", given.session_lost, lost)?;
    equal("L14", "rows that cannot be read", &given.bad, &vec![])?;
    let ids: Vec<TaskId> = given.tasks.iter().map(|claimed| claimed.task.id).collect();
    if lost || model.paused.contains(&request.queue) {
        let law = if lost { "L9" } else { "L15" };
        return equal(law, "a claim of a lost session or a paused queue", ids, vec![]);
    }
    let due = model.due(request, now);
    let mut taken: Vec<(TaskId, Lane)> = Vec::new();
    for id in &ids {
        let place = due.iter().find(|(_, due, _)| due == id);
        let twice = taken.iter().any(|(taken, _)| taken == id);
        holds(
            "L3",
            "a claimed task",
            place.is_some() && !twice,
            id,
            "due, asked for, free and given once",
        )?;
        taken.extend(place.map(|(_, id, lane)| (*id, lane.clone())));
    }
    let gift = Gift { request, taken };
    gift.keeps_limits()?;
    let excused = |id: TaskId| {
        model
            .rows
            .get(&id)
            .is_some_and(|row| excuse.covers(&row.detail.task))
    };
    if request.ids.is_none() {
        gift.keeps_order(&due, excused)?;
    }
    for (_, id, lane) in &due {
        let reason = ids.contains(id) || excused(*id) || gift.has_no_room(lane);
        holds(
            "L5",
            "a due task that a claim left out",
            reason,
            (id, &ids),
            "that the claim gives it: it is asked for, there is room, and no overlapping call touches it",
        )?;
    }
    let wanted: Vec<ClaimedTask> = ids
        .iter()
        .filter_map(|id| model.take(*id, request, now))
        .collect();
    equal("L7", "what was claimed", &given.tasks, &wanted)?;
    next_due(model, request, given, excuse, now)
}

/// The hint when to come again must not be later than a task that nobody else touches.
fn next_due(
    model: &Reference,
    request: &ClaimRequest,
    given: &Claimed,
    excuse: &Excuse,
    now: Timestamp,
) -> Verdict {
    if request.ids.is_some() || request.limit == 0 {
        return Ok(());
    }
    let left = model.asked(request).filter(|task| !excuse.covers(task));
    let first = left.map(|task| task.run_at.max(now)).min();
    let right = first.is_none_or(|first| given.next_due.is_some_and(|next| next <= first));
    holds(
        "L5",
        "`next_due` of a claim",
        right,
        given.next_due,
        &format!("at most {first:?}"),
    )
}

/// The tasks of one claim with their lanes, in the order in which they were given.
struct Gift<'a> {
    request: &'a ClaimRequest,
    taken: Vec<(TaskId, Lane)>,
}

impl Gift<'_> {
    fn of(&self, which: impl Fn(&Lane) -> bool) -> usize {
        self.taken.iter().filter(|(_, lane)| which(lane)).count()
    }

    fn kind_limit(&self, lane: &Lane) -> usize {
        let mut kinds = self.request.kinds.iter();
        kinds
            .find(|(kind, _)| *kind == lane.kind)
            .map_or(0, |(_, limit)| *limit)
    }

    fn keeps_limits(&self) -> Verdict {
        let kinds = self
            .taken
            .iter()
            .all(|(_, lane)| self.of(|other| other.kind == lane.kind) <= self.kind_limit(lane));
        let suspects = self.of(|lane| lane.suspect);
        let right = self.taken.len() <= self.request.limit && kinds && suspects <= self.request.max_suspects;
        holds("L3", "the limits of a claim", right, &self.taken, "within them")
    }

    /// By level, each lane in one piece, inside a lane by time; a lane is drained before the next begins.
    fn keeps_order(&self, due: &[(Timestamp, TaskId, Lane)], excused: impl Fn(TaskId) -> bool) -> Verdict {
        let mut lanes: Vec<&Lane> = Vec::new();
        for (_, lane) in &self.taken {
            if lanes.last() != Some(&lane) {
                lanes.push(lane);
            }
        }
        let levels = lanes.windows(2).all(|pair| pair[0].priority <= pair[1].priority);
        let whole = lanes
            .iter()
            .enumerate()
            .all(|(at, lane)| !lanes[..at].contains(lane));
        let drained = lanes.iter().enumerate().all(|(at, lane)| {
            let given: Vec<TaskId> = self
                .taken
                .iter()
                .filter(|(_, of)| of == *lane)
                .map(|(id, _)| *id)
                .collect();
            let ready = due.iter().filter(|(_, _, of)| of == *lane).map(|(_, id, _)| *id);
            let ready: Vec<TaskId> = ready.filter(|id| given.contains(id) || !excused(*id)).collect();
            let last = at + 1 == lanes.len();
            ready.starts_with(&given) && (last || ready == given || self.is_full_beside_the_limit(lane))
        });
        holds(
            "L5",
            "the order of a claim",
            levels && whole && drained,
            &self.taken,
            "by level, then lane by lane, each by time and drained before the next",
        )
    }

    /// Whether the limit of its kind, or that of suspects, keeps a task of this lane out.
    fn is_full_beside_the_limit(&self, lane: &Lane) -> bool {
        let before = |other: &Lane| other.priority <= lane.priority;
        let of_kind = self.of(|other| other.kind == lane.kind && before(other));
        let suspects = self.of(|other| other.suspect && before(other));
        of_kind >= self.kind_limit(lane) || (lane.suspect && suspects >= self.request.max_suspects)
    }

    /// Whether the limits keep a task of this lane out.
    fn has_no_room(&self, lane: &Lane) -> bool {
        let full = self.taken.len() >= self.request.limit;
        let passed_over = self.of(|other| other.priority > lane.priority) > 0;
        (full && !passed_over) || self.is_full_beside_the_limit(lane)
    }
}
