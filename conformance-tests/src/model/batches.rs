//! Full batches: a thousand tasks in one call.

use retry_core::limits::MAX_BATCH;
use retry_core::store::ClaimRequest;
use retry_core::task::{NewTask, State, Task};

use super::call::Call;
use super::op::{EditSpec, NewSpec};
use super::spec;
use super::world::World;
use crate::fixture::kind;

impl World {
    /// A thousand tasks alike, but for their ids and times.
    pub(super) fn insert_many(&mut self, spec: &NewSpec) -> Call {
        let plain = NewSpec {
            key: None,
            known: None,
            leased_by: None,
            due: 0,
            ..spec.clone()
        };
        let tasks: Vec<NewTask> = (0..MAX_BATCH).map(|_| self.new_task(&plain)).collect();
        Call::Insert(tasks)
    }

    /// A claim of as many tasks as one call may.
    pub(super) fn claim_many(&self, session: u8) -> Option<Call> {
        let session = self.session(session)?;
        let request = ClaimRequest::new(session, spec::queue(0), spec::KINDS.map(kind), MAX_BATCH);
        Some(Call::Exchange(Vec::new(), vec![request]))
    }

    /// Settles what runs, each task by the same specification.
    pub(super) fn settle_many(&mut self, what: &EditSpec) -> Call {
        let running = self.model.tasks().filter(|task| task.state == State::Running);
        let running: Vec<Task> = running.take(MAX_BATCH).cloned().collect();
        let mut edits = Vec::new();
        for task in running {
            edits.extend(self.settle(&task, what));
        }
        self.exchange(edits, Vec::new())
    }
}
