//! Stores with one mistake each, and what the suite says about them: the law, what was asked, what came, what may come.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conformance_tests::cases::Case;
use conformance_tests::runner::{Unpassed, run_case};
use conformance_tests::{Harness, Instance, Skip};
use custom_store::LogStore;
use harness::Files;
use retry_core::clock::ManualClock;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError, StoreErrorKind, TaskFilter,
    TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

/// A mistake.
#[derive(Debug, Clone, Copy)]
enum Mistake {
    /// A duplicate is an error, as a unique index of a database would have it.
    DuplicateIsAnError,
    /// Claims take what is due within a second: "nobody will notice".
    ClaimsEarly,
    /// A renewal reports no cancels and counts nothing: "the worker knows what it holds".
    RenewalsSayNothing,
}

/// The right store behind a mistake.
#[derive(Debug)]
struct Broken(Arc<dyn TaskStore>, Mistake);

struct BrokenFiles(Mistake);

struct BrokenFile(Box<dyn Instance>, Mistake);

#[async_trait]
impl Harness for BrokenFiles {
    fn name(&self) -> &'static str {
        "broken"
    }

    async fn fresh(&self, clock: ManualClock) -> std::result::Result<Box<dyn Instance>, Skip> {
        Ok(Box::new(BrokenFile(Files.fresh(clock).await?, self.0)))
    }
}

impl Instance for BrokenFile {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(Broken(self.0.store(), self.1))
    }
}

#[async_trait]
impl TaskStore for Broken {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let inserted = self.0.insert(tasks, now).await?;
        let duplicate = inserted
            .iter()
            .any(|answer| matches!(answer, Inserted::Duplicate { .. }));
        if matches!(self.1, Mistake::DuplicateIsAnError) && duplicate {
            return Err(StoreError::rejected(
                StoreErrorKind::Other,
                "UNIQUE constraint failed",
            ));
        }
        Ok(inserted)
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let ahead = match self.1 {
            Mistake::ClaimsEarly => Duration::from_secs(1),
            Mistake::DuplicateIsAnError | Mistake::RenewalsSayNothing => Duration::ZERO,
        };
        self.0.exchange(edits, claims, now.saturating_add(ahead)).await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.0.open_session(info, until, now).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        let renewed = self.0.renew(session, until, now).await?;
        Ok(match (self.1, renewed) {
            (Mistake::RenewalsSayNothing, Renewed::Live { .. }) => Renewed::Live {
                cancel: Vec::new(),
                held: 0,
            },
            (_, renewed) => renewed,
        })
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.0.close_session(session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.0.sessions().await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        self.0.expired(request, now).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.0.get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        self.0.list(filter, page).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.0.count(scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.0.purge(now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.0.set_queue(queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.0.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.0.time().await
    }

    async fn migrate(&self) -> Result<()> {
        self.0.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.0.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.0.durability()
    }
}

/// What one case of the suite says about a mistake.
fn verdict(mistake: Mistake, path: &str) -> String {
    let case = Case::find(path).expect("there is such a case");
    let right: Arc<dyn Harness> = Arc::new(Files);
    assert!(run_case(&right, case).is_ok(), "the right store passes");
    let broken: Arc<dyn Harness> = Arc::new(BrokenFiles(mistake));
    match run_case(&broken, case) {
        Err(Unpassed::Failed(failure)) => failure.to_string(),
        other => panic!("the broken store passed: {other:?}"),
    }
}

fn assert_teaches(told: &str, words: &[&str]) {
    for word in words.iter().chain(&["what was done:", "is broken:"]) {
        assert!(told.contains(word), "{word:?} is not in:\n{told}");
    }
}

#[test]
fn a_duplicate_is_no_error() {
    let told = verdict(
        Mistake::DuplicateIsAnError,
        "unique::a_duplicate_names_the_holder",
    );
    assert_teaches(
        &told,
        &[
            "a duplicate is an answer, not an error",
            "UNIQUE constraint failed",
        ],
    );
}

#[test]
fn a_second_early_is_early() {
    let told = verdict(Mistake::ClaimsEarly, "claim::nothing_is_claimed_early");
    assert_teaches(&told, &["L4 is broken", "given:", "allowed:"]);
}

#[test]
fn a_renewal_has_news() {
    let told = verdict(
        Mistake::RenewalsSayNothing,
        "sessions::a_renewal_brings_cancel_requests",
    );
    assert_teaches(&told, &["L9 is broken", "held: 0"]);
}

#[tokio::test]
async fn a_cut_off_line_was_never_answered_and_a_damaged_one_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tasks.jsonl");
    let open = || LogStore::open(&path, Arc::new(ManualClock::new()));
    let queue = Queue::new("mail").expect("a name");
    let store = open().expect("the store opens");
    store
        .set_queue(&queue, QueueSetting::Pause)
        .await
        .expect("a write");
    let error = open().expect_err("one process at a time");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    drop(store);

    let whole = std::fs::read(&path).expect("the file");
    std::fs::write(&path, [whole.as_slice(), b"{\"tasks\":[{\"id"].concat()).expect("a torn file");
    let store = open().expect("what was never answered is passed over");
    assert!(store.queues().await.expect("a read")[0].paused);
    drop(store);
    assert_eq!(std::fs::read(&path).expect("the file"), whole, "and cut off");

    std::fs::write(&path, [b"{\"tasks\":[{}]}\n", whole.as_slice()].concat()).expect("a damaged file");
    let error = open().expect_err("a damaged line");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("line 1"), "{error}");
}
