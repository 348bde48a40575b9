//! A crowd of callers on a store whose server fails meanwhile, and an account of what they were answered.
//!
//! Each caller inserts tasks, claims and settles them as a worker's pump does, one call after another, and makes a call that failed
//! again until it is answered. What the [`Account`] says is then compared with what is stored: nothing that was answered is missing,
//! no version of a task was given out twice, what was certainly refused was not done, and the store goes on.

mod account;
mod caller;
mod enqueuer;
mod ledger;
mod tries;

#[cfg(test)]
mod crowd_test;

use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use retry_core::client::Client;
use retry_core::clock::Clock;
use retry_core::store::{Result, StoreError, TaskStore};
use retry_core::time::Timestamp;
use tokio::task::JoinHandle;

pub use self::account::Account;
use self::caller::Caller;
use self::enqueuer::Enqueuer;
use self::ledger::{Ledger, Presence};
use crate::verdict::Verdict;

/// How a caller comes to its store: a handle of its own, or a clone of one.
pub type Open = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn TaskStore>>> + Send + Sync>;

/// Callers come to their stores by `open`.
pub fn opening<F>(open: impl Fn() -> F + Send + Sync + 'static) -> Open
where
    F: Future<Output = Result<Arc<dyn TaskStore>>> + Send + 'static,
{
    Arc::new(move || Box::pin(open()))
}

/// What a crowd does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many callers there are.
    pub callers: usize,
    /// After how many rounds each of them leaves; none: when [`Crowd::leave`] is called.
    pub rounds: Option<usize>,
    /// Which errors a call may end with before it is made again.
    pub allowed: fn(&StoreError) -> bool,
    /// The time of every call.
    pub now: Timestamp,
    /// What the callers draw from.
    pub seed: u64,
    /// Measures how long calls take, and the pauses between their tries.
    pub clock: Arc<dyn Clock>,
}

/// Callers at work.
pub struct Crowd {
    ledger: Arc<Ledger>,
    callers: Vec<JoinHandle<Verdict>>,
}

impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd")
            .field("callers", &self.callers.len())
            .finish_non_exhaustive()
    }
}

impl Crowd {
    /// Lets callers loose that insert, claim and settle, each on the store that `open` gives it.
    #[must_use]
    pub fn start(plan: &Plan, open: &Open) -> Self {
        Self::gather(plan, |number, ledger| {
            Caller::new(plan, number, ledger).live(Arc::clone(open))
        })
    }

    /// Callers that share one store.
    #[must_use]
    pub fn on(plan: &Plan, store: &Arc<dyn TaskStore>) -> Self {
        let store = Arc::clone(store);
        Self::start(plan, &opening(move || std::future::ready(Ok(Arc::clone(&store)))))
    }

    /// Lets callers loose that enqueue through one client and read what they enqueued.
    #[must_use]
    pub fn through(plan: &Plan, client: &Client) -> Self {
        Self::gather(plan, |number, ledger| {
            Enqueuer::new(plan, number, ledger).live(client.clone())
        })
    }

    fn gather<F>(plan: &Plan, caller: impl Fn(usize, Arc<Ledger>) -> F) -> Self
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let ledger = Arc::new(Ledger::default());
        let spawn = |number| {
            let (presence, life) = (Presence::new(&ledger), caller(number, Arc::clone(&ledger)));
            tokio::spawn(async move {
                let _presence = presence;
                life.await
            })
        };
        Self {
            callers: (0..plan.callers).map(spawn).collect(),
            ledger,
        }
    }

    /// Waits until `more` calls were answered from here on, or all callers have ended.
    pub async fn answered(&self, more: u64) {
        self.ledger.answered(more).await;
    }

    /// Waits for the callers, who end after their present calls unless their rounds end before, and gives the account.
    ///
    /// # Errors
    /// What a caller was answered and must not have been.
    pub async fn leave(self) -> Verdict<Account> {
        self.ledger.end();
        self.ended().await
    }

    /// Waits for the callers' last rounds, and gives the account.
    ///
    /// # Errors
    /// As [`leave`](Self::leave).
    pub async fn ended(self) -> Verdict<Account> {
        for ended in join_all(self.callers).await {
            ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        }
        Ok(self.ledger.account())
    }
}
