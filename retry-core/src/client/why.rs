//! Why a task is not running: reads what the store knows and lets the pure function decide.

use std::pin::pin;

use futures_util::future::{Either, join_all, select};

use super::{Client, Result};
use crate::clock::Clock as _;
use crate::id::TaskId;
use crate::limits::PART_CALL_LIMIT;
use crate::store::{StoreError, StoreErrorKind, TaskStore};
use crate::why::{self, Reason, Why};

impl<S: TaskStore + ?Sized> Client<S> {
    /// Why a task is not running, as far as its store knows; for one that runs, who runs it.
    ///
    /// Reads the record, the sessions and the queues; writes nothing. A store that does not answer now is itself the
    /// reason ([`Reason::NoAnswer`]), and so is a silent part of a sharded store when no other part has the task.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// # use task_retry::{client::Client, draft::Draft, payload::Payload, store::MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(MemoryStore::new());
    /// let id = client.enqueue(Draft::raw("report", Payload::null())).await?.id;
    /// let why = client.why(id).await?;
    /// assert!(why.to_string().contains("there is no live worker at all"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store failed in a way that no later call mends: its data or its schema cannot be read.
    pub async fn why(&self, id: TaskId) -> Result<Why> {
        let parts = self.store.parts();
        if parts.is_empty() {
            return Ok(match self.asked(&*self.store, id).await? {
                Ok(why) => why,
                Err(silence) => self.silent(id, None, silence),
            });
        }
        // The part that keeps its slot, then all others at once: it may have been stored before there were as many.
        let home = self.store.part_of(id.shard()).unwrap_or(0);
        let (first, others): (Vec<_>, Vec<_>) = (0..parts.len()).partition(|part| *part == home);
        let mut silent = None;
        for asked in [first, others] {
            let asks = asked.iter().map(|number| self.asked(parts[*number].as_ref(), id));
            for (number, answer) in asked.iter().zip(join_all(asks).await) {
                match answer? {
                    Ok(why) if matches!(why.reason, Reason::Missing) => {}
                    Ok(why) => return Ok(why),
                    Err(silence) => {
                        silent.get_or_insert((*number, silence));
                    }
                }
            }
        }
        Ok(match silent {
            Some((number, silence)) => self.silent(id, Some(number), silence),
            None => self.because(id, Reason::Missing),
        })
    }

    fn silent(&self, id: TaskId, part: Option<usize>, (asked, error): Silence) -> Why {
        self.because(id, Reason::NoAnswer { asked, part, error })
    }

    fn because(&self, id: TaskId, reason: Reason) -> Why {
        Why::new(id, self.shared.clock(id.shard()).now(), reason)
    }

    /// Asks one part, for no longer than [`PART_CALL_LIMIT`] in all. The outer error is one that no later call mends.
    async fn asked<P: TaskStore + ?Sized>(
        &self,
        part: &P,
        id: TaskId,
    ) -> Result<std::result::Result<Why, Silence>, StoreError> {
        let clock = self.shared.clock(id.shard());
        let over = clock.sleep_until(clock.monotonic() + PART_CALL_LIMIT);
        let answer = match select(pin!(ask(part, id)), over).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => {
                let message = format!("no answer within {PART_CALL_LIMIT:?}");
                let error = StoreError::rejected(StoreErrorKind::Unavailable, message);
                Err(("the task and its queue", error))
            }
        };
        match answer {
            Err((_, error)) if !error.is_retryable() => Err(error),
            answer => Ok(answer),
        }
    }
}

/// What a store was asked for, and its excuse.
type Silence = (&'static str, StoreError);

async fn ask<S: TaskStore + ?Sized>(store: &S, id: TaskId) -> std::result::Result<Why, Silence> {
    let silent = |asked: &'static str| move |error: StoreError| (asked, error);
    let detail = store.get(id).await.map_err(silent("the task"))?;
    let now = store.time().await.map_err(silent("the time"))?;
    let Some(detail) = detail else {
        return Ok(Why::new(id, now, Reason::Missing));
    };
    let sessions = store.sessions().await.map_err(silent("its workers' sessions"))?;
    let queues = store.queues().await.map_err(silent("its queues"))?;
    let queue = queues.iter().find(|queue| queue.queue == detail.task.queue);
    let reason = why::reason(&detail, &sessions, queue, now);
    Ok(Why::new(id, now, reason))
}
