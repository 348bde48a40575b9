//! Why a task is not running: reads what the store knows and lets the pure function decide.

use super::{Client, Result};
use crate::clock::Clock as _;
use crate::id::TaskId;
use crate::store::{StoreError, TaskStore};
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
            return Ok(match asked(&*self.store, id).await? {
                Ok(why) => why,
                Err(silence) => self.silent(id, None, silence),
            });
        }
        let mut silent = None;
        for (number, part) in parts.iter().enumerate() {
            match asked(part.as_ref(), id).await? {
                Ok(why) if matches!(why.reason, Reason::Missing) => {}
                Ok(why) => return Ok(why),
                Err(silence) => {
                    silent.get_or_insert((number, silence));
                }
            }
        }
        Ok(match silent {
            Some((number, silence)) => self.silent(id, Some(number), silence),
            None => Why::new(id, self.shared.clock.now(), Reason::Missing),
        })
    }

    fn silent(&self, id: TaskId, part: Option<usize>, (asked, error): Silence) -> Why {
        let reason = Reason::NoAnswer { asked, part, error };
        Why::new(id, self.shared.clock.now(), reason)
    }
}

/// What a store was asked for, and its excuse.
type Silence = (&'static str, StoreError);

/// Asks one part. The outer error is one that no later call mends.
async fn asked<S: TaskStore + ?Sized>(
    store: &S,
    id: TaskId,
) -> Result<std::result::Result<Why, Silence>, StoreError> {
    match ask(store, id).await {
        Err((_, error)) if !error.is_retryable() => Err(error),
        answer => Ok(answer),
    }
}

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
