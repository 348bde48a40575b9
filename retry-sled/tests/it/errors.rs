//! What goes wrong with directories, each with its kind, the directory's name and a remedy.

use std::fs;
use std::path::Path;

use retry_core::store::{
    CountScope, Page, StoreError, StoreErrorKind, TaskFilter, TaskStore as _, TaskStoreExt as _,
};
use retry_sled::{ConfigError, OpenError, SledStore};

use crate::support::{FAR, NOW, builder, fresh, place, request, session, task, task_id, tasks};

fn open_error(path: &Path) -> StoreError {
    builder(path).build().unwrap_err().into()
}

fn assert_is(error: &StoreError, kind: StoreErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn wrong_options_touch_nothing() {
    let (_dir, path) = place();
    let error = builder(&path).readers(0).build().unwrap_err();
    assert!(matches!(error, OpenError::Config(ConfigError::Readers(0))));
    assert!(!path.exists());
    let error = SledStore::open("").unwrap_err();
    assert!(matches!(error, OpenError::Config(ConfigError::NoPath)));
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_as_it_is() {
    let (dir, path) = place();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), "dear").unwrap();
    assert_is(
        &open_error(&path),
        StoreErrorKind::Schema,
        &["other files", "tasks"],
    );
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = open_error(&file);
    assert!(error.to_string().contains("file"), "{error}");
    assert!(matches!(
        error.kind(),
        StoreErrorKind::Unavailable | StoreErrorKind::ReadOnly
    ));
}

#[test]
fn another_programs_database_is_refused() {
    let (_dir, path) = place();
    let db = sled::open(&path).unwrap();
    db.insert("theirs", "1").unwrap();
    drop(db);
    assert_is(&open_error(&path), StoreErrorKind::Schema, &["another program's"]);
    let db = sled::open(&path).unwrap();
    assert_eq!(db.get("theirs").unwrap().unwrap(), "1");
}

#[tokio::test]
async fn a_newer_or_damaged_format_is_refused() {
    let (_dir, path) = place();
    for (mark, word) in [
        (2_u32.to_be_bytes().to_vec(), "newer program"),
        (vec![7], "damaged"),
    ] {
        let store = builder(&path).build().unwrap();
        store.overwrite(b"v".to_vec(), Some(mark)).await.unwrap();
        drop(store);
        assert_is(&open_error(&path), StoreErrorKind::Schema, &[word]);
        fs::remove_dir_all(&path).unwrap();
    }
}

/// sled takes a snapshot or settings that it could not write to the end for damage.
#[tokio::test]
async fn what_sled_left_unfinished_is_no_damage() {
    let (_dir, path) = place();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("conf"), "cut off in the middle").unwrap();
    let store = builder(&path).build().unwrap();
    store.insert(&tasks(1..100), NOW).await.unwrap();
    drop(store);
    fs::write(path.join("snap.7FFFFFFFFFFFFFFF.generating"), "").unwrap();
    fs::write(
        path.join("snap.7FFFFFFFFFFFFFFE.generating"),
        "half of a snapshot",
    )
    .unwrap();
    let store = builder(&path).build().unwrap();
    assert!(store.get(task_id(99)).await.unwrap().is_some());
}

/// Flips bytes all over the file: the store opens with what is sound, or says that it is damaged. It never panics, and what
/// it reads is what was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let (dir, path) = place();
    let store = builder(&path).build().unwrap();
    for first in (0..2_000).step_by(500) {
        store.insert(&tasks(first..first + 500), NOW).await.unwrap();
    }
    drop(store);
    let sound = fs::read(path.join("db")).unwrap();
    let mut refused = 0;
    for round in 0..24 {
        let copy = dir.path().join(format!("copy-{round}"));
        copy_dir(&path, &copy);
        let mut bytes = sound.clone();
        let length = bytes.len();
        match round % 3 {
            0 => (0..40).for_each(|n| bytes[(round * 7_919 + n * 104_729) % length] ^= 0x55),
            1 => bytes.truncate(length * round / 24),
            _ => bytes[length * round / 24..]
                .iter_mut()
                .take(4_096)
                .for_each(|byte| *byte = 0),
        }
        fs::write(copy.join("db"), bytes).unwrap();
        let store = match builder(&copy).build() {
            Ok(store) => store,
            Err(OpenError::Store(error)) => {
                assert!(
                    matches!(
                        error.kind(),
                        StoreErrorKind::Corrupt | StoreErrorKind::Schema | StoreErrorKind::Other
                    ),
                    "{error}"
                );
                refused += 1;
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        use_damaged(&store).await;
    }
    assert!(refused > 0, "some damage is found when the store is opened");
}

async fn use_damaged(store: &SledStore) {
    let typed = |error: StoreError| {
        assert!(!error.to_string().contains("the read panicked"), "{error}");
        assert_ne!(error.kind(), StoreErrorKind::Invalid, "{error}");
    };
    let mut page = Page::first(500);
    while let Some(after) = match store.list(&TaskFilter::default(), &page).await {
        Ok(listed) => listed.next,
        Err(error) => {
            typed(error);
            None
        }
    } {
        page.after = Some(after);
    }
    for n in (0..2_000).step_by(97) {
        match store.get(task_id(n)).await {
            Ok(Some(detail)) => assert_eq!(detail.payload.decode::<u64>().unwrap(), n),
            Ok(None) => {}
            Err(error) => typed(error),
        }
    }
    let info = session(1);
    if let Err(error) = store.open_session(&info, FAR, NOW).await {
        return typed(error);
    }
    if let Err(error) = store.claim(request(&info, 1_000), NOW).await {
        typed(error);
    }
    if let Err(error) = store.insert_one(task(5_000), NOW).await {
        typed(error);
    }
    if let Err(error) = store.count(&CountScope::default()).await {
        typed(error);
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn an_audit_finds_what_contradicts() {
    let (_dir, store) = fresh();
    store.insert(&tasks(1..10), NOW).await.unwrap();
    assert!(store.audit().await.unwrap().is_sound());
    let alarm = [b"a".as_slice(), &[0; 8], &task_id(3).to_bytes()].concat();
    store.overwrite(alarm.clone(), Some(Vec::new())).await.unwrap();
    let audit = store.audit().await.unwrap();
    assert_eq!((audit.tasks, audit.problems), (9, 1), "{:?}", audit.told);
    store.overwrite(alarm, None).await.unwrap();
    let row = [b"t".as_slice(), &task_id(3).to_bytes()].concat();
    store.overwrite(row, None).await.unwrap();
    let audit = store.audit().await.unwrap();
    assert_eq!(audit.problems, 2, "its lane and its count: {:?}", audit.told);
    for n in 0..150_u8 {
        let alarm = [b"a".as_slice(), &[n; 8], &[n; 16]].concat();
        store.overwrite(alarm, Some(Vec::new())).await.unwrap();
    }
    let audit = store.audit().await.unwrap();
    assert_eq!((audit.problems, audit.told.len()), (152, 100));
}

/// A damaged child is put aside, and its parent does not wait for it for ever.
#[tokio::test]
async fn a_parent_is_told_of_a_damaged_child() {
    let (_dir, store) = fresh();
    let (parent, child) = crate::support::parent_with_child(&store).await;
    let row = [b"t".as_slice(), &child.to_bytes()].concat();
    store.overwrite(row, Some(vec![9, 9])).await.unwrap();
    let info = session(2);
    store.open_session(&info, FAR, NOW).await.unwrap();
    let claimed = store.claim(request(&info, 10), NOW).await.unwrap();
    assert_eq!(claimed.bad.iter().map(|bad| bad.id).collect::<Vec<_>>(), [child]);
    let detail = store.get(parent).await.unwrap().unwrap();
    assert_eq!((detail.task.children.open, detail.task.children.failed), (0, 1));
    // It is due at once, so the same claim took it.
    assert_eq!(
        claimed.tasks.iter().map(|task| task.task.id).collect::<Vec<_>>(),
        [parent]
    );
    let error = store.get(child).await.unwrap_err();
    assert_is(&error, StoreErrorKind::Corrupt, &["cannot be read", "export"]);
}
