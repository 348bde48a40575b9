//! The store's own connections: as many as are allowed at most, each checked before it is used after a pause, and closed instead
//! of given back when anything about it is uncertain. No connection waits here inside a transaction.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use retry_core::clock::{Clock, Monotonic};
use retry_core::store::{StoreError, StoreErrorKind};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{Connection as _, Row as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::error::{Fault, Outcome};
use crate::queries::Sql;

/// A connection that nobody used for so long is asked for a sign of life first: servers and firewalls close idle ones.
pub(crate) const TRUSTED: Duration = Duration::from_secs(1);

/// How long it may take to give that sign: much less than a lease, which a connection that a firewall forgot must not cost.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// How long it is believed that a connection's server takes writes. One that only reads sees no error when its server is not the
/// primary any more, so it is this long at most that reads come from there.
const BELIEVED: Duration = Duration::from_mins(1);

/// What tells that a server takes no writes. The second is of servers that share their primary's storage.
const IS_READ_ONLY: &str = "SELECT CONCAT(@@GLOBAL.read_only), CONCAT(@@GLOBAL.innodb_read_only)";

/// What the connections of a pool are for, and how many there are at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) size: usize,
    pub(crate) purpose: &'static str,
    /// What makes more of them, if anything does.
    pub(crate) option: Option<&'static str>,
}

impl Bound {
    pub(crate) const ONE_FOR_RENEWALS: Self = Self {
        size: 1,
        purpose: "renewing",
        option: None,
    };

    /// All are in use, and were for as long as a call waits for one. The server may answer well.
    fn exceeded(self, waited: Duration, place: &str) -> StoreError {
        let (size, purpose) = (self.size, self.purpose);
        let raise = self.option.map(|option| format!("raise `{option}`, or "));
        let remedy = raise.unwrap_or_default() + "send fewer calls at once";
        let message =
            format!("{place}: all {size} connections for {purpose} were in use for {waited:?}; {remedy}");
        StoreError::rejected(StoreErrorKind::Busy, message)
    }
}

/// Connections of one kind.
pub(crate) struct Pool {
    options: MySqlConnectOptions,
    /// What a new connection is told: isolation, timeouts, modes.
    settings: Sql,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    bound: Bound,
    /// The server's address and database, for messages.
    place: String,
    wait: Duration,
    trusted: Duration,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    conn: MySqlConnection,
    /// When its server last said that it takes writes.
    asked: Monotonic,
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
    asked: Monotonic,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(config: &Config, settings: String, bound: Bound, trusted: Duration) -> Arc<Self> {
        Arc::new(Self {
            options: config.options.clone(),
            settings: Sql::settings(&settings),
            clock: Arc::clone(&config.clock),
            permits: Arc::new(Semaphore::new(bound.size)),
            bound,
            place: config.place.clone(),
            wait: config.connect_timeout,
            trusted,
            idle: Mutex::default(),
        })
    }

    /// A connection, when one is free; then one is opened, if none rests. Each may take as long, so that a server that is slow to
    /// open one is not taken for a store that is busy, nor the other way round.
    pub(crate) async fn take(self: &Arc<Self>) -> Outcome<Lent> {
        let free = async { Ok(Arc::clone(&self.permits).acquire_owned().await) };
        let Ok(Ok(permit)) = within(&*self.clock, self.wait, free).await else {
            return Err(self.bound.exceeded(self.wait, &self.place).into());
        };
        within(&*self.clock, self.wait, self.take_with(permit)).await
    }

    async fn take_with(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Outcome<Lent> {
        while let Some(mut idle) = self.pop() {
            if self.is_usable(&mut idle).await {
                return Ok(Lent {
                    conn: idle.conn,
                    reused: true,
                    asked: idle.asked,
                    pool: Arc::clone(self),
                    _permit: permit,
                });
            }
        }
        let conn = self.connect().await?;
        Ok(Lent {
            conn,
            reused: false,
            asked: self.clock.monotonic(),
            pool: Arc::clone(self),
            _permit: permit,
        })
    }

    /// Asks a connection for what is not known of it any more: a sign of life, and that its server takes writes. If it does not
    /// say so, nor will those that have rested as long.
    async fn is_usable(&self, idle: &mut Idle) -> bool {
        let now = self.clock.monotonic();
        let is_believed = now.saturating_since(idle.asked) < BELIEVED;
        if is_believed && now.saturating_since(idle.since) < self.trusted {
            return true;
        }
        let conn = &mut idle.conn;
        let answer = async {
            if is_believed {
                Ok(conn.ping().await?)
            } else {
                takes_writes(conn).await
            }
        };
        let is_usable = within(&*self.clock, SIGN_OF_LIFE, answer).await.is_ok();
        if !is_usable {
            self.resting().retain(|idle| idle.since > now);
        } else if !is_believed {
            idle.asked = now;
        }
        is_usable
    }

    async fn connect(&self) -> Outcome<MySqlConnection> {
        let mut conn = MySqlConnection::connect_with(&self.options).await?;
        sqlx::raw_sql(self.settings.text()).execute(&mut conn).await?;
        if let Err(fault) = takes_writes(&mut conn).await {
            // Not just dropped, which the server would tell of in its log.
            drop(conn.close().await);
            return Err(fault);
        }
        Ok(conn)
    }

    fn pop(&self) -> Option<Idle> {
        self.resting().pop()
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections that nobody uses: the server they led to is gone.
    pub(crate) fn forget_idle(&self) {
        self.resting().clear();
    }
}

impl Lent {
    /// Gives the connection back for others. Only for one that is certainly outside of a transaction, with no answer outstanding.
    pub(crate) fn give_back(self) {
        let Self {
            conn, asked, pool, ..
        } = self;
        let since = pool.clock.monotonic();
        pool.resting().push(Idle { conn, asked, since });
    }
}

/// An error, unless the server of a connection takes writes.
async fn takes_writes(conn: &mut MySqlConnection) -> Outcome<()> {
    let told = sqlx::raw_sql(IS_READ_ONLY).fetch_one(conn).await?;
    for column in 0..told.len() {
        // Newer servers have words for it.
        if !matches!(told.try_get(column)?, "0" | "OFF") {
            return Err(Fault::ReadOnly);
        }
    }
    Ok(())
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
