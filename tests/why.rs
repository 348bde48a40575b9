//! Why a task is not running, asked of every store: the same reasons, found in what each keeps.

mod each_store;
mod stores;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use task_retry::id::{Nonce, SessionId};
use task_retry::machine::{Event, transition};
use task_retry::name::{Kind, Queue, WorkerName};
use task_retry::payload::Payload;
use task_retry::store::{Applied, ClaimRequest, SessionInfo, TaskStore, TaskStoreExt as _};
use task_retry::task::{Action, Edit, ErrorText, FailedAttempt, NewTask, Task};
use task_retry::time::Timestamp;
use task_retry::why::{Because, Lease, Reason};
use task_retry::{Client, Draft, Priority, TaskId, TaskState};

const HOUR: Duration = Duration::from_secs(3_600);

fn main() -> ExitCode {
    each_store::run(async |store| {
        let world = World {
            client: Client::of(Arc::clone(&store)),
            store,
        };
        pending(&world).await;
        held(&world).await;
        waiting(&world).await;
    })
}

struct World {
    client: Client,
    store: Arc<dyn TaskStore>,
}

impl World {
    async fn enqueue(&self, kind: &str, change: impl FnOnce(Draft) -> Draft) -> TaskId {
        let draft = change(Draft::raw(kind, Payload::null()));
        self.client.enqueue(draft).await.expect("it is stored").id
    }

    async fn reason(&self, id: TaskId) -> Reason {
        self.client.why(id).await.expect("the store answers").reason
    }

    /// Opens a session that serves kinds of a queue; its lease ends `lease` from now, or ended so long ago.
    async fn session(
        &self,
        number: u64,
        queue: &str,
        kinds: &[&str],
        lease: Result<Duration, Duration>,
    ) -> SessionId {
        let info = SessionInfo {
            id: SessionId::from_random(number, number),
            name: WorkerName::new(format!("worker-{number}")).expect("a name"),
            host: "host".to_owned(),
            queues: vec![Queue::new(queue).expect("a name")],
            kinds: kinds
                .iter()
                .map(|kind| Kind::new(kind).expect("a name"))
                .collect(),
        };
        let now = self.store.time().await.expect("the time");
        let until = match lease {
            Ok(left) => now.saturating_add(left),
            Err(ago) => now.saturating_sub(ago),
        };
        self.store
            .open_session(&info, until, now)
            .await
            .expect("it opens");
        info.id
    }

    async fn claim(&self, session: SessionId, queue: &str, kind: &str) -> Task {
        let (queue, kind) = (
            Queue::new(queue).expect("a name"),
            Kind::new(kind).expect("a name"),
        );
        let request = ClaimRequest::new(session, queue, [kind], 1);
        let now = self.store.time().await.expect("the time");
        let mut claimed = self.store.claim(request, now).await.expect("it claims");
        claimed.tasks.pop().expect("one is due").task
    }

    /// Writes what becomes of a task by an event.
    async fn happen(&self, task: &Task, event: impl FnOnce(Timestamp) -> Event, insert: Vec<NewTask>) {
        let now = self.store.time().await.expect("the time");
        let action = transition(task, event(now), now, 7).expect("it applies");
        let edit = Edit {
            id: task.id,
            version: task.version,
            nonce: Nonce::from_random(task.version + 1),
            action,
            insert,
        };
        assert!(matches!(edit.action, Action::Set(_)));
        let applied = self.store.apply(edit, now).await.expect("it is written");
        assert!(matches!(applied, Applied::Done { .. }), "{applied:?}");
    }
}

async fn pending(world: &World) {
    let missing = world.reason(TaskId::MIN).await;
    assert!(matches!(missing, Reason::Missing), "{missing:?}");
    let queue = |draft: Draft| draft.queue("pending");
    let later = world.enqueue("mail", |draft| queue(draft).delay(HOUR)).await;
    let reason = world.reason(later).await;
    assert!(
        matches!(
            reason,
            Reason::Later {
                because: Because::Enqueued,
                ..
            }
        ),
        "{reason:?}"
    );
    let id = world.enqueue("mail", queue).await;
    let reason = world.reason(id).await;
    assert!(
        matches!(&reason, Reason::NoWorker { serving, .. } if serving.is_empty()),
        "{reason:?}"
    );
    world.session(1, "pending", &["sms"], Ok(HOUR)).await;
    world.session(2, "pending", &["mail"], Err(HOUR)).await;
    let reason = world.reason(id).await;
    let one =
        |serving: &[task_retry::why::Serves]| serving.len() == 1 && serving[0].kinds[0].as_str() == "sms";
    assert!(
        matches!(&reason, Reason::NoWorker { serving, .. } if one(serving)),
        "{reason:?}"
    );
    world.session(3, "pending", &["sms", "mail"], Ok(HOUR)).await;
    let reason = world.reason(id).await;
    assert!(
        matches!(&reason, Reason::Queued { ahead, behind: None, workers: 1 } if ahead.is_empty()),
        "{reason:?}"
    );
    world
        .enqueue("sms", |draft| queue(draft).priority(Priority::Urgent))
        .await;
    world
        .enqueue("other", |draft| queue(draft).priority(Priority::Urgent))
        .await;
    let second = world.enqueue("mail", queue).await;
    let reason = world.reason(second).await;
    let sms = |ahead: &[task_retry::store::Lane]| ahead.len() == 1 && ahead[0].kind.as_str() == "sms";
    assert!(
        matches!(&reason, Reason::Queued { ahead, .. } if sms(ahead)),
        "{reason:?}"
    );
    let queue_name = Queue::new("pending").expect("a name");
    world.client.pause(&queue_name).await.expect("it pauses");
    let reason = world.reason(id).await;
    assert!(matches!(reason, Reason::Paused { .. }), "{reason:?}");
    world.client.resume(&queue_name).await.expect("it resumes");
    let now = world.store.time().await.expect("the time");
    let before = now.saturating_sub(HOUR);
    let expired = world
        .enqueue("mail", |draft| queue(draft).expires_at(before))
        .await;
    let reason = world.reason(expired).await;
    assert!(matches!(reason, Reason::Expired { workers: 2, .. }), "{reason:?}");
}

async fn held(world: &World) {
    let queue = |draft: Draft| draft.queue("held");
    let id = world.enqueue("mail", queue).await;
    let live = world.session(11, "held", &["mail"], Ok(HOUR)).await;
    let task = world.claim(live, "held", "mail").await;
    assert_eq!(task.id, id);
    let why = world.client.why(id).await.expect("the store answers");
    assert!(why.to_string().starts_with("worker-11 on host has it"), "{why}");
    assert!(
        matches!(&why.reason, Reason::Running(running) if matches!(running.lease, Lease::Until(_))),
        "{why:?}"
    );
    let failure = |now: Timestamp| FailedAttempt {
        attempt: task.attempt,
        worker: WorkerName::new("worker-11").ok(),
        started_at: now,
        ended_at: now,
        error: ErrorText::new("the mail server is down"),
    };
    let retry = |now: Timestamp| Event::Retry {
        at: now.saturating_add(HOUR),
        failure: failure(now),
    };
    world.happen(&task, retry, Vec::new()).await;
    let why = world.client.why(id).await.expect("the store answers");
    assert!(
        why.to_string()
            .ends_with("attempt 1 failed: the mail server is down"),
        "{why}"
    );

    let lost = world.enqueue("mail", queue).await;
    let gone = world.session(12, "held", &["mail"], Err(HOUR)).await;
    let task = world.claim(gone, "held", "mail").await;
    let reason = world.reason(lost).await;
    assert!(
        matches!(&reason, Reason::Running(running) if matches!(running.lease, Lease::EndedAt(_)) && running.rescuers > 0),
        "{reason:?}"
    );
    world.store.close_session(gone).await.expect("it closes");
    let reason = world.reason(lost).await;
    assert!(
        matches!(&reason, Reason::Running(running) if matches!(running.lease, Lease::Lost | Lease::Unknown)),
        "{reason:?}"
    );
    world
        .happen(&task, |_| Event::LeaseLost { process_dead: true }, Vec::new())
        .await;
    let reason = world.reason(lost).await;
    assert!(
        matches!(
            reason,
            Reason::Suspect {
                crashes: 1,
                workers: 1,
                ..
            }
        ),
        "{reason:?}"
    );
}

async fn waiting(world: &World) {
    let session = world.session(21, "waiting", &["mail"], Ok(HOUR)).await;
    let queue = |draft: Draft| draft.queue("waiting");
    let id = world.enqueue("mail", queue).await;
    let task = world.claim(session, "waiting", "mail").await;
    let wait = |now: Timestamp| Event::Wait {
        deadline: now.saturating_add(HOUR),
    };
    world.happen(&task, wait, Vec::new()).await;
    let reason = world.reason(id).await;
    assert!(
        matches!(reason, Reason::Waiting { until: Some(_), .. }),
        "{reason:?}"
    );

    let id = world.enqueue("mail", queue).await;
    let task = world.claim(session, "waiting", "mail").await;
    let child = |index| {
        let id = TaskId::child(task.id, task.reruns, task.step, index);
        queue(Draft::raw("mail", Payload::null()))
            .build(id, task.updated_at, 1, Some(task.id))
            .expect("it is valid")
    };
    world
        .happen(
            &task,
            |_| Event::Split { checkpoint: None },
            vec![child(0), child(1)],
        )
        .await;
    let reason = world.reason(id).await;
    assert!(
        matches!(&reason, Reason::Joining { children, .. } if children.open == 2),
        "{reason:?}"
    );

    let id = world
        .enqueue("mail", |draft| queue(draft).priority(Priority::High))
        .await;
    let task = world.claim(session, "waiting", "mail").await;
    let succeed = |_| Event::Succeed {
        output: None,
        via_fallback: false,
    };
    world.happen(&task, succeed, Vec::new()).await;
    let reason = world.reason(id).await;
    assert!(
        matches!(&reason, Reason::Ended(ended) if ended.state == TaskState::Succeeded),
        "{reason:?}"
    );
}
