//! The store's own connections. One comes back only when it is known to be outside a transaction; any other is closed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use retry_core::store::{StoreError, StoreErrorKind};
use sqlx::{Connection as _, PgConnection};
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
    /// Rounds of [`Pool::close_resting`] since it was used.
    rounds: u32,
}

/// The time between two rounds. A connection that has rested for one is asked whether it works, where that matters: a server
/// that was restarted, say, takes longer than this.
const ROUND: Duration = Duration::from_secs(1);

/// How long a connection that is asked may take to answer, before another one is opened.
const ANSWER: Duration = Duration::from_secs(2);

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

    /// Whether more than half of the connections are free: then it does no harm to lend one to a caller that may not look after it
    /// for a while.
    pub(crate) fn is_roomy(&self) -> bool {
        let free = self.permits.available_permits();
        free > 1 && free * 2 > self.size
    }

    /// Lends a connection, waiting for one if all are in use; one that has rested is `asked` first whether it works.
    pub(crate) async fn acquire(self: &Arc<Self>, asked: bool) -> Outcome<Lease> {
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let Ok(Ok(permit)) = wait::within(self.acquire_timeout, waiting).await else {
            let message = format!(
                "all {} connections were in use for {:?}; raise `max_connections`, or send fewer calls at once",
                self.size, self.acquire_timeout
            );
            return Err(StoreError::rejected(StoreErrorKind::Busy, message).into());
        };
        let mut idle = self.idle().pop();
        if let Some(resting) = idle.as_mut().filter(|resting| asked && resting.rounds > 0) {
            let answer = wait::within(ANSWER, resting.conn.ping()).await;
            if !matches!(answer, Ok(Ok(()))) {
                idle = None;
                self.close_all();
            }
        }
        let generation = self.generation.load(Ordering::Acquire);
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

    /// Counts a round, and closes the connections that nobody used for `most` of them.
    fn close_resting(&self, most: u32) {
        let mut closed = Vec::new();
        let mut idle = self.idle();
        for resting in std::mem::take(&mut *idle) {
            let rounds = resting.rounds + 1;
            if rounds <= most {
                idle.push(Resting { rounds, ..resting });
            } else {
                closed.push(resting);
            }
        }
        drop(idle);
    }

    /// Closes connections that rest for `span`, as long as the pool is there: what lies between may have forgotten them
    /// without a word, and then a call on one of them would wait for its whole timeout.
    pub(crate) fn close_resting_for(self: &Arc<Self>, span: Duration) {
        let pool = Arc::downgrade(self);
        let most = u32::try_from(span.as_secs() / ROUND.as_secs()).unwrap_or(u32::MAX - 1);
        tokio::spawn(async move {
            loop {
                wait::pause(ROUND).await;
                match pool.upgrade() {
                    Some(pool) => pool.close_resting(most),
                    None => return,
                }
            }
        });
    }

    /// Closes all idle connections, and those in use when they come back.
    fn close_all(&self) {
        let closed = {
            let mut idle = self.idle();
            self.generation.fetch_add(1, Ordering::AcqRel);
            std::mem::take(&mut *idle)
        };
        drop(closed);
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
            idle.push(Resting { conn, rounds: 0 });
        }
    }

    /// Closes a broken connection and with it all that were opened before it.
    pub(crate) fn broken(self) {
        self.pool.close_all();
    }
}
