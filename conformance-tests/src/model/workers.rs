//! What a rescuer and a worker do: calls that depend on the answer to the one before.

use retry_core::machine::{Event, transition};
use retry_core::store::{Cause, ClaimRequest};
use retry_core::task::{Edit, State, Task};

use super::call::Call;
use super::spec;
use super::world::{Step, World, pick_of};
use crate::fixture::{failure, kind};

impl World {
    /// Marks, then settles what a round reports as a rescuer does.
    pub(super) fn rescue(&mut self) -> Vec<Step> {
        let now = self.now();
        let mut marked = self.model.clone();
        marked.answer(&Call::Mark, now);
        let mut edits = Vec::new();
        for (task, cause) in marked.reports(now) {
            for (task, event) in self.rescue_events(&task, cause) {
                edits.extend(self.decide(&task, event));
            }
        }
        vec![
            Step::Call(Call::Mark),
            Step::Call(self.exchange(edits, Vec::new())),
        ]
    }

    fn rescue_events(&self, task: &Task, cause: Cause) -> Vec<(Task, Event)> {
        let on = |event| vec![(task.clone(), event)];
        match (cause, task.state) {
            (Cause::SessionLost, _) => on(Event::LeaseLost { process_dead: false }),
            (Cause::SessionDead, _) => on(Event::LeaseLost { process_dead: true }),
            (Cause::Alarm, State::Pending) => on(Event::Expire),
            (Cause::Alarm, State::Running) => on(Event::DeadlinePassed),
            (Cause::Alarm, State::Waiting) => on(Event::WaitDeadline),
            (Cause::Alarm, State::Joining) if !task.cancel_requested => on(Event::ChildrenEnded),
            (Cause::Alarm, _) if task.children.open > 0 => {
                let children = self.model.tasks().filter(|child| child.parent == Some(task.id));
                let open = children.filter(|child| !child.state.is_final());
                open.map(|child| (child.clone(), Event::Cancel)).collect()
            }
            (Cause::Alarm, State::Joining) => on(Event::ChildrenEnded),
            (Cause::Alarm, _) => on(Event::AlarmDone),
        }
    }

    /// Claims the open children of a waiting parent and ends those that run.
    pub(super) fn run_children(&mut self, pick: u8, well: u8) -> Vec<Step> {
        let now = self.now();
        let parents: Vec<&Task> = self
            .model
            .tasks()
            .filter(|task| task.state == State::Joining)
            .collect();
        let (Some(parent), Some(session)) = (pick_of(&parents, pick), self.session(pick)) else {
            return Vec::new();
        };
        let parent = parent.id;
        let children = self.model.tasks().filter(|task| task.parent == Some(parent));
        let request = ClaimRequest {
            ids: Some(children.map(|child| child.id).collect()),
            ..ClaimRequest::new(session, spec::queue(0), spec::KINDS.map(kind), 100)
        };
        let claim = Call::Exchange(Vec::new(), vec![request]);
        let mut claimed = self.model.clone();
        claimed.answer(&claim, now);
        let mut edits = Vec::new();
        let running = claimed
            .tasks()
            .filter(|task| task.parent == Some(parent) && task.state == State::Running);
        for (index, child) in running.enumerate() {
            let failure = failure(child, "no", now);
            let event = if well >> (index % 8) & 1 == 0 {
                Event::Succeed {
                    output: None,
                    via_fallback: false,
                }
            } else {
                Event::Fail { failure }
            };
            edits.extend(self.decide(child, event));
        }
        vec![Step::Call(claim), Step::Call(self.exchange(edits, Vec::new()))]
    }

    pub(super) fn decide(&mut self, task: &Task, event: Event) -> Option<Edit> {
        let random = self.names.draw();
        let action = transition(task, event, self.now(), random).ok()?;
        Some(Edit {
            id: task.id,
            version: task.version,
            nonce: self.names.nonce(),
            action,
            insert: Vec::new(),
        })
    }
}
