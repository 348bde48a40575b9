//! A storm of deadlocks: callers, users' transactions and strangers whose sets of keys, rows and families overlap in adverse orders.
//! Every call is answered, each edit is done once, and nothing but a busy store is ever told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use conformance_tests::fixture::failure;
use futures_util::future::join_all;
use retry_core::id::{Nonce, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{
    Applied, Certainty, Enlist as _, ExpiredRequest, Inserted, Page, Result, SessionInfo, StoreErrorKind,
    TaskFilter, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{Action, ClaimedTask, Edit, NewTask, State, Task};
use retry_postgres::PostgresStore;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use test_servers::{Kind, own_with};

use crate::Alone;
use crate::support::{FAR, NOW, block_on, keyed, request, session, success, task, until};

pub(crate) const ALONE: &[(&str, Alone)] = &[(
    "storm::a_storm_of_deadlocks_settles_everything",
    a_storm_of_deadlocks_settles_everything,
)];

const CALLERS: u64 = 16;

/// What each caller does.
const DEEDS: u64 = 60;

/// What each does at most while no user has met a deadlock: who loses is the server's choice.
const MOST_DEEDS: u64 = 40 * DEEDS;

/// Few enough that callers meet all the time.
const KEYS: u64 = 6;

/// Parents, each with so many children.
const FAMILIES: (u64, u32) = (6, 24);

/// How often a busy store is asked again.
const TRIES: u32 = 100;

/// What was answered.
#[derive(Default)]
struct Book {
    stored: BTreeSet<TaskId>,
    claims: BTreeSet<(TaskId, u64)>,
    /// Versions that an edit was done on.
    done: BTreeSet<(TaskId, u64)>,
    forgotten: BTreeSet<TaskId>,
}

/// What the callers share.
struct Storm {
    store: PostgresStore,
    pool: PgPool,
    book: Mutex<Book>,
    numbers: AtomicU64,
    /// How often somebody was told of a busy store.
    busy: AtomicU64,
}

struct Caller {
    storm: Arc<Storm>,
    random: SeededRandom,
    session: SessionInfo,
}

fn a_storm_of_deadlocks_settles_everything() {
    // Long waits would make the storm a calm.
    let server = own_with(Kind::Postgres, &[("deadlock_timeout", "5ms")]);
    block_on(async {
        let builder = PostgresStore::builder(&server.url()).schema("storm");
        let store = builder.max_connections(16).connect().await.unwrap();
        let pool = PgPoolOptions::new().max_connections(16);
        let storm = Arc::new(Storm {
            store,
            pool: pool.connect(&server.url()).await.unwrap(),
            book: Mutex::default(),
            numbers: AtomicU64::new(1),
            busy: AtomicU64::new(0),
        });
        let parents = storm.families().await;
        let callers = (0..CALLERS).map(|number| tokio::spawn(Caller::new(&storm, number).live()));
        for ended in join_all(callers).await {
            ended.unwrap();
        }
        storm.audit(&parents).await;
        let mut conn = PgConnection::connect(&server.url()).await.unwrap();
        let deadlocks = "SELECT sum(deadlocks)::bigint FROM pg_stat_database";
        until(&mut conn, deadlocks, |deadlocks| deadlocks > 0).await;
    });
}

impl Storm {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks a busy store again. Whatever else it says of a deadlock is wrong.
    async fn ask<T, F: Future<Output = Result<T>>>(&self, call: impl Fn() -> F) -> T {
        for _ in 0..TRIES {
            match call().await {
                Ok(answer) => return answer,
                Err(error) => {
                    let kind = (error.kind(), error.certainty());
                    assert_eq!(kind, (StoreErrorKind::Busy, Certainty::Rejected), "{error}");
                    self.busy.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        panic!("busy {TRIES} times");
    }

    /// Parents that wait for their children.
    async fn families(&self) -> Vec<TaskId> {
        let mut parents: Vec<_> = (0..FAMILIES.0).map(|_| task(self.number())).collect();
        for parent in &mut parents {
            // However often callers leave with it in their hands, it is to end well.
            parent.settings.crash_budget = None;
        }
        self.insert(&parents).await;
        let opener = session(1);
        self.store.open_session(&opener, FAR, NOW).await.unwrap();
        for claimed in self.claim(&opener, parents.len()).await {
            let parent = &claimed.task;
            let child = |index| NewTask {
                id: TaskId::child(parent.id, parent.reruns, parent.step, index),
                parent: Some(parent.id),
                ..task(0)
            };
            let mut edit = self.edit(parent, Event::Split { checkpoint: None });
            edit.insert = (0..FAMILIES.1).map(child).collect();
            self.exchange(vec![edit]).await;
        }
        parents.iter().map(|parent| parent.id).collect()
    }

    async fn insert(&self, tasks: &[NewTask]) {
        let answers = self.ask(|| self.store.insert(tasks, NOW)).await;
        assert_eq!(answers.len(), tasks.len());
        for (task, answer) in tasks.iter().zip(answers) {
            self.note_inserted(task.id, answer);
        }
    }

    fn note_inserted(&self, id: TaskId, answer: Inserted) {
        match answer {
            Inserted::New { leased: false } => assert!(self.book().stored.insert(id), "{id} is new twice"),
            Inserted::Duplicate { holder, .. } => assert_ne!(holder, id),
            other => panic!("{other:?} for a new task"),
        }
    }

    async fn claim(&self, session: &SessionInfo, limit: usize) -> Vec<ClaimedTask> {
        let tasks = self
            .ask(|| self.store.claim(request(session, limit), NOW))
            .await
            .tasks;
        for claimed in &tasks {
            let version = (claimed.task.id, claimed.task.version);
            assert!(self.book().claims.insert(version), "{version:?} was given twice");
        }
        tasks
    }

    fn edit(&self, task: &Task, event: Event) -> Edit {
        Edit {
            id: task.id,
            version: task.version,
            // Far from the numbers of tasks, of which `success` makes its nonces.
            nonce: Nonce::from_random(self.number() | 1 << 40),
            action: transition(task, event, NOW, 0).unwrap(),
            insert: Vec::new(),
        }
    }

    /// Makes edits in their order, and notes which were done.
    async fn exchange(&self, edits: Vec<Edit>) {
        let applied = self.ask(|| self.store.exchange(&edits, &[], NOW)).await.applied;
        assert_eq!(applied.len(), edits.len());
        for (edit, applied) in edits.iter().zip(applied) {
            match applied {
                Applied::Done { inserted, .. } => self.note_done(edit, inserted),
                Applied::Stale | Applied::Missing => {}
                other => panic!("{other:?} for an edit that was sent once"),
            }
        }
    }

    fn note_done(&self, edit: &Edit, inserted: Vec<Inserted>) {
        for (task, answer) in edit.insert.iter().zip(inserted) {
            self.note_inserted(task.id, answer);
        }
        let book = &mut *self.book();
        if matches!(edit.action, Action::RequestCancel) {
            return;
        }
        let version = (edit.id, edit.version);
        assert!(book.done.insert(version), "two edits were done on {version:?}");
        if matches!(edit.action, Action::Delete { .. }) {
            book.forgotten.insert(edit.id);
        }
    }

    /// Gives back what ended sessions hold.
    async fn rescue(&self, order: impl Fn(Vec<Edit>) -> Vec<Edit>) {
        let mut asked = ExpiredRequest {
            mark: true,
            after: None,
            limit: 100,
        };
        loop {
            let expired = self.ask(|| self.store.expired(&asked, NOW)).await;
            let lost = expired.items.iter();
            let edits = lost.map(|(task, _)| self.edit(task, Event::LeaseLost { process_dead: true }));
            self.exchange(order(edits.collect())).await;
            match expired.next {
                Some(next) => asked.after = Some(next),
                None => return,
            }
        }
    }

    /// Ends what is left and looks whether everything is as it was answered.
    async fn audit(&self, parents: &[TaskId]) {
        self.rescue(|edits| edits).await;
        let last = session(2);
        self.store.open_session(&last, FAR, NOW).await.unwrap();
        loop {
            let claimed = self.claim(&last, 100).await;
            if claimed.is_empty() {
                break;
            }
            self.exchange(claimed.iter().map(success).collect()).await;
        }
        let tasks = self.stored().await;
        let book = self.book();
        let present: BTreeSet<_> = tasks.keys().copied().collect();
        let kept: BTreeSet<_> = book.stored.difference(&book.forgotten).copied().collect();
        assert_eq!(present, kept, "what was answered is there, and nothing else");
        let of =
            |versions: &BTreeSet<(TaskId, u64)>, id| versions.range((id, 0)..=(id, u64::MAX)).count() as u64;
        for (id, task) in &tasks {
            assert!(task.state.is_final(), "{id} is {}", task.state);
            let writes = of(&book.claims, *id) + of(&book.done, *id);
            assert_eq!(
                task.version, writes,
                "{id}: a write that nobody was answered for, or none"
            );
        }
        for parent in parents {
            let parent = &tasks[parent];
            assert_eq!(parent.state, State::Succeeded);
            assert_eq!((parent.children.total, parent.children.open), (FAMILIES.1, 0));
        }
        assert!(self.busy.load(Ordering::Relaxed) > 0, "no user met a deadlock");
    }

    async fn stored(&self) -> BTreeMap<TaskId, Task> {
        let (mut tasks, mut page) = (BTreeMap::new(), Page::first(1_000));
        loop {
            let listed = self.store.list(&TaskFilter::default(), &page).await.unwrap();
            tasks.extend(listed.tasks.into_iter().map(|row| (row.task.id, row.task)));
            match listed.next {
                Some(next) => page.after = Some(next),
                None => return tasks,
            }
        }
    }
}

impl Caller {
    fn new(storm: &Arc<Storm>, number: u64) -> Self {
        Self {
            storm: Arc::clone(storm),
            random: SeededRandom::new(1_213 + number),
            session: session(100 + number),
        }
    }

    async fn live(mut self) {
        let storm = Arc::clone(&self.storm);
        storm
            .ask(|| storm.store.open_session(&self.session, FAR, NOW))
            .await;
        for deed in 0..MOST_DEEDS {
            if deed >= DEEDS && storm.busy.load(Ordering::Relaxed) > 0 {
                break;
            }
            match self.draw(8) {
                0 => storm.insert(&self.clashing(4)).await,
                1 | 2 => self.settle().await,
                3 => self.cancel().await,
                4 => self.leave(deed).await,
                5 | 6 => self.enlist().await,
                _ => self.lock_backwards().await,
            }
        }
        storm.ask(|| storm.store.close_session(self.session.id)).await;
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    fn shuffled<T>(&self, mut items: Vec<T>) -> Vec<T> {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.draw(last as u64 + 1)).unwrap();
            items.swap(last, other);
        }
        items
    }

    /// A task with one of the few keys; every other one is not kept when it has succeeded.
    fn one_of(&self, key: u64) -> NewTask {
        let number = self.storm.number();
        let mut task = keyed(number, &format!("key-{key}"));
        if number.is_multiple_of(2) {
            task.settings.retention.succeeded = Some(Duration::ZERO);
        }
        task
    }

    /// Tasks with different keys, in any order.
    fn clashing(&self, n: usize) -> Vec<NewTask> {
        let keys = self.shuffled((0..KEYS).collect());
        keys.into_iter().take(n).map(|key| self.one_of(key)).collect()
    }

    /// Claims some and settles them in any order: ends of keys, of children of all families, retries, follow-ups.
    async fn settle(&self) {
        let claimed = self.storm.claim(&self.session, 12).await;
        let edits = claimed.iter().map(|claimed| {
            let task = &claimed.task;
            let event = match self.draw(4) {
                0 if task.attempt < 3 => Event::Retry {
                    at: NOW,
                    failure: failure(task, "not yet", NOW),
                },
                _ => Event::Succeed {
                    output: None,
                    via_fallback: false,
                },
            };
            let mut edit = self.storm.edit(task, event);
            if self.draw(4) == 0 {
                edit.insert.push(self.one_of(self.draw(KEYS)));
            }
            edit
        });
        self.storm.exchange(self.shuffled(edits.collect())).await;
    }

    fn some_ids(&self, n: usize) -> Vec<TaskId> {
        let stored: Vec<_> = self.storm.book().stored.iter().copied().collect();
        self.shuffled(stored).into_iter().take(n).collect()
    }

    /// Cancels tasks that others claim and settle meanwhile, but no parents: they are to end well.
    async fn cancel(&self) {
        let mut edits = Vec::new();
        for id in self.some_ids(6) {
            let found = self.storm.ask(|| self.storm.store.get(id)).await;
            let Some(task) = found.map(|found| found.task) else {
                continue;
            };
            if task.children.total == 0 && transition(&task, Event::Cancel, NOW, 0).is_ok() {
                edits.push(self.storm.edit(&task, Event::Cancel));
            }
        }
        self.storm.exchange(edits).await;
    }

    /// Ends its session with tasks in its hands, comes again under another, and rescues with all others.
    async fn leave(&mut self, deed: u64) {
        let storm = Arc::clone(&self.storm);
        storm.claim(&self.session, 8).await;
        storm.ask(|| storm.store.close_session(self.session.id)).await;
        storm.rescue(|edits| self.shuffled(edits)).await;
        self.session = session(1_000_000 + self.draw(1 << 40) * MOST_DEEDS + deed);
        storm
            .ask(|| storm.store.open_session(&self.session, FAR, NOW))
            .await;
    }

    /// A transaction of the user's own that takes keys one after the other, in any order, and is repeated as a whole.
    async fn enlist(&self) {
        let tasks = self.clashing(3);
        let is_kept = self.draw(3) > 0;
        let store = &self.storm.store;
        let in_tx = || async {
            let mut tx = self.storm.pool.begin().await.unwrap();
            let mut answers = Vec::new();
            for task in &tasks {
                answers.extend(
                    store
                        .enlist(&mut tx, Ok(vec![task.clone()]), NOW, |answer| answer)
                        .await?,
                );
            }
            if is_kept {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
            Ok(answers)
        };
        let answers = self.storm.ask(in_tx).await;
        if is_kept {
            for (task, answer) in tasks.iter().zip(answers) {
                self.storm.note_inserted(task.id, answer);
            }
        }
    }

    /// A stranger who takes rows from the newest to the oldest.
    async fn lock_backwards(&self) {
        let mut ids = self.some_ids(8);
        ids.sort_unstable_by(|one, other| other.cmp(one));
        let mut tx = self.storm.pool.begin().await.unwrap();
        for id in ids {
            let lock = format!("SELECT 1 FROM storm.task WHERE id = '{id}' FOR UPDATE");
            // It may be the victim, and goes home then.
            if sqlx::raw_sql(AssertSqlSafe(lock))
                .execute(&mut *tx)
                .await
                .is_err()
            {
                break;
            }
        }
        tx.rollback().await.unwrap();
    }
}
