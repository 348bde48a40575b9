//! Concurrent single enqueues share one insert.
//!
//! Natural batching: the first task is sent at once; what arrives while a call is under way goes together in the next.
//! Nobody ever waits for a group to fill, but a group lets those run first that could join it: without that, the callers
//! that a group answered would come just too late for the next one, and every other group would carry a single task.
//!
//! A caller that finds nothing under way sends its own task itself, which spares the way to the background and back.
//! Groups are sent in the background, so a caller that goes away, or is not polled, takes nobody with it. A group that the
//! store refuses for good is sent again one by one, so that one task's error is its own.
//!
//! Tasks with a unique key are grouped apart from the others: somebody's open transaction may hold the key of one, and the
//! store waits for its end. A group that waited in vain is sent again in the background, key by key.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::{Semaphore, oneshot};

use super::enqueue::only;
use super::insert;
use crate::clock::SyncedClock;
use crate::meters::Meters;
use crate::seams::Spawn;
use crate::store::{Inserted, Result, StoreError, StoreErrorKind, TaskStore};
use crate::task::NewTask;

/// Tasks that one shared insert carries at most: beyond it the gain per task is small and a slow call delays many.
const MAX_GROUP: usize = 256;
/// Bytes that one shared insert carries at most, for the same reason.
const MAX_GROUP_BYTES: usize = 1024 * 1024;

/// How many keys of a group are sent again at the same time: each may wait for a lock, and hold a connection as long.
const AT_ONCE: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Coalescer {
    plain: Lane,
    keyed: Lane,
}

#[derive(Debug, Clone)]
struct Lane(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn TaskStore>,
    clock: Arc<SyncedClock>,
    spawn: Arc<dyn Spawn>,
    meters: Arc<Meters>,
    queue: Mutex<Queue>,
    /// Of calls that are sent again because of a key, of all groups.
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Groups are being sent.
    sending: bool,
    /// A caller sends its own task.
    alone: bool,
}

#[derive(Debug)]
struct Waiting {
    task: NewTask,
    reply: Reply,
}

/// How a caller hears what became of its task.
type Reply = oneshot::Sender<Result<Inserted>>;

impl Coalescer {
    pub(super) fn new(
        store: Arc<dyn TaskStore>,
        clock: Arc<SyncedClock>,
        spawn: Arc<dyn Spawn>,
        meters: Arc<Meters>,
    ) -> Self {
        let lane = || {
            Lane(Arc::new(Inner {
                store: Arc::clone(&store),
                clock: Arc::clone(&clock),
                spawn: Arc::clone(&spawn),
                meters: Arc::clone(&meters),
                queue: Mutex::default(),
                turns: Semaphore::new(AT_ONCE),
            }))
        };
        Self {
            plain: lane(),
            keyed: lane(),
        }
    }

    pub(super) async fn insert(&self, task: NewTask) -> Result<Inserted> {
        match task.unique {
            None => self.plain.insert(task).await,
            Some(_) => self.keyed.insert(task).await,
        }
    }
}

impl Lane {
    async fn insert(&self, task: NewTask) -> Result<Inserted> {
        let answer = {
            let mut queue = self.0.queue();
            if queue.sending || queue.alone {
                let (reply, answer) = oneshot::channel();
                queue.waiting.push_back(Waiting { task, reply });
                Ok((answer, !std::mem::replace(&mut queue.sending, true)))
            } else {
                queue.alone = true;
                Err((task, Alone(&self.0)))
            }
        };
        match answer {
            Ok((answer, start)) => {
                if start {
                    self.start();
                }
                answer.await.unwrap_or_else(|_| Err(lost()))
            }
            Err((task, alone)) => alone.send(task).await,
        }
    }

    fn start(&self) {
        let sending = Sending {
            inner: Arc::clone(&self.0),
            ended: false,
        };
        self.0.spawn.spawn(Box::pin(sending.run()));
    }
}

/// Tasks, and who waits for each.
fn apart(group: Vec<Waiting>) -> (Vec<NewTask>, Vec<Reply>) {
    let pairs = group.into_iter().map(|Waiting { task, reply }| (task, reply));
    pairs.unzip()
}

/// A caller that went away needs no answer.
fn answer(replies: Vec<Reply>, inserted: Vec<Inserted>) {
    for (reply, inserted) in replies.into_iter().zip(inserted) {
        let _ = reply.send(Ok(inserted));
    }
}

fn refuse(replies: Vec<Reply>, error: &StoreError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}

/// Whether tasks have keys, and not all the same.
fn has_other_keys(tasks: &[NewTask]) -> bool {
    let key = |task: &NewTask| Some((task.kind.clone(), task.unique.as_ref()?.key.clone()));
    let first = tasks.first().and_then(key);
    first.is_some() && tasks.iter().any(|task| key(task) != first)
}

fn lost() -> StoreError {
    StoreError::unknown(
        StoreErrorKind::Other,
        "the driver panicked, or the runtime stopped, while the task was being sent",
    )
}

/// The turn of a caller that sends its own task; over when dropped.
struct Alone<'i>(&'i Inner);

impl Alone<'_> {
    async fn send(self, task: NewTask) -> Result<Inserted> {
        let call = AssertUnwindSafe(self.0.insert(std::slice::from_ref(&task))).catch_unwind();
        call.await.unwrap_or_else(|_| Err(lost())).and_then(only)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.queue().alone = false;
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next group; none ends the sending, in one step with the look at the queue, so that nobody is left behind.
    fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        let mut bytes = 0;
        let fits = queue.waiting.iter().take(MAX_GROUP).take_while(|waiting| {
            bytes += waiting.task.bytes();
            bytes <= MAX_GROUP_BYTES
        });
        // A single task larger than a group's bound goes alone.
        let n = fits.count().max(1).min(queue.waiting.len());
        queue.sending = n > 0;
        (n > 0).then(|| queue.waiting.drain(..n).collect())
    }

    async fn send(self: &Arc<Self>, group: Vec<Waiting>) {
        let (tasks, replies) = apart(group);
        match self.insert(&tasks).await {
            Ok(inserted) => answer(replies, inserted),
            // It may be one key that somebody holds. Groups are of one sort.
            Err(error) if error.is_contention() && has_other_keys(&tasks) => {
                self.spawn
                    .spawn(Box::pin(Arc::clone(self).send_by_key(tasks, replies)));
            }
            Err(error) => self.refused(&tasks, replies, &error).await,
        }
    }

    /// What is refused for good may be one task's fault. A store that is busy or full would be so for each.
    async fn refused(&self, tasks: &[NewTask], replies: Vec<Reply>, error: &StoreError) {
        if tasks.len() == 1 || error.kind() != StoreErrorKind::Invalid {
            return refuse(replies, error);
        }
        for (task, reply) in tasks.iter().zip(replies) {
            let answer = self.insert(std::slice::from_ref(task)).await;
            let _ = reply.send(answer.and_then(only));
        }
    }

    /// Sends the tasks of a group again, those under the same key together, a few keys at a time; other groups go on meanwhile.
    async fn send_by_key(self: Arc<Self>, tasks: Vec<NewTask>, replies: Vec<Reply>) {
        let mut by_key: BTreeMap<_, Vec<Waiting>> = BTreeMap::new();
        for (task, reply) in tasks.into_iter().zip(replies) {
            let key = task.unique.as_ref().map(|unique| unique.key.clone());
            let key = (task.kind.clone(), key);
            by_key.entry(key).or_default().push(Waiting { task, reply });
        }
        let sent: Vec<_> = by_key.into_values().map(|alike| self.send_again(alike)).collect();
        stream::iter(sent).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn send_again(&self, alike: Vec<Waiting>) {
        let _turn = self.turns.acquire().await;
        let (tasks, replies) = apart(alike);
        match self.insert(&tasks).await {
            Ok(inserted) => answer(replies, inserted),
            Err(error) => self.refused(&tasks, replies, &error).await,
        }
    }

    async fn insert(&self, tasks: &[NewTask]) -> Result<Vec<Inserted>> {
        let inserted = insert(self.store.as_ref(), self.clock.as_ref(), tasks).await?;
        self.meters.enqueued(tasks, &inserted);
        Ok(inserted)
    }
}

/// The future that sends for all. When it does not come to its end, because its runtime stopped or the driver
/// panicked, those who wait get an error and the next one starts another.
struct Sending {
    inner: Arc<Inner>,
    ended: bool,
}

impl Sending {
    async fn run(mut self) {
        loop {
            // Whoever can run now, such as the callers just answered, may join the group.
            tokio::task::yield_now().await;
            let Some(group) = self.inner.next_group() else {
                break;
            };
            self.inner.send(group).await;
        }
        self.ended = true;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.ended {
            let mut queue = self.inner.queue();
            queue.sending = false;
            let waiting = std::mem::take(&mut queue.waiting);
            drop(queue);
            drop(waiting);
        }
    }
}
