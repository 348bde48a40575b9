//! A store that fails on demand: before the write, after it, by silence, by panic, by refusing an edit.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock as _, ManualClock};
use crate::id::{SessionId, TaskId};
use crate::name::Queue;
use crate::store::{
    BadRecord, Cause, ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest,
    Inserted, Listed, MemoryStore, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo,
    StoreError, StoreErrorKind, TaskFilter, TaskStore, Wakeups,
};
use crate::task::{Edit, NewTask, Task, TaskDetail};
use crate::time::Timestamp;

/// The calls of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    Insert,
    Exchange,
    Open,
    Renew,
    Close,
    Sessions,
    Expired,
    Get,
    List,
    Count,
    Purge,
    SetQueue,
    Time,
}

/// What goes wrong in one call.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing is written, and the caller knows.
    Rejected(StoreErrorKind),
    /// Nothing is written, but the caller cannot know.
    Lost,
    /// It is written, but the caller cannot know.
    Answerless,
    /// It is written; the answer comes when the gate opens.
    HoldAnswer(CancellationToken),
    /// It reaches the store when the gate opens.
    HoldCall(CancellationToken),
    /// The driver panics before anything is written.
    Panic,
}

type Refuses = Box<dyn Fn(&Edit) -> bool + Send>;

#[derive(Default)]
struct Faults {
    planned: BTreeMap<Op, VecDeque<Option<Fault>>>,
    always: BTreeMap<Op, Fault>,
    all: Option<Fault>,
    refuses: Option<Refuses>,
    calls: BTreeMap<Op, usize>,
    batches: Vec<usize>,
    exchanges: Vec<(usize, usize)>,
    deaf: bool,
    passed_over: usize,
    parts: Vec<Arc<dyn TaskStore>>,
    durability: Option<Durability>,
    untried: usize,
    unreadable: Vec<TaskId>,
    lacks: Vec<usize>,
    outdated: Option<(Task, Cause)>,
    walks: Option<(ManualClock, [Duration; 2])>,
    sweeps: usize,
    counts_rarely: bool,
    held_keys: Option<HeldKeys>,
}

/// Unique keys in somebody else's open transaction: who inserts one waits for so long, in vain.
#[derive(Clone)]
struct HeldKeys {
    clock: ManualClock,
    wait: Duration,
    keys: Vec<String>,
}

/// One worker's way to the shared store. It counts calls and keeps what was claimed and inserted.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    pub(crate) inner: MemoryStore,
    faults: Arc<Mutex<Faults>>,
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

fn unknown() -> StoreError {
    StoreError::unknown(StoreErrorKind::Unavailable, "no answer")
}

impl FaultyStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        let faults = Arc::default();
        Self { inner, faults }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next `times` calls of `op` go wrong.
    pub(crate) fn plan(&self, op: Op, fault: &Fault, times: usize) {
        self.plan_after(op, 0, fault, times);
    }

    /// The `times` calls of `op` after `good` more ones go wrong.
    pub(crate) fn plan_after(&self, op: Op, good: usize, fault: &Fault, times: usize) {
        let mut faults = self.faults();
        let planned = faults.planned.entry(op).or_default();
        planned.extend(std::iter::repeat_n(None, good));
        planned.extend(std::iter::repeat_n(Some(fault.clone()), times));
    }

    /// Every call of `op` goes wrong from now on, or none any more.
    pub(crate) fn always(&self, op: Op, fault: Option<Fault>) {
        let mut faults = self.faults();
        match fault {
            Some(fault) => faults.always.insert(op, fault),
            None => faults.always.remove(&op),
        };
    }

    /// So many of the rows that a purge looks at are locked by others.
    pub(crate) fn pass_over(&self, rows: usize) {
        self.faults().passed_over = rows;
    }

    /// Every call goes wrong from now on, or none any more.
    pub(crate) fn all(&self, fault: Option<Fault>) {
        self.faults().all = fault;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        let mut faults = self.faults();
        faults.planned.clear();
        faults.always.clear();
        faults.all = None;
    }

    /// Refuses an exchange that carries such an edit, for good.
    pub(crate) fn refuse(&self, refuses: impl Fn(&Edit) -> bool + Send + 'static) {
        self.faults().refuses = Some(Box::new(refuses));
    }

    /// From now on a claim takes `sweep` if it starts behind no mark, and `behind` if it starts behind one.
    pub(crate) fn claims_take(&self, clock: &ManualClock, sweep: Duration, behind: Duration) {
        self.faults().walks = Some((clock.clone(), [sweep, behind]));
    }

    /// Only every third renewal comes with a count.
    pub(crate) fn count_rarely(&self) {
        self.faults().counts_rarely = true;
    }

    /// From now on these keys are in an open transaction: a call that inserts one waits, and is then refused as a whole.
    pub(crate) fn hold_keys(&self, clock: &ManualClock, wait: Duration, keys: &[&str]) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let clock = clock.clone();
        self.faults().held_keys = Some(HeldKeys { clock, wait, keys });
    }

    /// That transaction has ended without a trace.
    pub(crate) fn free_keys(&self) {
        self.faults().held_keys = None;
    }

    async fn wait_for_keys(&self, inserted: impl Iterator<Item = &NewTask> + Send) -> Result<()> {
        let wait = {
            let faults = self.faults();
            let Some(HeldKeys { clock, wait, keys }) = &faults.held_keys else {
                return Ok(());
            };
            let mut taken = inserted.filter_map(|new| new.unique.as_ref());
            if !taken.any(|unique| keys.iter().any(|key| key == unique.key.as_str())) {
                return Ok(());
            }
            clock.sleep_until(clock.monotonic() + *wait)
        };
        wait.await;
        Err(StoreError::rejected(
            StoreErrorKind::Busy,
            "waited for a lock in vain",
        ))
    }

    /// How many claims started behind no mark since sweeps are slow.
    pub(crate) fn sweeps(&self) -> usize {
        self.faults().sweeps
    }

    /// The walk of a claim over what it cannot see.
    async fn walk(&self, claims: &[ClaimRequest]) {
        let walk = {
            let mut faults = self.faults();
            let Some((clock, [sweep, behind])) = faults.walks.clone().filter(|_| !claims.is_empty()) else {
                return;
            };
            let sweeps = claims.iter().filter(|claim| claim.after.is_empty()).count();
            faults.sweeps += sweeps;
            let span = if sweeps > 0 { sweep } else { behind };
            clock.sleep_until(clock.monotonic() + span)
        };
        walk.await;
    }

    /// Loses every hint of watchers that begin from now on.
    pub(crate) fn deafen(&self) {
        self.faults().deaf = true;
    }

    /// The next `inserts` that are not refused leave their last task untried, as one of a part that does not answer.
    pub(crate) fn leave_last_untried(&self, inserts: usize) {
        self.faults().untried = inserts;
    }

    fn last_is_untried(&self) -> bool {
        let mut faults = self.faults();
        let left = faults.untried;
        faults.untried = left.saturating_sub(1);
        left > 0
    }

    /// The row cannot be read any more: listings and rounds of expired tasks report it as such.
    pub(crate) fn spoil(&self, id: TaskId) {
        self.faults().unreadable.push(id);
    }

    /// The next round of expired tasks gives this record as well, however it is by then.
    pub(crate) fn give_outdated(&self, task: Task, cause: Cause) {
        self.faults().outdated = Some((task, cause));
    }

    /// Listings lack these parts, as those of a store with parts.
    pub(crate) fn lack(&self, parts: &[usize]) {
        self.faults().lacks = parts.to_vec();
    }

    /// Takes the spoiled rows out of an answer.
    fn take_spoiled<T>(&self, rows: &mut Vec<T>, task: impl Fn(&T) -> &Task) -> Vec<BadRecord> {
        let unreadable = self.faults().unreadable.clone();
        let spoiled = |row: &mut T| unreadable.contains(&task(row).id);
        let report = |row: T| BadRecord {
            id: task(&row).id,
            version: task(&row).version,
            reason: "spoiled".to_owned(),
        };
        rows.extract_if(.., spoiled).map(report).collect()
    }

    /// Declares this durability, whatever the store within does.
    pub(crate) fn declare(&self, durability: Durability) {
        self.faults().durability = Some(durability);
    }

    /// Makes it a sharded store of these members.
    pub(crate) fn shard(&self, parts: Vec<Arc<dyn TaskStore>>) {
        self.faults().parts = parts;
    }

    pub(crate) fn calls(&self, op: Op) -> usize {
        self.faults().calls.get(&op).copied().unwrap_or(0)
    }

    pub(crate) fn all_calls(&self) -> usize {
        self.faults().calls.values().sum()
    }

    /// The sizes of the inserts since the last call.
    pub(crate) fn take_batches(&self) -> Vec<usize> {
        std::mem::take(&mut self.faults().batches)
    }

    /// How many edits and claims each exchange since the last call carried.
    pub(crate) fn take_exchanges(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.faults().exchanges)
    }

    async fn call<T: Send>(&self, op: Op, write: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let fault = {
            let mut faults = self.faults();
            *faults.calls.entry(op).or_default() += 1;
            let planned = faults.planned.get_mut(&op).and_then(VecDeque::pop_front);
            planned
                .flatten()
                .or_else(|| faults.always.get(&op).cloned())
                .or_else(|| faults.all.clone())
        };
        match fault {
            None => write.await,
            Some(Fault::Rejected(kind)) => Err(StoreError::rejected(kind, "refused")),
            Some(Fault::Lost) => Err(unknown()),
            Some(Fault::Answerless) => {
                write.await?;
                Err(unknown())
            }
            Some(Fault::HoldAnswer(gate)) => {
                let answer = write.await;
                gate.cancelled().await;
                answer
            }
            Some(Fault::HoldCall(gate)) => {
                gate.cancelled().await;
                write.await
            }
            Some(Fault::Panic) => panic!("the driver panics"),
        }
    }
}

#[async_trait]
impl TaskStore for FaultyStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        self.faults().batches.push(tasks.len());
        self.wait_for_keys(tasks.iter()).await?;
        self.call(Op::Insert, async {
            if !self.last_is_untried() {
                return self.inner.insert(tasks, now).await;
            }
            let tried = tasks.split_last().map_or(tasks, |(_, tried)| tried);
            let mut answers = self.inner.insert(tried, now).await?;
            answers.push(Inserted::NotTried);
            Ok(answers)
        })
        .await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let refused = {
            let mut faults = self.faults();
            faults.exchanges.push((edits.len(), claims.len()));
            faults
                .refuses
                .as_ref()
                .is_some_and(|refuses| edits.iter().any(refuses))
        };
        self.walk(claims).await;
        self.wait_for_keys(edits.iter().flat_map(|edit| &edit.insert))
            .await?;
        self.call(Op::Exchange, async {
            match refused {
                true => Err(StoreError::invalid("refused for good")),
                false => self.inner.exchange(edits, claims, now).await,
            }
        })
        .await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.call(Op::Open, self.inner.open_session(info, until, now))
            .await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        let renewed = self
            .call(Op::Renew, self.inner.renew(session, until, now))
            .await?;
        let uncounted = self.faults().counts_rarely && !self.calls(Op::Renew).is_multiple_of(3);
        Ok(match renewed {
            Renewed::Live { cancel, .. } if uncounted => Renewed::Uncounted { cancel },
            renewed => renewed,
        })
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.call(Op::Close, self.inner.close_session(session)).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.call(Op::Sessions, self.inner.sessions()).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let mut expired = self.call(Op::Expired, self.inner.expired(request, now)).await?;
        let bad = self.take_spoiled(&mut expired.items, |(task, _)| task);
        expired.bad.extend(bad);
        expired.items.extend(self.faults().outdated.take());
        Ok(expired)
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.call(Op::Get, self.inner.get(id)).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let mut listed = self.call(Op::List, self.inner.list(filter, page)).await?;
        let bad = self.take_spoiled(&mut listed.tasks, |row| &row.task);
        listed.bad.extend(bad);
        listed.missing_parts.clone_from(&self.faults().lacks);
        Ok(listed)
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.call(Op::Count, self.inner.count(scope)).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        let limit = limit.saturating_sub(self.faults().passed_over);
        self.call(Op::Purge, self.inner.purge(now, limit)).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.call(Op::SetQueue, self.inner.set_queue(queue, setting))
            .await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.inner.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.call(Op::Time, self.inner.time()).await
    }

    async fn migrate(&self) -> Result<()> {
        self.inner.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        if self.faults().deaf {
            return Wakeups::never();
        }
        self.inner.watch(queues)
    }

    fn durability(&self) -> Durability {
        let declared = self.faults().durability;
        declared.unwrap_or_else(|| self.inner.durability())
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        self.faults().parts.clone()
    }
}
