//! Export and import: all that is kept comes back, or nothing of it.

use std::io::Write as _;
use std::path::Path;

use retry_core::headers::Headers;
use retry_core::id::Nonce;
use retry_core::machine::{Event, transition};
use retry_core::name::{Queue, UniqueKey};
use retry_core::payload::Payload;
use retry_core::store::{
    Applied, Cause, CountScope, ExpiredRequest, Inserted, Page, QueueSetting, TaskFilter, TaskStore as _,
    TaskStoreExt as _,
};
use retry_core::task::{
    Completion, CompletionOutcome, Edit, ErrorText, FailedAttempt, KeyScope, NewTask, OnDuplicate, Settings,
    State, TaskDetail, Unique,
};
use retry_sled::{ImportError, SledStore};

use crate::child::{say, start};
use crate::support::{
    FAR, NOW, assert_sound, builder, fresh, parent_with_child, place, request, session, success, task,
    task_id, tasks,
};

/// A store with some of everything.
async fn rich() -> (tempfile::TempDir, SledStore) {
    let (dir, store) = fresh();
    parent_with_child(&store).await;
    let mut headers = Headers::new();
    headers.insert("trace", "\"quoted\" \n").unwrap();
    let keyed = NewTask {
        unique: Some(Unique {
            key: UniqueKey::new("ключ ").unwrap(),
            scope: KeyScope::UntilPurged,
            on_duplicate: OnDuplicate::Keep,
        }),
        headers,
        payload: Payload::from_json(" {\"a\":\n\t\"\\u00e9\", \"b\": 1.0e2} ").unwrap(),
        settings: Settings {
            max_attempts: None,
            expires_at: Some(FAR),
            ..Settings::default()
        },
        ..task(10)
    };
    let large = NewTask {
        payload: Payload::encode(&"ü".repeat(100_000)).unwrap(),
        ..task(11)
    };
    store.insert(&[keyed, large], NOW).await.unwrap();
    store.insert(&tasks(12..20), NOW).await.unwrap();
    let info = session(3);
    store.open_session(&info, FAR, NOW).await.unwrap();
    // 22 failed attempts of one task, of which 20 are kept.
    for n in 0..22 {
        let claim = retry_core::store::ClaimRequest {
            ids: Some(vec![task_id(12)]),
            ..request(&info, 1)
        };
        let claimed = store.claim(claim, NOW).await.unwrap().tasks;
        let failure = FailedAttempt {
            attempt: claimed[0].task.attempt,
            worker: None,
            started_at: NOW,
            ended_at: NOW,
            error: ErrorText::new(format!("no. {n}")),
        };
        settle(&store, &claimed[0].task, Event::Retry { at: NOW, failure }).await;
    }
    let claimed = store.claim(request(&info, 4), NOW).await.unwrap().tasks;
    settle(&store, &claimed[0].task, Event::Wait { deadline: FAR }).await;
    let early = Completion {
        step: 0,
        outcome: CompletionOutcome::Resume(Payload::from_json(" [1] ").unwrap()),
    };
    let edit = Edit {
        id: claimed[1].task.id,
        version: claimed[1].task.version,
        nonce: Nonce::from_random(77),
        action: retry_core::task::Action::StoreCompletion(early),
        insert: Vec::new(),
    };
    assert_eq!(store.apply(edit, NOW).await.unwrap(), Applied::DONE);
    store.apply(success(&claimed[2]), NOW).await.unwrap();
    store
        .set_queue(&Queue::new("mail").unwrap(), QueueSetting::Pause)
        .await
        .unwrap();
    assert_sound(&store).await;
    (dir, store)
}

async fn settle(store: &SledStore, task: &retry_core::task::Task, event: Event) {
    let action = transition(task, event, NOW, 0).unwrap();
    let edit = Edit {
        id: task.id,
        version: task.version,
        nonce: Nonce::from_random(task.version + 500),
        action,
        insert: Vec::new(),
    };
    assert!(matches!(
        store.apply(edit, NOW).await.unwrap(),
        Applied::Done { .. }
    ));
}

async fn all(store: &SledStore) -> Vec<TaskDetail> {
    let listed = store
        .list(&TaskFilter::default(), &Page::first(1_000))
        .await
        .unwrap();
    let mut details = Vec::new();
    for row in listed.tasks {
        details.push(store.get(row.task.id).await.unwrap().unwrap());
    }
    details
}

fn exported(store: &SledStore) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.export(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back() {
    let (_dir, store) = rich().await;
    let bytes = exported(&store);
    let (_other, path) = place();
    let (copy, imported) = builder(&path).import(bytes.as_slice()).unwrap();
    let before = all(&store).await;
    assert_eq!((imported.tasks, imported.queues), (before.len() as u64, 1));
    assert_eq!(all(&copy).await, before);
    assert_eq!(
        before.iter().filter(|detail| detail.failures.len() == 20).count(),
        1
    );
    assert_eq!(exported(&copy), bytes, "the same lines again");
    assert_sound(&copy).await;
    let scope = CountScope::default();
    assert_eq!(
        copy.count(&scope).await.unwrap(),
        store.count(&scope).await.unwrap()
    );
    assert_eq!(copy.queues().await.unwrap(), store.queues().await.unwrap());
    assert!(copy.sessions().await.unwrap().is_empty());
    // Its unique key is held, its nonces are known, its running tasks are reported.
    let clash = NewTask {
        unique: before.iter().find_map(|detail| {
            let (key, scope) = detail.task.unique.clone()?;
            Some(Unique {
                key,
                scope,
                on_duplicate: OnDuplicate::Keep,
            })
        }),
        ..task(99)
    };
    let answer = copy.insert_one(clash, NOW).await.unwrap();
    assert!(matches!(answer, Inserted::Duplicate { .. }), "{answer:?}");
    let running = before
        .iter()
        .filter(|detail| detail.task.state == State::Running)
        .count();
    let look = ExpiredRequest {
        mark: false,
        after: None,
        limit: 100,
    };
    let lost = copy.expired(&look, NOW).await.unwrap().items;
    let lost = lost
        .iter()
        .filter(|(_, cause)| *cause == Cause::SessionLost)
        .count();
    assert_eq!((lost, running > 0), (running, true));
}

/// What is not an export is refused with its line, and the directory stays an empty store.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_line_is_named_and_nothing_stays() {
    let (_dir, store) = rich().await;
    let text = String::from_utf8(exported(&store)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, line: &str| {
        let mut changed: Vec<&str> = lines.clone();
        changed[at] = line;
        changed.join("\n")
    };
    let last = lines.len() - 1;
    let task = lines[3];
    let cases: Vec<(String, u64, &str)> = vec![
        (String::new(), 1, "header"),
        ("{}".to_owned(), 1, "line"),
        (
            with(0, r#"{"line":"header","format":"x","version":1}"#),
            1,
            "another program",
        ),
        (
            with(0, r#"{"line":"header","format":"task-retry","version":2}"#),
            1,
            "version 2",
        ),
        (with(2, "not json"), 3, "expected"),
        (with(4, task), 5, "id came before"),
        (with(3, &task.replace("\"version\"", "\"vers\"")), 4, "vers"),
        (
            with(3, &task.replace("\"kind\":\"work\"", "\"kind\":\"w k\"")),
            4,
            "not allowed",
        ),
        (lines[..last].join("\n"), last as u64 + 1, "cut off"),
        (
            with(last, r#"{"line":"end","queues":1,"tasks":1,"unreadable":0}"#),
            last as u64 + 1,
            "came",
        ),
        (format!("{text}{{\"line\":\"queue\"}}"), last as u64 + 2, ""),
        (format!("{text}{task}"), last as u64 + 2, "follows the end"),
    ];
    let (_other, path) = place();
    for (input, line, word) in cases {
        let error = builder(&path).import(input.as_bytes()).unwrap_err();
        match &error {
            ImportError::Line { line: told, reason } => {
                assert_eq!(*told, line, "{error}");
                assert!(reason.contains(word), "{word:?} is not in: {error}");
            }
            other => panic!("{other}"),
        }
        assert!(error.to_string().contains(&format!("line {line}")), "{error}");
        assert!(all(&builder(&path).build().unwrap()).await.is_empty());
    }
    let parent = lines
        .iter()
        .position(|line| line.contains("\"joining\""))
        .unwrap();
    let alone = with(parent, &lines[parent].replace("\"open\":1", "\"open\":2"));
    let error = builder(&path).import(alone.as_bytes()).unwrap_err();
    assert!(matches!(error, ImportError::Contradiction { .. }), "{error}");
    let (again, _) = builder(&path).import(text.as_bytes()).unwrap();
    assert_sound(&again).await;
}

/// A line without an end takes no more memory than the longest line may have.
#[test]
fn a_line_that_is_too_long_is_refused() {
    let (_dir, path) = place();
    let endless = std::io::BufReader::with_capacity(1 << 20, std::io::repeat(b' '));
    let error = builder(&path).import(endless).unwrap_err();
    assert!(
        matches!(&error, ImportError::Line { line: 1, reason } if reason.contains("longer than")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_empty_takes_no_import() {
    let (_dir, store) = rich().await;
    let bytes = exported(&store);
    let path = store.path().to_owned();
    drop(store);
    let error = builder(&path).import(bytes.as_slice()).unwrap_err();
    assert!(matches!(error, ImportError::NotEmpty), "{error}");
    let store = builder(&path).build().unwrap();
    assert_sound(&store).await;
    assert!(!all(&store).await.is_empty());
}

/// Damaged tasks are passed over; their parents do not wait for them in the new store.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_saved_by_export_and_import() {
    let (_dir, store) = rich().await;
    let (parent, child) = {
        let details = all(&store).await;
        let child = details
            .iter()
            .find(|detail| detail.task.parent.is_some())
            .unwrap();
        (child.task.parent.unwrap(), child.task.id)
    };
    let row = [b"t".as_slice(), &child.to_bytes()].concat();
    store.overwrite(row, Some(vec![9])).await.unwrap();
    let mut bytes = Vec::new();
    let exported = store.export(&mut bytes).unwrap();
    assert_eq!(exported.bad.iter().map(|bad| bad.id).collect::<Vec<_>>(), [child]);
    let (_other, path) = place();
    let (copy, _) = builder(&path).import(bytes.as_slice()).unwrap();
    assert_sound(&copy).await;
    let parent = copy.get(parent).await.unwrap().unwrap().task;
    assert_eq!((parent.state, parent.children.failed), (State::Pending, 1));
}

struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_written_is_an_error_of_the_stream() {
    let (_dir, store) = rich().await;
    let error = store.export(Full).unwrap_err();
    assert!(matches!(error, retry_sled::ExportError::Write(_)), "{error}");
    store.insert_one(task(500), NOW).await.unwrap();
}

/// The child: imports a stream that does not end, and says when half of it is on the disk.
pub(crate) fn import_for_ever(dir: &Path) {
    let (_source, lines) = {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let (source, store) = fresh();
                store.insert(&tasks(1..2), NOW).await.unwrap();
                (source, String::from_utf8(exported(&store)).unwrap())
            })
        })
    };
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::spawn(move || {
        let mut lines = lines.lines();
        writeln!(writer, "{}", lines.next().unwrap()).unwrap();
        let task = lines.next().unwrap();
        let first = task_id(1).to_string();
        for n in 1..40_000 {
            writeln!(writer, "{}", task.replace(&first, &task_id(n).to_string())).unwrap();
        }
        say("half");
        crate::child::wait();
    });
    // It is killed before the stream ends.
    let _ = builder(dir).import(std::io::BufReader::new(reader));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_leaves_an_empty_store() {
    let (_dir, path) = place();
    let mut child = start("import", &path);
    assert_eq!(child.says().unwrap(), "half");
    child.kill();
    drop(child);
    let store = builder(&path).build().unwrap();
    assert!(all(&store).await.is_empty());
    assert_sound(&store).await;
    store.insert_one(task(1), NOW).await.unwrap();
}
