//! Transactions on the user's own pool, for clients that wrap them.

use std::ops::{Deref, DerefMut};

use retry_core::store::{Begin, Enlist as _, Inserted, Result, StoreError, StoreErrorKind, Transact, apart};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::{MySql, MySqlConnection, MySqlPool, Transaction};

use crate::error::{During, Fault, NO_SAVEPOINT, number, store_error};
use crate::store::MySqlStore;

/// A deadlock rolls the whole transaction back, and what follows it commits by itself; the commit then succeeds with nothing.
/// If somebody passed over that error, the savepoint of the beginning is gone. So it is after a statement that commits what
/// came before it, as `CREATE TABLE` does: from the outside the two look alike.
const MARK: &str = "SAVEPOINT task_retry_begin";
const IS_WHOLE: &str = "RELEASE SAVEPOINT task_retry_begin";

/// A transaction that a client has begun; it derefs to the connection. Dropped, it rolls back.
// The driver's own type has a lifetime, by which a future that holds it across an await in somebody's closure is not seen
// to be `Send`.
#[derive(Debug)]
#[must_use = "a transaction that is dropped rolls back"]
pub struct MySqlTransaction(Transaction<'static, MySql>);

impl Deref for MySqlTransaction {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.0
    }
}

impl DerefMut for MySqlTransaction {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.0
    }
}

impl Begin<&MySqlPool> for MySqlStore {
    type Tx = MySqlTransaction;

    async fn begin(&self, db: &MySqlPool) -> Result<Self::Tx> {
        let began = async {
            let conn = db.acquire().await?;
            // On a task of its own: where the driver's future is dropped before the answer to its BEGIN, the connection goes back to
            // the pool inside a transaction that nobody ends. The pool's own `begin` would wait there for a connection as well,
            // long after its caller is gone.
            let began = apart(async move {
                let mut tx = Transaction::begin(conn, None).await?;
                sqlx::raw_sql(MARK).execute(&mut *tx).await?;
                Ok(MySqlTransaction(tx))
            });
            began.await.unwrap_or(Err(sqlx::Error::PoolClosed))
        };
        began.await.map_err(|error| self.worded(error, During::Connect))
    }
}

impl Transact<MySqlTransaction> for MySqlStore {
    async fn insert_in(
        &self,
        tx: &mut MySqlTransaction,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.enlist(&mut **tx, tasks, now, |answer| answer).await
    }

    async fn commit(&self, mut tx: MySqlTransaction) -> Result<()> {
        if let Err(error) = sqlx::raw_sql(IS_WHOLE).execute(&mut *tx).await {
            return Err(match error {
                error if number(&error) == Some(NO_SAVEPOINT) => self.ended(),
                sqlx::Error::Database(_) => self.rolled_back(),
                error => self.worded(error, During::Call),
            });
        }
        tx.0.commit()
            .await
            .map_err(|error| self.worded(error, During::Commit))
    }
}

impl MySqlStore {
    fn ended(&self) -> StoreError {
        let message = "the transaction ended before its commit: the server rolled it back, for a deadlock say whose error was passed over, or a \
                       statement in it commits by itself, as CREATE TABLE, ALTER TABLE and LOCK TABLES do; look for what it wrote before you repeat it";
        StoreError::unknown(
            StoreErrorKind::Invalid,
            format!("{}: {message}", self.inner.place),
        )
    }

    fn rolled_back(&self) -> StoreError {
        let message = "the server rolled the transaction back before its commit, for a deadlock say: nothing of it is stored";
        StoreError::rejected(
            StoreErrorKind::Invalid,
            format!("{}: {message}", self.inner.place),
        )
    }

    fn worded(&self, error: sqlx::Error, during: During) -> StoreError {
        store_error(Fault::from(error), during, &self.inner.place)
    }
}
