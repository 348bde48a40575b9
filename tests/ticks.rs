//! The bounds of a tick on every store: each keeps what the engine asks of a claim by ids, by a window, by a limit.

mod each_store;
mod stores;

use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use task_retry::engine::{Skipped, TickEnd};
use task_retry::{Client, HandlerError, TaskId, TaskPayload, TaskState, TickOptions, TickSummary, Worker};

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Serialize, Deserialize)]
struct Report;

impl TaskPayload for Report {
    const KIND: &'static str = "report";
}

async fn report(_: Report) -> Result<(), HandlerError> {
    Ok(())
}

fn main() -> ExitCode {
    each_store::run(async |store| bounds(&Client::of(store)).await)
}

async fn bounds(client: &Client) {
    let worker = Worker::builder(client)
        .handler(report)
        .build()
        .expect("it is valid");
    let now = client.store().time().await.expect("the time");
    // Due one, two … eight hours ago, and one in an hour.
    let mut ids: Vec<TaskId> = Vec::new();
    for age in 1..=8 {
        let at = now.saturating_sub(HOUR * age);
        ids.push(client.enqueue(Report).run_at(at).await.expect("it is stored").id);
    }
    let later = client.enqueue(Report).delay(HOUR).await.expect("it is stored").id;
    let tick = async |options: TickOptions| -> TickSummary {
        let summary = worker.tick(options.time_limit(Duration::from_secs(60))).await;
        let summary = summary.expect("the store answers");
        assert_eq!(
            client.sessions().await.expect("the store answers"),
            [],
            "no session is left"
        );
        assert_eq!(summary.succeeded, summary.claimed);
        summary
    };
    let window = TickOptions::new()
        .not_before(now.saturating_sub(HOUR * 4))
        .not_after(now.saturating_sub(HOUR * 3));
    let summary = tick(window).await;
    assert_eq!((summary.claimed, summary.ended), (2, TickEnd::NothingDue));
    let summary = tick(TickOptions::new().limit(2)).await;
    assert_eq!((summary.claimed, summary.ended), (2, TickEnd::Limit));
    let states = states(client, &ids).await;
    assert_eq!(
        states,
        [false, false, true, true, false, false, true, true],
        "oldest first"
    );
    let chosen = TickOptions::new().ids([ids[0], ids[7], later, TaskId::MIN]);
    let summary = tick(chosen).await;
    assert_eq!((summary.claimed, summary.ended), (1, TickEnd::NothingDue));
    assert!(matches!(
        summary.skipped[..],
        [(TaskId::MIN, Skipped::Missing), (done, Skipped::State(TaskState::Succeeded)), (not_yet, Skipped::NotDue(_))]
            if done == ids[7] && not_yet == later
    ));
    let forced = TickOptions::new().ids([later, ids[7]]);
    let summary = tick(forced.from_states([TaskState::Pending, TaskState::Succeeded])).await;
    assert_eq!((summary.claimed, summary.skipped), (2, Vec::new()));
    let summary = tick(TickOptions::new()).await;
    assert_eq!((summary.claimed, summary.ended), (3, TickEnd::NothingDue));
}

/// Which of the tasks have succeeded.
async fn states(client: &Client, ids: &[TaskId]) -> Vec<bool> {
    let mut succeeded = Vec::new();
    for id in ids {
        let detail = client
            .get(*id)
            .await
            .expect("the store answers")
            .expect("it is kept");
        succeeded.push(detail.task.state == TaskState::Succeeded);
    }
    succeeded
}
