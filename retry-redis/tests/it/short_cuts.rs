//! The short cuts for plain rows give the same bytes as the general way.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use retry_core::headers::Headers;
use retry_core::id::SessionId;
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{Applied, ClaimRequest, TaskStore};
use retry_core::task::{Edit, NewTask, Retention, Settings};
use test_servers::Shared;

use crate::namespace::Namespace;
use crate::support::{NOW, audit, builder, on_each, request, snapshot, success, task};

const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn trials(servers: &[Arc<Shared>]) -> Vec<Trial> {
    let shared = [on_each(
        servers,
        "short_cuts::the_general_way_gives_the_same_bytes",
        same_bytes,
    )];
    shared.into_iter().flatten().collect()
}

/// What is stored, without the session, which each run draws anew.
fn stored(place: &Namespace) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut all = snapshot(place);
    all.retain(|(key, _)| ![":s", ":sl"].iter().any(|suffix| key.ends_with(suffix)));
    all
}

/// Tasks without anything rare: all priorities, different due times, some deleted when they succeed.
fn plain() -> Vec<NewTask> {
    let mut headers = Headers::new();
    headers.insert("trace", "1").expect("a header");
    let tasks = (0..40).map(|n| NewTask {
        priority: Priority::ALL[n % 4],
        run_at: NOW.saturating_sub(Duration::from_millis(7 * n as u64)),
        headers: if n % 2 == 0 {
            Headers::new()
        } else {
            headers.clone()
        },
        payload: Payload::encode(&n).expect("JSON"),
        settings: Settings {
            retention: Retention {
                succeeded: Some(if n % 5 > 0 { HOUR } else { Duration::ZERO }),
                ..Retention::default()
            },
            ..Settings::default()
        },
        ..task()
    });
    tasks.collect()
}

/// Inserts, claims and settles; `general` forces the way that decodes rows.
async fn run(
    place: &Namespace,
    new: &[NewTask],
    session: SessionId,
    general: bool,
) -> Vec<Vec<(String, Vec<Vec<u8>>)>> {
    let store = builder(place).connect().await.expect("a store");
    let mut pictures = Vec::new();
    let nobody = SessionId::from_random(9, 9);
    let insert: Vec<NewTask> = new
        .iter()
        .map(|new| NewTask {
            // A lease that nobody can have leaves the task as it is.
            leased_by: general.then_some(nobody),
            ..new.clone()
        })
        .collect();
    store.insert(&insert, NOW).await.expect("an insert");
    pictures.push(stored(place));

    let claim = ClaimRequest {
        ids: general.then(|| new.iter().map(|new| new.id).collect()),
        ..request(session, new.len())
    };
    let exchanged = store.exchange(&[], &[claim], NOW).await.expect("a claim");
    let mut tasks = exchanged
        .claimed
        .into_iter()
        .flat_map(|claimed| claimed.tasks)
        .collect::<Vec<_>>();
    tasks.sort_by_key(|claimed| claimed.task.id);
    assert_eq!(tasks.len(), new.len());
    pictures.push(stored(place));

    // The second edit of a task is answered as repeated or missing, and takes the first off the short way.
    let edits: Vec<Edit> = tasks
        .iter()
        .flat_map(|claimed| vec![success(&claimed.task); if general { 2 } else { 1 }])
        .collect();
    let applied = store.exchange(&edits, &[], NOW).await.expect("a settle").applied;
    let done = applied
        .iter()
        .filter(|applied| **applied == Applied::DONE)
        .count();
    assert_eq!(done, new.len());
    pictures.push(stored(place));
    pictures
}

async fn same_bytes(place: Namespace) {
    let new = plain();
    let mut both = Vec::new();
    for general in [false, true] {
        place.clear();
        let store = builder(&place).connect().await.expect("a store");
        // The same session in both runs: its id stands in the records.
        let session = session_of(&store).await;
        both.push(run(&place, &new, session, general).await);
        audit(&place);
    }
    for (step, (short, general)) in both[0].iter().zip(&both[1]).enumerate() {
        assert_eq!(short, general, "after step {step}");
    }
}

async fn session_of(store: &retry_redis::RedisStore) -> SessionId {
    let id = SessionId::from_random(3, 3);
    let info = retry_core::store::SessionInfo {
        id,
        name: retry_core::name::WorkerName::new("w").expect("a name"),
        host: String::new(),
        queues: Vec::new(),
        kinds: Vec::new(),
    };
    let until = NOW.saturating_add(Duration::from_mins(1));
    store.open_session(&info, until, NOW).await.expect("it opens");
    id
}
