//! One call of the store as a transaction: it runs to its end, so that a dropped caller leaves nothing open; tried again
//! when it was surely rolled back; bounded in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use retry_core::seams::Random;
use retry_core::store::{Result, StoreError, StoreErrorKind, apart, here};
use sqlx::{PgConnection, SqlStr};

use crate::effects::Effects;
use crate::error::{During, Fault, Outcome, store_error};
use crate::pool::{Lease, Pool};
use crate::queries::Queries;
use crate::tx::Tx;
use crate::wait;

/// How often a transaction is tried that other transactions were in the way of.
const TRIES: u32 = 6;

/// The same after a wait for a lock that was in vain: it was long enough, and whoever holds the lock may hold it for longer.
const TRIES_FOR_A_LOCK: u32 = 2;

/// The pause before the second try, at most; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// How a call uses the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One statement that is its own transaction.
    Write,
    /// Statements that write nothing, each with a snapshot of its own.
    Read,
    /// A transaction.
    Transaction,
}

/// What a call needs to run.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) queries: Arc<Queries>,
    pub(crate) random: Arc<dyn Random>,
    /// The server and the schema, as messages name them.
    pub(crate) place: Arc<str>,
    /// Begins a transaction.
    pub(crate) begin: SqlStr,
    /// Connections are shared between transactions by a pooler: no prepared statements, and everything in a transaction.
    pub(crate) pooler: bool,
    /// A call takes this long at most.
    pub(crate) limit: Duration,
}

/// Work that may be done several times, of which one is committed.
pub(crate) trait Work<T>:
    for<'a, 'c> Fn(&'a mut Tx<'c>) -> BoxFuture<'a, Outcome<T>> + Send + Sync + 'static
{
}

impl<T, F> Work<T> for F where
    F: for<'a, 'c> Fn(&'a mut Tx<'c>) -> BoxFuture<'a, Outcome<T>> + Send + Sync + 'static
{
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Calls {
    /// Does the work on a connection of `pool` and answers its effects beside its result.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        pool: &Arc<Pool>,
        form: Form,
        work: impl Work<T>,
    ) -> Result<(T, Effects)> {
        let (calls, pool) = (self.clone(), Arc::clone(pool));
        let form = if self.pooler { Form::Transaction } else { form };
        let is_roomy = pool.is_roomy();
        let running = async move { calls.tries(&pool, form, &work).await };
        if form == Form::Write && is_roomy {
            return here(running).await;
        }
        apart(running).await.unwrap_or_else(|| {
            Err(StoreError::unknown(
                StoreErrorKind::Unavailable,
                format!("{}: the runtime shut down during the call", self.place),
            ))
        })
    }

    async fn tries<T>(&self, pool: &Arc<Pool>, form: Form, work: &impl Work<T>) -> Result<(T, Effects)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (during, fault, reused) = match self.once(pool, form, tries > 1, work).await {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let sure = during == During::Before;
            let rolled_back = fault.is_conflict();
            // The server may have closed an idle connection long ago.
            let stale = sure && reused && fault.breaks_connection();
            let most = if fault.is_lock_timeout() {
                TRIES_FOR_A_LOCK
            } else {
                TRIES
            };
            if tries >= most || !(rolled_back || stale) {
                return Err(store_error(fault, during, &self.place));
            }
            if rolled_back {
                wait::pause(self.backoff(tries)).await;
            }
        }
    }

    /// A random part of the span that belongs to this try.
    fn backoff(&self, tries: u32) -> Duration {
        let span = FIRST_PAUSE.saturating_mul(1 << tries.min(TRIES));
        let share = u32::try_from(self.random.next_u64() % 1_000).unwrap_or(0);
        span.saturating_mul(share) / 1_000
    }

    async fn once<T>(
        &self,
        pool: &Arc<Pool>,
        form: Form,
        is_again: bool,
        work: &impl Work<T>,
    ) -> std::result::Result<(T, Effects), (During, Fault, bool)> {
        // Whatever fails in a statement that commits by itself is of unknown outcome: it goes out on a connection that works.
        let asked = form == Form::Write;
        let mut lease = pool
            .acquire(asked)
            .await
            .map_err(|fault| (During::Before, fault, false))?;
        let mut during = match form {
            Form::Write => During::Commit,
            Form::Read | Form::Transaction => During::Before,
        };
        let done = wait::within(
            self.limit,
            self.transact(&mut lease.conn, form, is_again, work, &mut during),
        )
        .await;
        match done {
            Ok(Ok(done)) => {
                lease.put_back();
                Ok(done)
            }
            Ok(Err(fault)) => {
                let reused = lease.reused;
                self.give_up(lease, form, &fault).await;
                Err((during, fault, reused))
            }
            Err(wait::Elapsed) => {
                lease.broken();
                let message = format!("{}: no answer within {:?}", self.place, self.limit);
                let error = if during == During::Commit {
                    StoreError::unknown(StoreErrorKind::Unavailable, message)
                } else {
                    StoreError::rejected(StoreErrorKind::Unavailable, message)
                };
                Err((during, error.into(), false))
            }
        }
    }

    async fn transact<T>(
        &self,
        conn: &mut PgConnection,
        form: Form,
        is_again: bool,
        work: &impl Work<T>,
        during: &mut During,
    ) -> Outcome<(T, Effects)> {
        if form == Form::Transaction {
            sqlx::raw_sql(self.begin.clone()).execute(&mut *conn).await?;
        }
        let mut tx = Tx::new(&mut *conn, Arc::clone(&self.queries), !self.pooler);
        tx.is_again = is_again;
        let answer = work(&mut tx).await?;
        let effects = std::mem::take(&mut tx.effects);
        if form == Form::Transaction {
            *during = During::Commit;
            sqlx::raw_sql("COMMIT").execute(&mut *conn).await?;
        }
        Ok((answer, effects))
    }

    /// Ends the transaction of a failed call, if the connection still can.
    async fn give_up(&self, mut lease: Lease, form: Form, fault: &Fault) {
        if fault.breaks_connection() {
            lease.broken();
            return;
        }
        if form != Form::Transaction {
            lease.put_back();
            return;
        }
        let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut lease.conn);
        match wait::within(self.limit, rollback).await {
            Ok(Ok(_)) => lease.put_back(),
            Ok(Err(_)) | Err(wait::Elapsed) => lease.broken(),
        }
    }
}
