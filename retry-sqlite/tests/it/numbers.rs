//! The small numbers that stand for queues and kinds, and for tasks: a writer remembers them, a rollback or another
//! process may give them to others.

use retry_core::name::Kind;
use retry_core::payload::Payload;
use retry_core::store::{Applied, Inserted, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{NewTask, State};
use retry_core::time::Timestamp;

use crate::support::{NOW, beside, builder, count, fresh, request, session, success, task, task_id, tasks};

fn of_kind(n: u64, kind: &str) -> NewTask {
    NewTask {
        kind: Kind::new(kind).unwrap(),
        ..task(n)
    }
}

#[tokio::test]
async fn a_kind_of_a_call_that_failed_is_not_remembered() {
    let (_dir, store) = fresh();
    let other = builder(store.path()).build().unwrap();
    let refused = Timestamp::from_millis(NOW.as_millis() + 77);
    beside(&store)
        .execute_batch(&format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON retry_task WHEN new.run_at = {} BEGIN SELECT RAISE(ABORT, 'no'); END",
            refused.as_millis()
        ))
        .unwrap();
    let late = NewTask {
        run_at: refused,
        ..of_kind(1, "first")
    };
    store.insert(&[late], NOW).await.unwrap_err();
    other.insert(&[of_kind(2, "second")], NOW).await.unwrap();
    store.insert(&[of_kind(3, "first")], NOW).await.unwrap();
    store.insert(&[of_kind(4, "second")], NOW).await.unwrap();
    for (n, kind) in [(2, "second"), (3, "first"), (4, "second")] {
        for store in [&store, &other] {
            let detail = store.get(task_id(n)).await.unwrap().unwrap();
            assert_eq!(detail.task.kind.as_str(), kind, "{n}");
        }
    }
}

#[tokio::test]
async fn a_number_that_was_given_again_settles_no_other_task() {
    let (_dir, store) = fresh();
    let other = builder(store.path()).build().unwrap();
    store.open_session(&session(1), NOW, NOW).await.unwrap();
    store.insert(&tasks(1..2), NOW).await.unwrap();
    let first = store.claim(request(&session(1), 1), NOW).await.unwrap();
    let settle = success(&first.tasks[0]);
    // The other process ends and forgets it, and a new task gets its number.
    other.apply(settle.clone(), NOW).await.unwrap();
    let conn = beside(&store);
    conn.execute_batch("DELETE FROM retry_body; DELETE FROM retry_task")
        .unwrap();
    other.insert(&tasks(2..3), NOW).await.unwrap();
    other.open_session(&session(2), NOW, NOW).await.unwrap();
    other.claim(request(&session(2), 1), NOW).await.unwrap();

    let applied = store.apply(settle, NOW).await.unwrap();
    assert_eq!(applied, Applied::Missing);
    let second = store.get(task_id(2)).await.unwrap().unwrap();
    assert_eq!(second.task.state, State::Running);
}

#[tokio::test]
async fn a_settle_that_comes_twice_was_done_once() {
    let (_dir, store) = fresh();
    store.open_session(&session(1), NOW, NOW).await.unwrap();
    store.insert(&tasks(1..3), NOW).await.unwrap();
    let claimed = store.claim(request(&session(1), 2), NOW).await.unwrap();
    let settle = success(&claimed.tasks[0]);
    let edits = [settle.clone(), settle.clone()];
    let exchanged = store.exchange(&edits, &[], NOW).await.unwrap();
    assert_eq!(exchanged.applied, [Applied::DONE, Applied::Repeated]);
    assert_eq!(store.apply(settle, NOW).await.unwrap(), Applied::Repeated);
}

#[tokio::test]
async fn every_task_of_a_batch_gets_its_own_body_and_its_own_answer() {
    let (_dir, store) = fresh();
    let numbered = |n: u64| NewTask {
        payload: Payload::encode(&n).unwrap(),
        ..task(n)
    };
    store.insert(&[numbered(20), numbered(60)], NOW).await.unwrap();
    let batch: Vec<_> = (1..81).map(numbered).collect();
    let answers = store.insert(&batch, NOW).await.unwrap();
    for (n, answer) in (1..81).zip(&answers) {
        let expected = if n == 20 || n == 60 {
            Inserted::Repeated
        } else {
            Inserted::New { leased: false }
        };
        assert_eq!(*answer, expected, "{n}");
        let stored = store.get(task_id(n)).await.unwrap().unwrap();
        assert_eq!(stored.payload.as_json(), n.to_string());
    }
    let conn = beside(&store);
    assert_eq!((count(&conn, "retry_task"), count(&conn, "retry_body")), (80, 80));
}
