//! What goes wrong with files, each with its kind, its certainty, the file's name and a remedy.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore as _, TaskStoreExt as _};
use retry_core::task::NewTask;
use retry_sqlite::SqliteStore;
use rusqlite::{Connection, TransactionBehavior};

use crate::child::{Process, command, say};
use crate::support::{
    NOW, beside, builder, fresh, kind, place, request, session, success, task, task_id, tasks,
};

fn assert_is(error: &StoreError, kind: StoreErrorKind, words: &[&str]) {
    assert_eq!(
        (error.kind(), error.certainty()),
        (kind, Certainty::Rejected),
        "{error}"
    );
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

fn open_error(path: &Path) -> StoreError {
    SqliteStore::open(path).unwrap_err().into()
}

fn large(n: u64) -> NewTask {
    NewTask {
        payload: retry_core::payload::Payload::encode(&"x".repeat(10_000)).unwrap(),
        ..task(n)
    }
}

/// Inserts until it does not fit any more.
async fn fill(store: &SqliteStore) -> (u64, StoreError) {
    for n in 0.. {
        if let Err(error) = store.insert_one(large(n), NOW).await {
            return (n, error);
        }
    }
    unreachable!("it is full before")
}

#[tokio::test]
async fn a_file_at_its_largest_size_is_full_and_goes_on_when_there_is_room() {
    let (_dir, path) = place();
    let store = builder(&path).max_size(1024 * 1024).build().unwrap();
    let (kept, error) = fill(&store).await;
    assert_is(&error, StoreErrorKind::Full, &["tasks.db", "free some space"]);
    assert!(kept > 20, "{kept} tasks fit");
    assert!(store.get(task_id(kept - 1)).await.unwrap().is_some());
    assert!(store.get(task_id(kept)).await.unwrap().is_none());

    store.open_session(&session(1), NOW, NOW).await.unwrap();
    let claimed = store.claim(request(&session(1), 10), NOW).await.unwrap().tasks;
    let edits: Vec<_> = claimed.iter().map(success).collect();
    store.exchange(&edits, &[], NOW).await.unwrap();
    let later = NOW.saturating_add(Duration::from_hours(48));
    assert_eq!(store.purge(later, 10).await.unwrap(), 10);
    store.insert_one(large(kept), NOW).await.unwrap();
}

/// The child: fills a small file system.
pub(crate) async fn fill_and_tell(file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    let (kept, error) = fill(&store).await;
    say(kept);
    say(format!("{:?} {:?}", error.kind(), error.certainty()));
    drop(store);
    let store = SqliteStore::open(file).unwrap();
    let found = store.get(task_id(kept - 1)).await.unwrap().is_some();
    let conn = beside(&store);
    let sound: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    say(format!("{found} {sound}"));
}

/// The child: uses the free pages of its file on a disk that has room for little more than nothing.
pub(crate) async fn reuse_and_tell(file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    for n in 0..60 {
        store.insert_one(large(n), NOW).await.unwrap();
    }
    beside(&store)
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM retry_body; DELETE FROM retry_task; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let mut filler = fs::File::create(file.with_extension("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4_096]).is_ok() {}
    let full = filler.metadata().unwrap().len();
    filler.set_len(full - 256 * 1024).unwrap();
    let mut kept = 0;
    for n in 0..60 {
        // The first try may find the log full; the second finds it short.
        let first = store.insert_one(large(n), NOW).await;
        kept += u32::from(first.is_ok() || store.insert_one(large(n), NOW).await.is_ok());
    }
    say(kept);
}

/// What the child says on a real file system of 4 MiB, in a name space of its own; nothing where none can be mounted, as in
/// many containers.
#[cfg(target_os = "linux")]
fn on_a_small_disk(role: &str) -> (tempfile::TempDir, Option<Process>) {
    let (dir, path) = place();
    let child = command(&std::env::current_exe().unwrap(), role, &path);
    let mut unshared = Command::new("unshare");
    unshared
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=4m tmpfs \"$0\" && echo '> mounted' && exec \"$@\"")
        .arg(dir.path())
        .arg(child.get_program())
        .args(child.get_args())
        .envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped());
    let mut child = Process::of(unshared);
    if child.says().is_none() {
        // Not a server that could be installed. A full file is tested by its largest size.
        eprintln!("skipped: no small file system can be mounted here");
        return (dir, None);
    }
    (dir, Some(child))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_full_and_damages_nothing() {
    let (_dir, Some(mut child)) = on_a_small_disk("fill") else {
        return;
    };
    let kept = child.says().unwrap();
    assert!(kept.parse::<u64>().unwrap() > 20, "{kept} tasks fit");
    assert_eq!(child.says().unwrap(), "Full Rejected");
    assert_eq!(child.says().unwrap(), "true ok");
}

/// The log is not in the way of what the file has room for.
#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_the_free_pages_of_the_file_are_used() {
    let (_dir, Some(mut child)) = on_a_small_disk("reuse") else {
        return;
    };
    assert_eq!(child.says().unwrap(), "60");
}

/// Also when each look for the lock takes long, as on a busy machine: the clock ends the wait, not the looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_lock_ends_by_the_clock() {
    let (_dir, path) = place();
    let clock = retry_core::clock::ManualClock::new();
    let store = SqliteStore::builder(&path)
        .clock(std::sync::Arc::new(clock.clone()))
        .busy_timeout(Duration::from_secs(3_600))
        .build()
        .unwrap();
    let mut conn = beside(&store);
    let _lock = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let waiting = store.clone();
    let call = tokio::spawn(async move { waiting.insert_one(task(1), NOW).await });
    while !call.is_finished() {
        // Whenever the wait begins, it is over an hour later.
        clock.advance(Duration::from_secs(60));
        tokio::task::yield_now().await;
    }
    let error = call.await.unwrap().unwrap_err();
    assert_is(&error, StoreErrorKind::Busy, &["busy timeout"]);
}

#[tokio::test]
async fn a_lock_held_too_long_is_busy() {
    let (_dir, path) = place();
    let store = builder(&path)
        .busy_timeout(Duration::from_millis(20))
        .build()
        .unwrap();
    let mut conn = beside(&store);
    let lock = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let error = store.insert_one(task(1), NOW).await.unwrap_err();
    assert_is(&error, StoreErrorKind::Busy, &["tasks.db", "busy timeout"]);
    assert!(store.get(task_id(1)).await.unwrap().is_none(), "reads go on");
    lock.rollback().unwrap();
    store.insert_one(task(1), NOW).await.unwrap();
}

/// The child: another user, to whom the file is read-only.
pub(crate) async fn open_and_tell(file: &Path) {
    let error = match SqliteStore::open(file) {
        Err(error) => StoreError::from(error),
        Ok(store) => store.insert_one(task(1), NOW).await.unwrap_err(),
    };
    say(format!("{:?} {:?} {error}", error.kind(), error.certainty()));
}

/// By another process: were the copy open for writing here, a process that another test starts at that moment would have it open
/// for a moment too, and a file that somebody writes to cannot be run ("Text file busy").
#[cfg(unix)]
fn copy_this_program(to: &Path) {
    let copied = Command::new("cp")
        .args([std::env::current_exe().unwrap().as_path(), to])
        .status();
    assert!(copied.unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_read_only_file_is_read_only() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let (dir, path) = place();
    drop(builder(&path).build().unwrap());
    let program = dir.path().join("program");
    copy_this_program(&program);
    let mut locks = path.as_os_str().to_owned();
    locks.push("-locks");
    for (file, mode) in [
        (path.as_path(), 0o444),
        (program.as_path(), 0o555),
        (Path::new(&locks), 0o555),
        (dir.path(), 0o555),
    ] {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut child = command(&program, "open", &path);
    let superuser = fs::write(dir.path().join("probe"), "").is_ok();
    if superuser {
        // Rights do not bind the superuser.
        fs::remove_file(dir.path().join("probe")).unwrap();
        child.uid(65_534).gid(65_534);
    }
    let said = Process::of(child).says();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = said.unwrap();
    assert!(said.starts_with("ReadOnly Rejected "), "{said}");
    assert!(said.contains("tasks.db") && said.contains("read-only"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_read_only() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let (dir, path) = place();
    let program = dir.path().join("program");
    copy_this_program(&program);
    for (file, mode) in [(program.as_path(), 0o555), (dir.path(), 0o555)] {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut child = command(&program, "open", &path);
    let superuser = fs::write(dir.path().join("probe"), "").is_ok();
    if superuser {
        fs::remove_file(dir.path().join("probe")).unwrap();
        child.uid(65_534).gid(65_534);
    }
    let said = Process::of(child).says();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = said.unwrap();
    assert!(said.starts_with("ReadOnly Rejected "), "{said}");
    assert!(said.contains("tasks.db") && said.contains("directory"), "{said}");
}

#[test]
fn a_file_that_is_no_database_is_corrupt_and_left_alone() {
    let (_dir, path) = place();
    let garbage = "This is a letter to my aunt. ".repeat(1_000);
    fs::write(&path, &garbage).unwrap();
    assert_is(
        &open_error(&path),
        StoreErrorKind::Corrupt,
        &["tasks.db", "not an SQLite database"],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
}

#[tokio::test]
async fn damaged_pages_are_typed_errors() {
    let (_dir, path) = place();
    let store = builder(&path).build().unwrap();
    store.open_session(&session(1), NOW, NOW).await.unwrap();
    for first in (0..5_000).step_by(1_000) {
        store.insert(&tasks(first..first + 1_000), NOW).await.unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let from = bytes.len() / 3;
    bytes[from..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0x5a);
    fs::write(&path, bytes).unwrap();

    let store = builder(&path).build().unwrap();
    let mut errors = Vec::new();
    for n in (0..5_000).step_by(50) {
        errors.extend(store.get(task_id(n)).await.err());
    }
    errors.extend(store.claim(request(&session(1), 1_000), NOW).await.err());
    errors.extend(store.insert(&tasks(9_000..10_000), NOW).await.err());
    assert!(!errors.is_empty(), "a third of the file is damaged");
    for error in &errors {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    }
    assert!(errors.iter().any(|error| error.to_string().contains("tasks.db")));
}

#[tokio::test]
async fn damaged_columns_are_reported_and_block_nothing() {
    let (_dir, store) = fresh();
    store.open_session(&session(1), NOW, NOW).await.unwrap();
    store.insert(&tasks(1..10), NOW).await.unwrap();
    let conn = beside(&store);
    conn.pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    for (n, damage) in [
        (
            1,
            "UPDATE retry_body SET settings = '{' WHERE number = (SELECT number FROM retry_task WHERE id = ?1)",
        ),
        (
            2,
            "UPDATE retry_body SET headers = '[' WHERE number = (SELECT number FROM retry_task WHERE id = ?1)",
        ),
        (
            3,
            "UPDATE retry_body SET payload = CAST(x'ff' AS TEXT) WHERE number = (SELECT number FROM retry_task WHERE id = ?1)",
        ),
        (
            4,
            "DELETE FROM retry_body WHERE number = (SELECT number FROM retry_task WHERE id = ?1)",
        ),
        (5, "UPDATE retry_task SET attempt = -1 WHERE id = ?1"),
        (6, "UPDATE retry_task SET parent = x'00' WHERE id = ?1"),
        (7, "UPDATE retry_task SET id = x'00' WHERE id = ?1"),
        (8, "UPDATE retry_task SET version = -5 WHERE id = ?1"),
    ] {
        assert_eq!(conn.execute(damage, [task_id(n).to_bytes()]).unwrap(), 1);
    }
    let listed = store
        .list(&Default::default(), &retry_core::store::Page::first(100))
        .await
        .unwrap();
    assert_eq!((listed.tasks.len(), listed.bad.len()), (2, 7), "{listed:?}");

    let claimed = store.claim(request(&session(1), 9), NOW).await.unwrap();
    let taken: Vec<_> = claimed.tasks.iter().map(|task| task.task.id).collect();
    assert_eq!(taken, [task_id(9)]);
    assert_eq!(claimed.bad.len(), 8, "{:?}", claimed.bad);
    let again = store.claim(request(&session(1), 9), NOW).await.unwrap();
    assert!(again.tasks.is_empty() && again.bad.is_empty() && again.next_due.is_none());
    let error = store.get(task_id(1)).await.unwrap_err();
    assert_is(&error, StoreErrorKind::Corrupt, &["settings", "remove_damaged"]);
    let failed: i64 = conn
        .query_row("SELECT count(*) FROM retry_task WHERE state = 5", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(failed, 8);
}

#[tokio::test]
async fn only_a_task_that_cannot_be_read_is_removed() {
    let (_dir, store) = fresh();
    store.insert(&tasks(1..4), NOW).await.unwrap();
    let conn = beside(&store);
    let number = "(SELECT number FROM retry_task WHERE id = ?1)";
    for (n, damage) in [
        (
            1,
            format!("UPDATE retry_body SET settings = '{{' WHERE number = {number}"),
        ),
        (2, "UPDATE retry_task SET state = 77 WHERE id = ?1".to_owned()),
    ] {
        conn.execute(&damage, [task_id(n).to_bytes()]).unwrap();
        assert!(store.remove_damaged(task_id(n)).await.unwrap());
        assert!(!store.remove_damaged(task_id(n)).await.unwrap(), "it is gone");
    }
    let error = store.remove_damaged(task_id(3)).await.unwrap_err();
    assert_is(&error, StoreErrorKind::Invalid, &["can be read"]);
    for table in ["retry_task", "retry_body"] {
        assert_eq!(crate::support::count(&conn, table), 1, "{table}");
    }
}

#[tokio::test]
async fn a_parent_counts_a_removed_child_as_failed() {
    use retry_core::machine::Event;
    let (_dir, store) = fresh();
    let info = session(1);
    store.open_session(&info, crate::support::FAR, NOW).await.unwrap();
    store.insert_one(task(1), NOW).await.unwrap();
    let claimed = store.claim(request(&info, 1), NOW).await.unwrap().tasks;
    let parent = claimed[0].task.id;
    let child = retry_core::id::TaskId::child(parent, 0, 0, 0);
    let split = retry_core::task::Edit {
        insert: vec![NewTask {
            id: child,
            parent: Some(parent),
            ..task(0)
        }],
        ..crate::support::decided(&claimed[0].task, Event::Split { checkpoint: None }, 1)
    };
    store.apply(split, NOW).await.unwrap();
    let damage =
        "UPDATE retry_body SET settings = '{' WHERE number = (SELECT number FROM retry_task WHERE id = ?1)";
    beside(&store).execute(damage, [child.to_bytes()]).unwrap();
    assert!(store.remove_damaged(child).await.unwrap());
    let children = store.get(parent).await.unwrap().unwrap().task.children;
    assert_eq!((children.total, children.open, children.failed), (1, 0, 1));
}

#[test]
fn a_newer_schema_is_refused() {
    let (_dir, store) = fresh();
    let path = store.path().to_owned();
    beside(&store)
        .execute_batch("UPDATE retry_schema SET version = 99")
        .unwrap();
    drop(store);
    let words = ["tasks.db", "version 99", "version 1", "update this program"];
    assert_is(&open_error(&path), StoreErrorKind::Schema, &words);
    let unmigrated = SqliteStore::builder(&path).migrate(false).build().unwrap_err();
    assert_is(&unmigrated.into(), StoreErrorKind::Schema, &words);
}

/// A file whose tables cannot be the store's is refused in one short sentence, and left as it is.
#[test]
fn a_foreign_or_damaged_schema_is_refused_shortly() {
    for (prepare, words) in [
        ("DELETE FROM retry_schema", "holds no version"),
        (
            "DROP TABLE retry_schema; CREATE TABLE retry_schema (name TEXT)",
            "holds no version",
        ),
        ("DROP TABLE retry_schema", "restore a backup"),
        ("UPDATE retry_schema SET version = 0", "no release ever wrote"),
    ] {
        let (_dir, store) = fresh();
        let path = store.path().to_owned();
        beside(&store).execute_batch(prepare).unwrap();
        drop(store);
        let error = open_error(&path);
        assert_is(&error, StoreErrorKind::Schema, &["tasks.db", words]);
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text += &cause.to_string();
            source = cause.source();
        }
        assert!(text.len() < 400 && !text.contains("CREATE"), "{prepare}: {text}");
    }
}

#[test]
fn without_migrations_only_a_migrated_file_is_opened() {
    let (_dir, path) = place();
    let unmigrated = || StoreError::from(SqliteStore::builder(&path).migrate(false).build().unwrap_err());
    let words = ["tasks.db", "with migrations on"];
    assert_is(&unmigrated(), StoreErrorKind::Schema, &words);
    assert!(!path.exists(), "nothing is created");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE mine (n INTEGER)")
        .unwrap();
    assert_is(&unmigrated(), StoreErrorKind::Schema, &words);
    drop(builder(&path).build().unwrap());
    SqliteStore::builder(&path).migrate(false).build().unwrap();
}

#[cfg(unix)]
#[test]
fn paths_that_are_no_file_are_refused() {
    let (dir, path) = place();
    assert_is(&open_error(dir.path()), StoreErrorKind::Invalid, &["directory"]);
    assert_is(
        &open_error(&dir.path().join("none/tasks.db")),
        StoreErrorKind::Unavailable,
        &["create it first"],
    );
    fs::write(&path, "").unwrap();
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_is(&open_error(&link), StoreErrorKind::Invalid, &["symbolic link"]);
}

#[tokio::test]
async fn dropped_tables_are_a_schema_error() {
    let (_dir, store) = fresh();
    beside(&store).execute_batch("DROP TABLE retry_task").unwrap();
    let error = store.insert_one(task(1), NOW).await.unwrap_err();
    assert_is(&error, StoreErrorKind::Schema, &["tasks.db", "restore a backup"]);
    let unknown = retry_core::store::TaskFilter {
        kinds: vec![kind()],
        ..Default::default()
    };
    let page = retry_core::store::Page::first(1);
    let error = store.list(&unknown, &page).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
}
