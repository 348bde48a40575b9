//! The store's own connections: as many as are allowed at most, each checked before it is used after a pause, and closed instead
//! of given back when anything about it is uncertain. No connection waits here inside a transaction.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use retry_core::clock::{Clock, Monotonic};
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Fault, Outcome};
use crate::queries::Sql;

/// A connection that nobody used for so long is asked for a sign of life first: servers and firewalls close idle ones.
pub(crate) const TRUSTED: Duration = Duration::from_secs(1);

/// Connections of one kind.
pub(crate) struct Pool {
    options: MySqlConnectOptions,
    /// What a new connection is told: isolation, timeouts, modes.
    settings: Sql,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    wait: Duration,
    trusted: Duration,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    conn: MySqlConnection,
    since: Monotonic,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

/// A connection on loan. Dropping it closes it, and with it whatever was open on it.
pub(crate) struct Lent {
    pub(crate) conn: MySqlConnection,
    /// Whether it was used before: then a broken connection says nothing about the server.
    pub(crate) reused: bool,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(
        options: MySqlConnectOptions,
        settings: String,
        clock: Arc<dyn Clock>,
        size: usize,
        wait: Duration,
        trusted: Duration,
    ) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(size));
        Arc::new(Self {
            options,
            settings: Sql::settings(&settings),
            clock,
            permits,
            wait,
            trusted,
            idle: Mutex::default(),
        })
    }

    /// A connection, when one is free.
    pub(crate) async fn take(self: &Arc<Self>) -> Outcome<Lent> {
        within(&*self.clock, self.wait, self.take_when_free()).await
    }

    async fn take_when_free(self: &Arc<Self>) -> Outcome<Lent> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Fault::TimedOut)?;
        while let Some(mut idle) = self.pop() {
            let pause = self.clock.monotonic().saturating_since(idle.since);
            if pause < self.trusted || idle.conn.ping().await.is_ok() {
                return Ok(Lent {
                    conn: idle.conn,
                    reused: true,
                    pool: Arc::clone(self),
                    _permit: permit,
                });
            }
        }
        let conn = self.connect().await?;
        Ok(Lent {
            conn,
            reused: false,
            pool: Arc::clone(self),
            _permit: permit,
        })
    }

    async fn connect(&self) -> Outcome<MySqlConnection> {
        let mut conn = MySqlConnection::connect_with(&self.options).await?;
        sqlx::raw_sql(self.settings.text()).execute(&mut conn).await?;
        Ok(conn)
    }

    fn pop(&self) -> Option<Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Closes the connections that nobody uses: the server they led to is gone.
    pub(crate) fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Lent {
    /// Gives the connection back for others. Only for one that is certainly outside of a transaction, with no answer outstanding.
    pub(crate) fn give_back(self) {
        let Self { conn, pool, .. } = self;
        let since = pool.clock.monotonic();
        pool.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Idle { conn, since });
    }
}

/// Gives a call up after `limit`.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    call: impl Future<Output = Outcome<T>>,
) -> Outcome<T> {
    let deadline = clock.sleep_until(clock.monotonic() + limit);
    match select(std::pin::pin!(call), deadline).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => Err(Fault::TimedOut),
    }
}
