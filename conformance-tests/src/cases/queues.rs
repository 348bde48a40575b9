//! Queues: paused and resumed, and what a store tells about them.

use retry_core::machine::Event;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, Lane, QueueSetting, Renewed};
use retry_core::task::{NewTask, State};

use super::claim::ids;
use crate::fixture::{Fixture, kind, queue};
use crate::verdict::{Verdict, equal};

/// L15: a paused queue yields nothing, by lanes or by id; resumed, everything that was due.
pub async fn a_paused_queue_yields_nothing(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(3);
    f.insert(&tasks).await?;
    let session = f.open().await?;
    f.set_queue(&queue("default"), QueueSetting::Pause).await?;
    let named = ClaimRequest {
        ids: Some(vec![tasks[0].id]),
        ..f.request(session, 9)
    };
    for request in [f.request(session, 9), named] {
        let claimed = f.claim(&request).await?;
        equal(
            "L15",
            "a claim from a paused queue",
            (ids(&claimed), claimed.next_due),
            (vec![], None),
        )?;
    }
    f.set_queue(&queue("default"), QueueSetting::Resume).await?;
    let claimed = f.claim(&f.request(session, 9)).await?;
    equal("L15", "a claim after the resume", ids(&claimed).len(), 3)
}

/// L15: other queues go on, also one whose name differs in case only.
pub async fn other_queues_go_on(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    f.set_queue(&queue("Default"), QueueSetting::Pause).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 9)).await?;
    equal(
        "L15",
        "a claim from the queue beside a paused one",
        ids(&claimed),
        vec![new.id],
    )
}

/// L15: running tasks go on: they are renewed, settled and retried into the paused queue.
pub async fn running_tasks_go_on(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let tasks = f.tasks(2);
    f.insert(&tasks).await?;
    let claimed = f.claim(&f.request(session, 2)).await?;
    f.set_queue(&queue("default"), QueueSetting::Pause).await?;
    let held = Renewed::Live {
        cancel: vec![],
        held: 2,
    };
    equal("L15", "a renewal beside a pause", f.renew(session).await?, held)?;
    let at = f.now();
    for (claimed, event) in claimed
        .tasks
        .iter()
        .zip([Fixture::success(), Event::Snooze { at }])
    {
        f.settled(&claimed.task, event).await?;
    }
    let claimed = f.claim(&f.request(session, 9)).await?;
    equal("L15", "a claim of what was handed back", ids(&claimed), vec![])?;
    equal(
        "L15",
        "the task handed back",
        f.task_now(tasks[1].id).await?.state,
        State::Pending,
    )
}

/// L15, L10: pausing and resuming are idempotent and need no tasks.
pub async fn settings_are_idempotent(f: &mut Fixture) -> Verdict {
    let empty = queue("empty");
    for _ in 0..2 {
        f.set_queue(&empty, QueueSetting::Pause).await?;
        let infos = f.queues().await?;
        let given: Vec<_> = infos
            .iter()
            .map(|info| (&info.queue, info.paused, info.lanes.len()))
            .collect();
        equal("L15", "the queues", given, vec![(&empty, true, 0)])?;
    }
    for _ in 0..2 {
        f.set_queue(&empty, QueueSetting::Resume).await?;
        let paused = f.queues().await?.iter().any(|info| info.paused);
        equal("L15", "whether a queue is paused", paused, false)?;
    }
    Ok(())
}

/// L11: a queue tells its lanes with the due time of each head.
pub async fn lanes_tell_their_heads(f: &mut Fixture) -> Verdict {
    let start = f.now();
    for (name, priority, seconds) in [
        ("a", Priority::Low, 30),
        ("a", Priority::Low, 10),
        ("a", Priority::Urgent, 20),
        ("b", Priority::Normal, 5),
    ] {
        let new = NewTask {
            kind: kind(name),
            priority,
            run_at: f.after(seconds),
            ..f.task()
        };
        f.insert_new(&new).await?;
    }
    let crashed = f.running_task().await?;
    f.settled(&crashed, Event::LeaseLost { process_dead: true })
        .await?;
    let infos = f.queues().await?;
    let mut given: Vec<_> = infos.into_iter().flat_map(|info| info.lanes).collect();
    given.sort();
    let lane = |name: &str, priority, suspect, seconds| {
        let at = start.saturating_add(std::time::Duration::from_secs(seconds));
        (
            Lane {
                kind: kind(name),
                priority,
                suspect,
            },
            at,
        )
    };
    let mut wanted = vec![
        lane("a", Priority::Low, false, 10),
        lane("a", Priority::Urgent, false, 20),
        lane("b", Priority::Normal, false, 5),
        lane("work", Priority::Normal, true, 0),
    ];
    wanted.sort();
    equal("L11", "the lanes", given, wanted)
}

/// L15: a pause hides nothing from the reads.
pub async fn a_pause_shows_in_queues(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    f.set_queue(&queue("default"), QueueSetting::Pause).await?;
    let infos = f.queues().await?;
    let given: Vec<_> = infos.iter().map(|info| (info.paused, info.lanes.len())).collect();
    equal("L15", "a paused queue with a task", given, vec![(true, 1)])?;
    f.set_queue(&queue("empty"), QueueSetting::Pause).await?;
    let infos = f.queues().await?;
    let paused: Vec<_> = infos
        .iter()
        .filter(|info| info.paused)
        .map(|info| info.queue.as_str())
        .collect();
    equal(
        "L15",
        "how many paused queues are shown, one without tasks",
        paused.len(),
        2,
    )?;
    let (later, session) = (
        NewTask {
            queue: queue("empty"),
            ..f.task()
        },
        f.open().await?,
    );
    f.insert_new(&later).await?;
    let request = ClaimRequest::new(session, queue("empty"), [kind("work")], 1);
    let claimed = f.claim(&request).await?;
    equal(
        "L15",
        "a claim of a queue that was paused before it had a task",
        claimed.tasks.len(),
        0,
    )
}
