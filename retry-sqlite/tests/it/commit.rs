//! A commit that fails leaves nothing behind: no row, no hint, nothing remembered, and its answer says what is certain.

use std::path::Path;
use std::process::Command;

use retry_core::name::{Kind, Queue};
use retry_core::payload::Payload;
use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore as _, TaskStoreExt as _};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;

use crate::child::{Process, command, say};
use crate::support::{
    FAR, NOW, beside, builder, busy, count, fresh, is_hinted, place, poll_once, quiet, request, session,
    task, task_id, tasks, watch,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The due time of tasks that the file refuses, by a constraint that is checked when the transaction commits.
const REFUSED: Timestamp = Timestamp::from_millis(NOW.as_millis() + 77);

/// A user's table with such a constraint, and triggers by which the store's own writes break it.
const DEFERRED: &str = "
    CREATE TABLE item (n INTEGER PRIMARY KEY);
    CREATE TABLE line (item INTEGER REFERENCES item (n) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER refuse_task AFTER INSERT ON retry_task WHEN new.run_at = 1700000000077
        BEGIN INSERT INTO line VALUES (1); END;
    CREATE TRIGGER refuse_close AFTER DELETE ON retry_session BEGIN INSERT INTO line VALUES (1); END;";

fn refused(n: u64, kind: &str) -> NewTask {
    NewTask {
        run_at: REFUSED,
        kind: Kind::new(kind).unwrap(),
        ..task(n)
    }
}

fn is_refusal(error: &StoreError) -> bool {
    (error.kind(), error.certainty()) == (StoreErrorKind::Other, Certainty::Rejected)
        && error.to_string().contains("nothing of it was kept")
}

#[tokio::test]
async fn a_refused_commit_wakes_nobody_and_counts_for_nothing() {
    let (_dir, store) = quiet();
    beside(&store).execute_batch(DEFERRED).unwrap();
    let wakeups = watch(&store).await;
    let commits = store.commits();
    let error = store.insert_one(refused(1, "work"), NOW).await.unwrap_err();
    assert!(is_refusal(&error), "{error:?}");
    assert!(!is_hinted(&wakeups));
    assert_eq!(store.commits(), commits);
    assert!(store.get(task_id(1)).await.unwrap().is_none());
    store.insert_one(task(2), NOW).await.unwrap();
    assert!(is_hinted(&wakeups), "the store goes on");
}

#[tokio::test]
async fn a_kind_of_a_refused_commit_is_not_remembered() {
    let (_dir, store) = fresh();
    let other = builder(store.path()).build().unwrap();
    beside(&store).execute_batch(DEFERRED).unwrap();
    store.insert(&[refused(1, "first")], NOW).await.unwrap_err();
    // The number that "first" would have had.
    other
        .insert(
            &[NewTask {
                kind: Kind::new("second").unwrap(),
                ..task(2)
            }],
            NOW,
        )
        .await
        .unwrap();
    let first = NewTask {
        kind: Kind::new("first").unwrap(),
        ..task(3)
    };
    store.insert(&[first], NOW).await.unwrap();
    let detail = other.get(task_id(3)).await.unwrap().unwrap();
    assert_eq!(detail.task.kind.as_str(), "first");
}

#[tokio::test]
async fn a_session_whose_end_was_refused_keeps_its_lock() {
    let (_dir, store) = fresh();
    beside(&store).execute_batch(DEFERRED).unwrap();
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    let error = store.close_session(session(1).id).await.unwrap_err();
    assert!(is_refusal(&error), "{error:?}");
    let mut lock = store.path().as_os_str().to_owned();
    lock.push(format!("-locks/{}", session(1).id));
    assert!(Path::new(&lock).exists(), "it lives");
    store.insert_one(task(1), NOW).await.unwrap();
    let claimed = store.claim(request(&session(1), 1), NOW).await.unwrap();
    assert_eq!(claimed.tasks.len(), 1);
}

/// One write that breaks a deferred constraint takes no neighbour along: which one it is shows when each commits alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_shares_a_refused_commit_is_written_all_the_same() {
    let (_dir, store) = fresh();
    let conn = beside(&store);
    conn.execute_batch(DEFERRED).unwrap();
    let (release, work) = busy(&store);
    let user = |sql: &'static str| {
        store.transaction(move |tx| {
            tx.execute_batch(sql)?;
            Ok::<_, Error>(())
        })
    };
    let (first, bad, last) = ([task(1)], [refused(2, "work")], [task(3)]);
    let writes = async {
        tokio::join!(
            biased;
            store.insert(&first, NOW),
            user("INSERT INTO line VALUES (2)"),
            user("INSERT INTO item VALUES (3); INSERT INTO line VALUES (3)"),
            store.insert(&bad, NOW),
            store.insert(&last, NOW),
            async {
                drop(release);
                work.await.unwrap();
            }
        )
    };
    let (first, broken, sound, bad, last, ()) = writes.await;
    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(is_refusal(&bad.unwrap_err()));
    let store_error = |error: Error| *error.downcast::<StoreError>().unwrap();
    assert!(is_refusal(&store_error(broken.unwrap_err())));
    // It cannot be run again, and says so truly.
    assert!(is_refusal(&store_error(sound.unwrap_err())));
    assert_eq!((count(&conn, "line"), count(&conn, "item")), (0, 0));
    assert_eq!(count(&conn, "retry_task"), 2);
}

/// The child: a commit that the system cannot write, because files may not grow so far.
pub(crate) async fn grow_and_tell(file: &Path) {
    let store = builder(file)
        .poll_interval(std::time::Duration::from_secs(3_600))
        .build()
        .unwrap();
    let wakeups = watch(&store).await;
    let large = |n| NewTask {
        payload: Payload::encode(&"x".repeat(10_000)).unwrap(),
        kind: Kind::new("large").unwrap(),
        ..task(n)
    };
    let many: Vec<NewTask> = (0..750).map(large).collect();
    let commits = store.commits();
    let error = store.insert(&many, NOW).await.unwrap_err();
    say(format!("{:?} {:?}", error.kind(), error.certainty()));
    say(format!("{} {}", is_hinted(&wakeups), store.commits() - commits));
    // A call with an unknown outcome is repeated, here in parts that fit.
    let mut new = 0;
    for part in many.chunks(50).take(4) {
        let answers = store.insert(part, NOW).await.unwrap();
        let is_new =
            |answer: &&retry_core::store::Inserted| matches!(answer, retry_core::store::Inserted::New { .. });
        new += answers.iter().filter(is_new).count();
    }
    let sound: String = beside(&store)
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    say(format!("{new} {sound}"));
}

#[cfg(unix)]
#[test]
fn a_commit_that_the_system_fails_to_write_is_unknown() {
    let (_dir, path) = place();
    let child = command(&std::env::current_exe().unwrap(), "grow", &path);
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        // 3 or 6 MiB, by the shell; the signal that would end the process becomes an error of the write.
        .arg("trap '' XFSZ && ulimit -f 6144 && exec \"$0\" \"$@\"")
        .arg(child.get_program())
        .args(child.get_args())
        .envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped());
    let mut child = Process::of(limited);
    assert_eq!(child.says().unwrap(), "Unavailable Unknown");
    assert_eq!(child.says().unwrap(), "false 0", "hints, commits");
    assert_eq!(child.says().unwrap(), "200 ok", "tasks that were new, the file");
}

/// What a call wrote before it failed is gone, whatever its place in the group.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_half_way_leaves_nothing() {
    let (_dir, store) = fresh();
    beside(&store)
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON retry_task WHEN new.run_at = 1700000000077
                 BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let half = [task(1), refused(2, "work")];
    let error = store.insert(&half, NOW).await.unwrap_err();
    assert_eq!(error.certainty(), Certainty::Rejected);
    let (release, work) = busy(&store);
    let neighbour = tasks(3..4);
    let (half, neighbour, ()) = tokio::join!(
        biased;
        store.insert(&half, NOW),
        store.insert(&neighbour, NOW),
        async {
            drop(release);
            work.await.unwrap();
        }
    );
    assert!(half.is_err() && neighbour.is_ok());
    assert!(store.get(task_id(1)).await.unwrap().is_none());
    assert_eq!(count(&beside(&store), "retry_task"), 1);
    assert_eq!(count(&beside(&store), "retry_body"), 1);
}

/// The number that a kind had in a call that was undone may be its neighbour's in the next moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_a_call_that_was_undone_beside_others_is_not_remembered() {
    let (_dir, store) = fresh();
    beside(&store)
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON retry_task WHEN new.run_at = 1700000000077
                 BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let of_kind = |n, kind: &str| NewTask {
        kind: Kind::new(kind).unwrap(),
        ..task(n)
    };
    let (release, work) = busy(&store);
    let (undone, neighbour) = ([refused(1, "first")], [of_kind(2, "second")]);
    let (undone, neighbour, ()) = tokio::join!(
        biased;
        store.insert(&undone, NOW),
        store.insert(&neighbour, NOW),
        async {
            drop(release);
            work.await.unwrap();
        }
    );
    assert!(undone.is_err() && neighbour.is_ok());
    store.insert(&[of_kind(3, "first")], NOW).await.unwrap();
    for (n, kind) in [(2, "second"), (3, "first")] {
        let detail = store.get(task_id(n)).await.unwrap().unwrap();
        assert_eq!(detail.task.kind.as_str(), kind);
    }
}

/// A hint of a write that was undone would be the only one, and the workers would look in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_hints_at_nothing() {
    let (_dir, store) = quiet();
    beside(&store)
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON retry_task WHEN new.run_at = 1700000000077
                 BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let wakeups = watch(&store).await;
    let half = [task(1), refused(2, "work")];
    let elsewhere = |n| NewTask {
        queue: Queue::new("other").unwrap(),
        ..task(n)
    };
    store.insert(&half, NOW).await.unwrap_err();
    assert!(!is_hinted(&wakeups), "alone");
    store.insert_one(elsewhere(3), NOW).await.unwrap();
    assert!(!is_hinted(&wakeups), "nor does the next commit");
    let (release, work) = busy(&store);
    let neighbour = [elsewhere(4)];
    let (half, neighbour, ()) = tokio::join!(
        biased;
        store.insert(&half, NOW),
        store.insert(&neighbour, NOW),
        async {
            drop(release);
            work.await.unwrap();
        }
    );
    assert!(half.is_err() && neighbour.is_ok());
    assert!(!is_hinted(&wakeups), "beside a neighbour");
}

/// What was undone because of a neighbour is done again, and hinted at when that is committed, not before.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_undone_by_a_neighbour_hints_when_it_is_done_again() {
    let (_dir, store) = quiet();
    beside(&store)
        .execute_batch(
            "CREATE TABLE mine (n INTEGER); CREATE TABLE others (n INTEGER);
             CREATE TRIGGER end_all BEFORE INSERT ON mine BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        )
        .unwrap();
    let wakeups = watch(&store).await;
    let (release, work) = busy(&store);
    let new = [task(1)];
    let mut call = Box::pin(store.insert(&new, NOW));
    let mut cannot_repeat = Box::pin(store.transaction(|tx| {
        tx.execute_batch("INSERT INTO others VALUES (1)")?;
        Ok::<_, Error>(())
    }));
    let mut breaks = Box::pin(store.transaction(|tx| {
        tx.execute_batch("INSERT INTO mine VALUES (1)")?;
        Ok::<_, Error>(())
    }));
    let ((go_on, goes_on), (began, begun)) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel());
    let mut hold = Box::pin(store.transaction(move |_| {
        began.send(()).unwrap();
        let _ = goes_on.recv();
        Ok::<_, StoreError>(())
    }));
    assert!(poll_once(&mut call).is_none());
    assert!(poll_once(&mut cannot_repeat).is_none());
    assert!(poll_once(&mut breaks).is_none());
    assert!(poll_once(&mut hold).is_none());
    drop(release);
    work.await.unwrap();
    begun.recv().unwrap();
    // The group of the three is lost; the call is done again, its commit is still to come.
    assert!(!is_hinted(&wakeups));
    drop(go_on);
    hold.await.unwrap();
    assert!(breaks.await.is_err());
    let error = cannot_repeat.await.unwrap_err();
    let error: StoreError = *error.downcast().unwrap();
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Busy, Certainty::Rejected)
    );
    assert_eq!(count(&beside(&store), "others"), 0);
    call.await.unwrap();
    assert!(is_hinted(&wakeups));
    assert!(store.get(task_id(1)).await.unwrap().is_some());
}
