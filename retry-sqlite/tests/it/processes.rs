//! Several processes on one file.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use retry_core::clock::{Clock as _, SystemClock};
use retry_core::store::{Cause, ExpiredRequest, Renewed, TaskStore as _, TaskStoreExt as _};
use retry_core::task::State;
use retry_sqlite::{SqliteStore, Synchronous};

use crate::child::{say, start, wait};
use crate::support::{
    FAR, NOW, beside, builder, fresh, number, place, request, session, success, task, task_id, tasks,
};

const TASKS: u64 = 4_000;

/// The child: takes a task and keeps it.
pub(crate) async fn hold(file: &Path) {
    let store = builder(file).build().unwrap();
    let info = session(7);
    store.open_session(&info, FAR, NOW).await.unwrap();
    let claimed = store.claim(request(&info, 2), NOW).await.unwrap();
    say(claimed.tasks.len());
    wait();
}

/// The child: claims and settles until all are settled, and says what it got.
pub(crate) async fn drain(file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    let info = session(u64::from(std::process::id()));
    store.open_session(&info, FAR, NOW).await.unwrap();
    say("ready");
    wait();
    let mut edits = Vec::new();
    loop {
        let exchanged = store.exchange(&edits, &[request(&info, 17)], NOW).await.unwrap();
        let claimed = &exchanged.claimed[0].tasks;
        for task in claimed {
            say(number(task.task.id));
        }
        if claimed.is_empty() && edits.is_empty() {
            break;
        }
        edits = claimed.iter().map(success).collect();
    }
    say("done");
}

/// Files that racing processes open for the first time, one after another.
const FILES: u32 = 40;

/// The child: opens many new files as fast as it can, beside others that do the same.
pub(crate) fn open_many(dir: &Path) {
    say("ready");
    wait();
    for file in 0..FILES {
        match SqliteStore::open(dir.join(format!("{file}.db"))) {
            Ok(_) => {}
            Err(error) => return say(error),
        }
    }
    say("done");
}

#[test]
fn a_new_file_may_be_opened_by_several_processes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut children: Vec<_> = (0..4).map(|_| start("race", dir.path())).collect();
    for child in &mut children {
        assert_eq!(child.says().unwrap(), "ready");
    }
    children.iter_mut().for_each(crate::child::Process::go_on);
    for child in &mut children {
        assert_eq!(child.says().unwrap(), "done");
    }
}

#[tokio::test]
async fn a_dead_process_loses_its_tasks_at_once() {
    let (_dir, store) = fresh();
    store.insert(&tasks(1..4), NOW).await.unwrap();
    let mut child = start("hold", store.path());
    assert_eq!(child.says().unwrap(), "2");
    let look = ExpiredRequest {
        mark: false,
        after: None,
        limit: 10,
    };
    let expired = store.expired(&look, NOW).await.unwrap();
    assert!(expired.items.is_empty(), "it lives: {expired:?}");

    child.kill();
    drop(child);
    let expired = store.expired(&look, NOW).await.unwrap();
    let found: Vec<_> = expired
        .items
        .iter()
        .map(|(task, cause)| (task.id, *cause))
        .collect();
    let dead = Cause::SessionDead;
    assert_eq!(found, [(task_id(1), dead), (task_id(2), dead)]);
    assert_eq!(store.renew(session(7).id, FAR, NOW).await.unwrap(), Renewed::Lost);
}

#[tokio::test]
async fn a_store_that_is_closed_and_opened_again_finds_its_sessions_dead() {
    let (_dir, path) = place();
    let store = builder(&path).build().unwrap();
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    store.insert(&tasks(1..2), NOW).await.unwrap();
    store.claim(request(&session(1), 1), NOW).await.unwrap();
    drop(store);
    let store = builder(&path).build().unwrap();
    let look = ExpiredRequest {
        mark: false,
        after: None,
        limit: 10,
    };
    let expired = store.expired(&look, NOW).await.unwrap();
    assert_eq!(expired.items[0].1, Cause::SessionDead);
}

/// A session goes on in a store that was opened again, if it renews before anybody marks it; then it is held again.
#[tokio::test]
async fn a_session_that_goes_on_after_a_reopening_holds_its_lock_again() {
    let (_dir, path) = place();
    let store = builder(&path).build().unwrap();
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    store.insert(&tasks(1..2), NOW).await.unwrap();
    store.claim(request(&session(1), 1), NOW).await.unwrap();
    let peer = builder(&path).build().unwrap();
    drop(store);
    let store = builder(&path).build().unwrap();
    let renewed = store.renew(session(1).id, FAR, NOW).await.unwrap();
    assert!(matches!(renewed, Renewed::Live { held: 1, .. }));
    let look = ExpiredRequest {
        mark: true,
        after: None,
        limit: 10,
    };
    let expired = peer.expired(&look, NOW).await.unwrap();
    assert!(expired.items.is_empty(), "it lives: {expired:?}");
    drop(store);
    let expired = peer.expired(&look, NOW).await.unwrap();
    assert_eq!(expired.items[0].1, Cause::SessionDead);
}

#[tokio::test]
async fn lock_files_go_with_their_sessions() {
    let (_dir, store) = fresh();
    let mut locks = store.path().as_os_str().to_owned();
    locks.push("-locks");
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(&locks)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "turn")
            .collect();
        names.sort();
        names
    };
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    store.open_session(&session(2), NOW, NOW).await.unwrap();
    assert_eq!(files().len(), 2);
    store.close_session(session(1).id).await.unwrap();
    assert_eq!(files(), [session(2).id.to_string()]);
    let later = NOW.saturating_add(Duration::from_secs(1));
    let mark = ExpiredRequest {
        mark: true,
        after: None,
        limit: 10,
    };
    store.expired(&mark, later).await.unwrap();
    store.purge(later, 10).await.unwrap();
    assert!(files().is_empty(), "{:?}", files());
}

/// Who is told that its session is lost lets go of its lock, though the tasks are still to be settled.
#[tokio::test]
async fn a_lost_session_lets_its_lock_go() {
    let (_dir, store) = fresh();
    let peer = builder(store.path()).build().unwrap();
    store.open_session(&session(1), NOW, NOW).await.unwrap();
    store.insert(&tasks(1..2), NOW).await.unwrap();
    store.claim(request(&session(1), 1), NOW).await.unwrap();
    let mark = ExpiredRequest {
        mark: true,
        after: None,
        limit: 10,
    };
    let later = NOW.saturating_add(Duration::from_secs(1));
    let expired = peer.expired(&mark, later).await.unwrap();
    assert_eq!(expired.items[0].1, Cause::SessionLost);
    let mut lock = store.path().as_os_str().to_owned();
    lock.push(format!("-locks/{}", session(1).id));
    assert!(Path::new(&lock).exists());
    assert_eq!(
        store.renew(session(1).id, FAR, later).await.unwrap(),
        Renewed::Lost
    );
    assert!(!Path::new(&lock).exists());
}

#[tokio::test]
async fn two_processes_share_the_tasks_and_see_no_error() {
    let (_dir, store) = fresh();
    for first in (0..TASKS / 2).step_by(500) {
        store.insert(&tasks(first..first + 500), NOW).await.unwrap();
    }
    let mut children = [start("drain", store.path()), start("drain", store.path())];
    for child in &mut children {
        assert_eq!(child.says().unwrap(), "ready");
    }
    children.iter_mut().for_each(crate::child::Process::go_on);
    // A third writer all the while.
    for n in TASKS / 2..TASKS {
        store.insert(&tasks(n..n + 1), NOW).await.unwrap();
    }
    let mut claimed = Vec::new();
    let mut shares = Vec::new();
    for child in &mut children {
        let mut share = 0;
        loop {
            let line = child.says().expect("the child ends without an error");
            if line == "done" {
                break;
            }
            claimed.push(line.parse::<u64>().unwrap());
            share += 1;
        }
        shares.push(share);
    }
    // What came after both had ended.
    let info = session(1);
    store.open_session(&info, FAR, NOW).await.unwrap();
    loop {
        let rest = store.claim(request(&info, 1_000), NOW).await.unwrap().tasks;
        if rest.is_empty() {
            break;
        }
        claimed.extend(rest.iter().map(|task| number(task.task.id)));
        let edits: Vec<_> = rest.iter().map(success).collect();
        store.exchange(&edits, &[], NOW).await.unwrap();
    }
    let distinct: BTreeSet<u64> = claimed.iter().copied().collect();
    assert_eq!(claimed.len(), distinct.len(), "no task was claimed twice");
    assert_eq!(distinct, (0..TASKS).collect());
    let counts = store.count(&Default::default()).await.unwrap();
    assert_eq!(counts.of(State::Succeeded), TASKS);
}

/// The child: writes without a pause until its standard input ends.
pub(crate) async fn flood(file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    let stop = std::thread::spawn(wait);
    say("ready");
    let stop = std::sync::Arc::new(stop);
    // Callers that do not wait for each other, so that the next group is always there.
    let calls = (1..9).map(|caller| {
        let (store, stop) = (store.clone(), std::sync::Arc::clone(&stop));
        tokio::spawn(async move {
            for first in (caller * 1_000_000..).step_by(10) {
                if stop.is_finished() {
                    return;
                }
                store.insert(&tasks(first..first + 10), NOW).await.unwrap();
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    say(store.commits());
}

/// How many commits of the other process one write may have to wait for. One or two when turns are taken; hundreds when
/// the lock has to be found free by chance.
const TURNS: i64 = 30;

/// Rows that a commit of the other process writes at most: ten for each of its callers.
const ROWS_A_COMMIT: i64 = 80;

#[tokio::test]
async fn a_process_that_writes_without_a_pause_lets_others_in() {
    const WRITES: usize = 40;
    /// Writes that do not count.
    const STARVED: usize = 4;
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let mut child = start("flood", &path);
    assert_eq!(child.says().unwrap(), "ready");
    let conn = beside(&store);
    let written = || -> i64 {
        conn.query_row("SELECT max(number) FROM retry_task", [], |row| row.get(0))
            .unwrap_or(0)
    };
    let mut waited = Vec::new();
    for n in 0..WRITES as u64 {
        let before = written();
        store.insert_one(task(n), NOW).await.unwrap();
        waited.push(written() - before);
    }
    child.go_on();
    child.says().unwrap();
    // On a busy machine this process may not run for a while after its look, and the other one does; not at every write.
    waited.sort_unstable();
    waited.truncate(WRITES - STARVED);
    let rows: i64 = waited.iter().sum();
    assert!(
        rows < TURNS * ROWS_A_COMMIT * i64::try_from(waited.len()).unwrap(),
        "rows that the other process wrote meanwhile: {waited:?}"
    );
}

/// A process that shows that it waits is let in after a commit: the next group comes later by that much.
#[tokio::test]
async fn a_commit_makes_way_for_who_shows_that_it_waits() {
    const LEAST: Duration = Duration::from_millis(5);
    let clock = SystemClock::new();
    for _ in 0..10 {
        let (_dir, path) = place();
        let store = builder(&path).synchronous(Synchronous::Off).build().unwrap();
        let mut turn = path.as_os_str().to_owned();
        turn.push("-locks/turn");
        let waiting = std::fs::File::open(turn).unwrap();
        waiting.lock().unwrap();
        let before = clock.monotonic();
        store.insert_one(task(1), NOW).await.unwrap();
        store.insert_one(task(2), NOW).await.unwrap();
        let took = clock.monotonic().saturating_since(before);
        assert!(took >= LEAST, "{took:?}");
    }
}
