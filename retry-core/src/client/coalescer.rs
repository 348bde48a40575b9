//! Concurrent single enqueues share one insert.
//!
//! Natural batching: the first task is sent at once; what arrives while a call is under way goes together in the next.
//! Nobody ever waits for a group to fill, but a group lets those run first that could join it: without that, the callers
//! that a group answered would come just too late for the next one, and every other group would carry a single task.
//!
//! A caller that finds nothing under way sends its own task itself, which spares the way to the background and back.
//! Groups are sent in the background, so a caller that goes away, or is not polled, takes nobody with it. A group that the
//! store refuses for good is sent again one by one, so that one task's error is its own.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

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

#[derive(Debug, Clone)]
pub(super) struct Coalescer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn TaskStore>,
    clock: Arc<SyncedClock>,
    spawn: Arc<dyn Spawn>,
    meters: Arc<Meters>,
    queue: Mutex<Queue>,
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
    reply: oneshot::Sender<Result<Inserted>>,
}

impl Coalescer {
    pub(super) fn new(
        store: Arc<dyn TaskStore>,
        clock: Arc<SyncedClock>,
        spawn: Arc<dyn Spawn>,
        meters: Arc<Meters>,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            spawn,
            meters,
            queue: Mutex::default(),
        }))
    }

    pub(super) async fn insert(&self, task: NewTask) -> Result<Inserted> {
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

    async fn send(&self, group: Vec<Waiting>) {
        let (tasks, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|waiting| (waiting.task, waiting.reply))
            .unzip();
        match self.insert(&tasks).await {
            Ok(inserted) => {
                for (reply, inserted) in replies.into_iter().zip(inserted) {
                    // A caller that went away needs no answer.
                    let _ = reply.send(Ok(inserted));
                }
            }
            // What is refused for good may be one task's fault. A store that is busy or full would be so for each.
            Err(error) if tasks.len() > 1 && error.kind() == StoreErrorKind::Invalid => {
                for (task, reply) in tasks.iter().zip(replies) {
                    let answer = self.insert(std::slice::from_ref(task)).await;
                    let _ = reply.send(answer.and_then(only));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
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
