//! Sharded stores that do one thing wrong, and the case that must reject each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use retry_core::clock::ManualClock;
use retry_core::id::{SessionId, Shard, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use super::{Make, sharded};

/// A broken sharded store.
#[derive(Debug)]
pub struct Mutant {
    /// What it does wrong.
    pub name: &'static str,
    /// What must reject it: `area::name` of a case of the suite, or `outage::name`.
    pub killer: &'static str,
    /// Makes it of its parts.
    pub make: Make,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    LooksByWholeId,
    PlacesByWholeId,
    DropsAPart,
    CountsOnePart,
    EndsWithOnePart,
    HidesMissing,
    UntriedIsNew,
    NeverCloses,
    CallsTheDead,
}

macro_rules! mutants {
    ($($wrong:ident $name:literal: $killer:literal,)*) => {
        &[$(Mutant {
            name: $name,
            killer: $killer,
            make: |parts, clock| Broken::made(Wrong::$wrong, parts, clock),
        },)*]
    };
}

/// All of them.
pub const MUTANTS: &[Mutant] = mutants! {
    LooksByWholeId "looks for a child by its own id": "exchange::inserts_come_with_their_edit",
    PlacesByWholeId "puts tasks of one key on several parts": "race::one_insert_wins_a_key",
    DropsAPart "lists without a part and does not say so": "read::pages_have_every_row_once",
    CountsOnePart "counts one part": "read::counts_are_right",
    EndsWithOnePart "ends a listing with its first part": "read::pages_have_every_row_once",
    HidesMissing "hides which part is missing": "outage::reads_name_the_missing_part",
    UntriedIsNew "tells what was not tried as new": "outage::an_insert_says_what_was_not_tried",
    NeverCloses "never calls a part again": "outage::a_part_that_returns_is_used_again",
    CallsTheDead "calls a dead part at every turn": "outage::a_dead_part_is_not_called",
};

#[derive(Debug)]
struct Broken {
    wrong: Wrong,
    whole: Arc<dyn TaskStore>,
    parts: Vec<Arc<dyn TaskStore>>,
    /// What was not brought by another task.
    inserted: Mutex<BTreeSet<TaskId>>,
    /// A part has not answered once.
    failed: AtomicBool,
}

impl Broken {
    fn made(wrong: Wrong, parts: &[Arc<dyn TaskStore>], clock: ManualClock) -> Arc<dyn TaskStore> {
        Arc::new(Self {
            wrong,
            whole: sharded(parts, clock),
            parts: parts.to_vec(),
            inserted: Mutex::default(),
            failed: AtomicBool::new(false),
        })
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn note(&self, tasks: &[NewTask]) {
        let mut inserted = self.inserted.lock().unwrap_or_else(PoisonError::into_inner);
        inserted.extend(tasks.iter().map(|task| task.id));
    }

    /// The part that all of the id points to.
    fn by_whole_id(&self, id: TaskId) -> &Arc<dyn TaskStore> {
        let sum: usize = id.to_bytes().iter().map(|byte| usize::from(*byte)).sum();
        &self.parts[sum % self.parts.len()]
    }
}

#[async_trait]
#[deny(
    clippy::missing_trait_methods,
    reason = "one thing is wrong, and nothing else"
)]
impl TaskStore for Broken {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        if self.is(Wrong::PlacesByWholeId) {
            let mut answers = Vec::new();
            for task in tasks {
                let part = self.by_whole_id(task.id);
                answers.extend(part.insert(std::slice::from_ref(task), now).await?);
            }
            return Ok(answers);
        }
        self.note(tasks);
        if self.is(Wrong::CallsTheDead) {
            for part in &self.parts {
                drop(part.time().await);
            }
        }
        let mut answers = self.whole.insert(tasks, now).await?;
        let untried = |answer: &Inserted| *answer == Inserted::NotTried;
        if self.is(Wrong::UntriedIsNew) {
            let new = Inserted::New { leased: false };
            answers
                .iter_mut()
                .filter(|answer| untried(answer))
                .for_each(|answer| *answer = new);
        }
        if self.is(Wrong::NeverCloses)
            && self
                .failed
                .fetch_or(answers.iter().any(untried), Ordering::SeqCst)
        {
            let first = |task: &NewTask| self.whole.part_of(task.id.shard()) == Some(0);
            let of_first = tasks.iter().zip(&mut answers).filter(|(task, _)| first(task));
            of_first.for_each(|(_, answer)| *answer = Inserted::NotTried);
        }
        Ok(answers)
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        if self.is(Wrong::PlacesByWholeId) {
            let mut exchanged = Exchanged::default();
            for edit in edits {
                let part = self.by_whole_id(edit.id);
                let answer = part.exchange(std::slice::from_ref(edit), &[], now).await?;
                exchanged.applied.extend(answer.applied);
            }
            return Ok(exchanged);
        }
        self.whole.exchange(edits, claims, now).await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.whole.open_session(info, until, now).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        self.whole.renew(session, until, now).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.whole.close_session(session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.whole.sessions().await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        self.whole.expired(request, now).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        // A task that was inserted by itself was placed so, and is found.
        let is_own = self
            .inserted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&id);
        let as_child = self.is(Wrong::LooksByWholeId) && !is_own;
        if as_child || self.is(Wrong::PlacesByWholeId) {
            return self.by_whole_id(id).get(id).await;
        }
        self.whole.get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let mut listed = self.whole.list(filter, page).await?;
        match self.wrong {
            Wrong::DropsAPart => {
                let dropped = |id: TaskId| self.whole.part_of(id.shard()) == Some(0);
                listed.tasks.retain(|row| !dropped(row.task.id));
            }
            Wrong::EndsWithOnePart => {
                let first = self.parts[0].list(filter, page).await?;
                listed.next = listed.next.filter(|_| first.next.is_some());
            }
            Wrong::HidesMissing => listed.missing_parts.clear(),
            _ => {}
        }
        Ok(listed)
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        match self.parts.first().filter(|_| self.is(Wrong::CountsOnePart)) {
            Some(part) => part.count(scope).await,
            None => self.whole.count(scope).await,
        }
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.whole.purge(now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.whole.set_queue(queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.whole.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.whole.time().await
    }

    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        self.whole.time_of(part).await
    }

    async fn migrate(&self) -> Result<()> {
        self.whole.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.whole.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.whole.durability()
    }

    fn part_of(&self, shard: Shard) -> Option<usize> {
        self.whole.part_of(shard)
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        self.whole.parts()
    }
}
