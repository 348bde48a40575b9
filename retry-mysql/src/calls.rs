//! How a call travels: on a task of its own, so that a caller who goes away leaves no transaction open and no answer unread; in a
//! transaction that is repeated when it was certainly rolled back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use retry_core::clock::Clock;
use retry_core::seams::Random;
use retry_core::store::{Result, StoreError, StoreErrorKind, apart};

use crate::db::Db;
use crate::effects::Effects;
use crate::error::{During, Fault, Outcome, store_error};
use crate::pool::{Lent, Pool, within};
use crate::store::{Inner, MySqlStore};

/// How often a transaction is tried that others keep rolling back.
const TRIES: u32 = 20;

/// The same after a wait for a lock that was in vain: it was long enough, and whoever holds the lock may hold it for longer. A
/// worker gives a call up after a lease.
const TRIES_FOR_A_LOCK: u32 = 2;

/// The longest pause before the second try; it doubles up to [`LONGEST_PAUSE`], and each is drawn between zero and itself.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// Shorter than anything that waits for the store.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What became of the tries before this one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tried {
    /// How many there were.
    pub(crate) times: u32,
    /// How many waited for a lock until the server gave up.
    pub(crate) in_vain: u32,
}

impl Tried {
    fn count(&mut self, fault: &Fault) {
        self.times += 1;
        self.in_vain += u32::from(fault.waited_in_vain());
    }

    const fn are_over(self) -> bool {
        self.times >= TRIES || self.in_vain >= TRIES_FOR_A_LOCK
    }
}

/// Who commits what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The call, which does it in a transaction.
    Transaction,
    /// The first time the one statement of which it consists. What the server refuses is done again in a transaction: there is more
    /// to do than fits into one statement, or it is refused again, where nothing is written before the commit.
    ByItself,
}

impl Commit {
    fn is_by_itself(self, tried: Tried) -> bool {
        self == Self::ByItself && tried.times == 0
    }
}

/// What is done on a connection; again, if the first time was rolled back.
pub(crate) trait Work<T>:
    for<'c> Fn(Db<'c>, Tried) -> BoxFuture<'c, Outcome<T>> + Send + Sync + 'static
{
}

impl<T, F> Work<T> for F where
    F: for<'c> Fn(Db<'c>, Tried) -> BoxFuture<'c, Outcome<T>> + Send + Sync + 'static
{
}

impl MySqlStore {
    /// Does `work` in a transaction and commits it. `work` is told of the tries before.
    pub(crate) async fn write<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move { transact(&inner, Commit::Transaction, work).await }).await
    }

    /// The same, and tells the workers of this process what became due: also when the caller is gone.
    pub(crate) async fn write_and_wake<T: Send + 'static>(
        &self,
        commit: Commit,
        work: impl Work<(T, Effects)>,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move {
            let (value, effects) = transact(&inner, commit, work).await?;
            inner.told.note(effects.newest);
            effects.woken.iter().for_each(|queue| inner.waker.wake(queue));
            Ok(value)
        })
        .await
    }

    /// Does `work`, which writes nothing, outside of a transaction.
    pub(crate) async fn read<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move { alone(&inner, &inner.readers, During::Call, work).await }).await
    }

    /// Does `work`, of which each statement commits by itself.
    pub(crate) async fn write_at_once<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move { alone(&inner, &inner.readers, During::Commit, work).await }).await
    }

    /// Does `work`, of which each statement commits by itself, on the connection that is kept for renewals.
    pub(crate) async fn renew_with<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move { alone(&inner, &inner.renewer, During::Commit, work).await }).await
    }
}

/// Runs a call to its end, whatever becomes of the caller.
async fn to_its_end<T: Send + 'static>(call: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    apart(call).await.unwrap_or_else(|| {
        Err(StoreError::unknown(
            StoreErrorKind::Unavailable,
            "the runtime is shutting down",
        ))
    })
}

async fn transact<T: Send>(inner: &Inner, commit: Commit, work: impl Work<T>) -> Result<T> {
    let mut tried = Tried::default();
    // A statement that commits by itself failed as if it had been refused. Another refusal tells that it was.
    let mut doubted = false;
    loop {
        let (fault, during, reused) = match attempt(inner, commit, &work, tried).await {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let refused = commit.is_by_itself(tried) && during == During::Commit && fault.is_refusal();
        let is_final = fault.is_refusal() && !fault.may_repeat();
        let confirmed = is_final && during == During::Call;
        doubted |= refused && is_final;
        tried.count(&fault);
        let lost = reused && fault.is_lost_connection() && !matches!(fault, Fault::TimedOut);
        if lost {
            inner.forget_idle();
        }
        let stale = lost && during == During::Call;
        if tried.are_over() || !(stale || refused || fault.may_repeat()) {
            let error = store_error(fault, during, &inner.place);
            return Err(if doubted && !confirmed {
                error.into_unknown()
            } else {
                error
            });
        }
        pause(inner, tried.times).await;
    }
}

/// Why a try failed, when it happened, and whether its connection had been used before.
type Failed = (Fault, During, bool);

/// One try.
async fn attempt<T: Send>(
    inner: &Inner,
    commit: Commit,
    work: &impl Work<T>,
    tried: Tried,
) -> std::result::Result<T, Failed> {
    let mut lent = inner
        .writers
        .take()
        .await
        .map_err(|fault| (fault, During::Connect, false))?;
    let reused = lent.reused;
    let clock = &*inner.config.clock;
    let limit = inner.config.call_timeout;
    if commit.is_by_itself(tried) {
        let db = Db::own(&mut lent.conn, &inner.queries);
        let done = within(clock, limit, work(db, tried)).await;
        let lost = done.as_ref().is_err_and(Fault::is_lost_connection);
        if !lost {
            lent.give_back();
        }
        return done.map_err(|fault| (fault, During::Commit, reused));
    }
    let done = within(clock, limit, async {
        sqlx::raw_sql("START TRANSACTION").execute(&mut lent.conn).await?;
        work(Db::own(&mut lent.conn, &inner.queries), tried).await
    });
    let done = done.await;
    match done {
        Ok(value) => {
            let commit = async { Ok(sqlx::raw_sql("COMMIT").execute(&mut lent.conn).await?) };
            match within(clock, limit, commit).await {
                Ok(_) => {
                    lent.give_back();
                    Ok(value)
                }
                // Dropping the connection ends whatever the server still has open.
                Err(fault) => Err((fault, During::Commit, reused)),
            }
        }
        Err(fault) => {
            roll_back(inner, lent, &fault).await;
            Err((fault, During::Call, reused))
        }
    }
}

/// Ends a failed transaction. After a lock wait or a duplicate only the statement is undone; the rest is undone here.
async fn roll_back(inner: &Inner, mut lent: Lent, fault: &Fault) {
    if fault.is_lost_connection() {
        return;
    }
    let rollback = async { Ok(sqlx::raw_sql("ROLLBACK").execute(&mut lent.conn).await?) };
    if within(&*inner.config.clock, inner.config.call_timeout, rollback)
        .await
        .is_ok()
    {
        lent.give_back();
    }
}

async fn alone<T: Send>(inner: &Inner, pool: &Arc<Pool>, during: During, work: impl Work<T>) -> Result<T> {
    let mut tried = Tried::default();
    loop {
        let lent = pool.take().await;
        let mut lent = lent.map_err(|fault| store_error(fault, During::Connect, &inner.place))?;
        let db = Db::own(&mut lent.conn, &inner.queries);
        let result = within(&*inner.config.clock, inner.config.call_timeout, work(db, tried)).await;
        let fault = match result {
            Ok(value) => {
                lent.give_back();
                return Ok(value);
            }
            Err(fault) => fault,
        };
        tried.count(&fault);
        let stale = during == During::Call && lent.reused && fault.is_lost_connection();
        if stale {
            inner.forget_idle();
        }
        if !fault.is_lost_connection() {
            lent.give_back();
        }
        if tried.are_over() || !(stale || fault.may_repeat()) {
            return Err(store_error(fault, during, &inner.place));
        }
        pause(inner, tried.times).await;
    }
}

/// Lets those in the way pass; the longer, the more often they were.
async fn pause(inner: &Inner, tried: u32) {
    let longest = FIRST_PAUSE
        .saturating_mul(1 << (tried - 1).min(16))
        .min(LONGEST_PAUSE);
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX).max(1);
    let pause = Duration::from_micros(inner.random.next_u64() % micros);
    let clock: &dyn Clock = &*inner.config.clock;
    clock.sleep_until(clock.monotonic() + pause).await;
}
