//! The store's own connections. One comes back only when it is known to be outside a transaction; any other is closed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use retry_core::store::{StoreError, StoreErrorKind};
use sqlx::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connect::Connector;
use crate::error::Outcome;
use crate::queries::Queries;
use crate::wait;

/// A bounded set of connections, opened when they are needed.
#[derive(Debug)]
pub(crate) struct Pool {
    connector: Connector,
    queries: Arc<Queries>,
    permits: Arc<Semaphore>,
    /// The one that was used last comes first, so that those too many are the ones that rest.
    idle: Mutex<Vec<Resting>>,
    /// Raised when a connection breaks: those opened before are probably broken as well.
    generation: AtomicU64,
    acquire_timeout: Duration,
    size: usize,
}

/// An idle connection.
#[derive(Debug)]
struct Resting {
    conn: PgConnection,
    /// It was used since the last round of [`Pool::close_resting`].
    is_fresh: bool,
}

/// A connection on loan. Dropped without [`put_back`](Self::put_back) it is closed, and the server rolls back.
pub(crate) struct Lease {
    pub(crate) conn: PgConnection,
    /// It was used before, so that the server may have closed it meanwhile.
    pub(crate) reused: bool,
    generation: u64,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(
        connector: Connector,
        queries: Arc<Queries>,
        size: usize,
        acquire_timeout: Duration,
    ) -> Self {
        Self {
            connector,
            queries,
            permits: Arc::new(Semaphore::new(size)),
            idle: Mutex::new(Vec::new()),
            generation: AtomicU64::new(0),
            acquire_timeout,
            size,
        }
    }

    /// Lends a connection, waiting for one if all are in use.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Outcome<Lease> {
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let Ok(Ok(permit)) = wait::within(self.acquire_timeout, waiting).await else {
            let message = format!(
                "all {} connections were in use for {:?}; raise `max_connections`, or send fewer calls at once",
                self.size, self.acquire_timeout
            );
            return Err(StoreError::rejected(StoreErrorKind::Busy, message).into());
        };
        let generation = self.generation.load(Ordering::Acquire);
        let idle = self.idle().pop();
        let reused = idle.is_some();
        let conn = match idle {
            Some(resting) => resting.conn,
            None => self.connector.open(&self.queries).await?,
        };
        Ok(Lease {
            conn,
            reused,
            generation,
            pool: Arc::clone(self),
            _permit: permit,
        })
    }

    /// Closes the connections that nobody used since the last call.
    fn close_resting(&self) {
        let mut closed = Vec::new();
        let mut idle = self.idle();
        for resting in std::mem::take(&mut *idle) {
            if resting.is_fresh {
                idle.push(Resting {
                    is_fresh: false,
                    ..resting
                });
            } else {
                closed.push(resting);
            }
        }
        drop(idle);
    }

    /// Closes connections that rest for long, as long as the pool is there: what lies between may have forgotten them
    /// without a word, and then a call on one of them would wait for its whole timeout.
    pub(crate) fn close_resting_for(self: &Arc<Self>, span: Duration) {
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                wait::pause(span).await;
                match pool.upgrade() {
                    Some(pool) => pool.close_resting(),
                    None => return,
                }
            }
        });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Gives back a connection that is outside a transaction.
    pub(crate) fn put_back(self) {
        let Self {
            conn,
            generation,
            pool,
            _permit,
            ..
        } = self;
        let mut idle = pool.idle();
        if pool.generation.load(Ordering::Acquire) == generation {
            idle.push(Resting { conn, is_fresh: true });
        }
    }

    /// Closes a broken connection and with it all that were opened before it.
    pub(crate) fn broken(self) {
        let closed = {
            let mut idle = self.pool.idle();
            self.pool.generation.fetch_add(1, Ordering::AcqRel);
            std::mem::take(&mut *idle)
        };
        drop(closed);
    }
}
