//! Looking into the kit's store, and asserting what is there.

use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;

use super::TestKit;
use super::drained::{Open, Why};
use crate::draft::TaskPayload;
use crate::engine::Worker;
use crate::id::TaskId;
use crate::limits::MAX_PAGE;
use crate::name::Queue;
use crate::store::{CountScope, MemoryStore, Page, Result, TaskFilter, TaskStore as _};
use crate::task::{State, Task, TaskDetail};

/// The store in memory answers at once.
fn now<T>(answer: impl Future<Output = Result<T>>) -> T {
    let answer = answer.now_or_never().expect("the store in memory never waits");
    answer.expect("the store in memory reads whatever it holds")
}

fn detail(memory: &MemoryStore, id: TaskId) -> Option<TaskDetail> {
    now(memory.get(id))
}

/// The stored tasks that pass, oldest first.
fn list(memory: &MemoryStore, filter: &TaskFilter) -> Vec<Task> {
    let (mut found, mut page) = (Vec::new(), Page::first(MAX_PAGE));
    loop {
        let listed = now(memory.list(filter, &page));
        found.extend(listed.tasks.into_iter().map(|row| row.task));
        match listed.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    found.reverse();
    found
}

/// Whether a task may go on by itself.
pub(super) fn anything_goes_on(memory: &MemoryStore, worker: &Worker) -> bool {
    let counts = now(memory.count(&CountScope::default()));
    if counts.counts.keys().all(|(_, state)| state.is_final()) {
        return false;
    }
    // A parent that is to end, or ended with open children, has an alarm by which a rescuer ends it, or them.
    let leaves = |task: &Task| task.state == State::Joining || task.children.open > 0;
    let alarmed = |task: &Task| task.alarm_at.is_some() && leaves(task);
    open(memory, worker).iter().any(|open| open.why.goes_on())
        || list(memory, &TaskFilter::default()).iter().any(alarmed)
}

/// The tasks that have not ended, oldest first.
pub(super) fn open(memory: &MemoryStore, worker: &Worker) -> Vec<Open> {
    let filter = TaskFilter {
        states: vec![State::Pending, State::Running, State::Waiting, State::Joining],
        ..TaskFilter::default()
    };
    let queues = now(memory.queues());
    let paused = |queue: &Queue| queues.iter().any(|info| info.paused && info.queue == *queue);
    let why = |task: &Task| match task.state {
        State::Waiting => Why::Completion(task.alarm_at),
        State::Joining => Why::Children(task.children.open),
        State::Running => Why::Running,
        _ if !worker.has_handler(&task.kind) => Why::NoHandler,
        _ if !worker.claims_from(&task.queue) => Why::QueueNotClaimed,
        _ if paused(&task.queue) => Why::QueuePaused,
        _ => Why::Due(task.run_at),
    };
    let open = |task: Task| Open {
        why: why(&task),
        id: task.id,
        kind: task.kind,
        queue: task.queue,
        state: task.state,
    };
    list(memory, &filter).into_iter().map(open).collect()
}

impl TestKit {
    /// A task with everything that is kept about it.
    ///
    /// # Panics
    /// It is not stored.
    #[must_use]
    #[track_caller]
    pub fn task(&self, id: TaskId) -> TaskDetail {
        match detail(&self.world.memory, id) {
            Some(detail) => detail,
            None => panic!("there is no task {id}"),
        }
    }

    /// The state of a task.
    ///
    /// # Panics
    /// It is not stored.
    #[must_use]
    #[track_caller]
    pub fn state_of(&self, id: TaskId) -> State {
        self.task(id).task.state
    }

    /// The tasks of this kind that are stored, in any state, oldest first.
    #[must_use]
    pub fn tasks<P: TaskPayload>(&self) -> Vec<TaskDetail> {
        let memory = &self.world.memory;
        let of_kind = |task: &Task| task.kind.as_str() == P::KIND;
        let tasks = list(memory, &TaskFilter::default()).into_iter().filter(of_kind);
        tasks.filter_map(|task| detail(memory, task.id)).collect()
    }

    /// The payloads of the tasks of this kind that are stored, in any state, oldest first.
    ///
    /// # Panics
    /// A stored payload is no `P`.
    #[must_use]
    #[track_caller]
    pub fn enqueued<P: TaskPayload>(&self) -> Vec<P> {
        let decode = |detail: TaskDetail| match detail.payload.decode() {
            Ok(payload) => payload,
            Err(error) => panic!("the payload of {} {}: {error}", P::KIND, detail.task.id),
        };
        self.tasks::<P>().into_iter().map(decode).collect()
    }

    /// Expects a task of this kind whose payload passes, in any state.
    ///
    /// # Panics
    /// There is none; the message shows the payloads that there are.
    #[track_caller]
    pub fn assert_enqueued<P: TaskPayload>(&self, passes: impl Fn(&P) -> bool) {
        let found = self.enqueued::<P>().iter().any(passes);
        assert!(
            found,
            "no task of kind {} passes; there are: {:?}",
            P::KIND,
            self.texts::<P>()
        );
    }

    /// Expects no task of this kind.
    ///
    /// # Panics
    /// There is one; the message shows the payloads.
    #[track_caller]
    pub fn assert_not_enqueued<P: TaskPayload>(&self) {
        let found = self.texts::<P>();
        assert!(found.is_empty(), "there are tasks of kind {}: {found:?}", P::KIND);
    }

    fn texts<P: TaskPayload>(&self) -> Vec<String> {
        let text = |detail: TaskDetail| detail.payload.as_json().to_owned();
        self.tasks::<P>().into_iter().map(text).collect()
    }

    /// Expects a task to be in this state.
    ///
    /// # Panics
    /// It is in another; the message shows its errors.
    #[track_caller]
    pub fn assert_state(&self, id: TaskId, state: State) {
        let detail = self.task(id);
        let errors: Vec<&str> = detail
            .failures
            .iter()
            .map(|failure| failure.error.as_str())
            .collect();
        let is = detail.task.state;
        assert!(
            is == state,
            "{} {id} is {is}, not {state}; its errors: {errors:?}",
            detail.task.kind
        );
    }

    /// The output of a task.
    ///
    /// # Panics
    /// It has none, or it is no `T`.
    #[must_use]
    #[track_caller]
    pub fn output<T: DeserializeOwned>(&self, id: TaskId) -> T {
        let detail = self.task(id);
        let Some(output) = detail.output else {
            panic!(
                "{} {id} has no output; it is {}",
                detail.task.kind, detail.task.state
            );
        };
        match output.decode() {
            Ok(output) => output,
            Err(error) => panic!("the output of {} {id}: {error}", detail.task.kind),
        }
    }
}
