//! Transactions on the user's own pool, for clients that wrap them.

use std::ops::{Deref, DerefMut};

use retry_core::store::{Begin, Enlist as _, Inserted, Result, StoreError, StoreErrorKind, Transact, apart};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::error::{During, Fault, store_error};
use crate::store::PostgresStore;

/// A transaction that a client has begun; it derefs to the connection. Dropped, it rolls back.
// The driver's own type has a lifetime, by which a future that holds it across an await in somebody's closure is not seen
// to be `Send`.
#[derive(Debug)]
#[must_use = "a transaction that is dropped rolls back"]
pub struct PostgresTransaction(Transaction<'static, Postgres>);

impl Deref for PostgresTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for PostgresTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl Begin<&PgPool> for PostgresStore {
    type Tx = PostgresTransaction;

    async fn begin(&self, db: &PgPool) -> Result<Self::Tx> {
        let began = async {
            let conn = db.acquire().await?;
            // On a task of its own: where the driver's future is dropped before the answer to its BEGIN, the connection goes back to
            // the pool inside a transaction that nobody ends. The pool's own `begin` would wait there for a connection as well,
            // long after its caller is gone.
            let began = apart(Transaction::begin(conn, None));
            began.await.unwrap_or(Err(sqlx::Error::PoolClosed))
        };
        match began.await {
            Ok(tx) => Ok(PostgresTransaction(tx)),
            Err(error) => Err(self.worded(error, During::Before)),
        }
    }
}

impl Transact<PostgresTransaction> for PostgresStore {
    async fn insert_in(
        &self,
        tx: &mut PostgresTransaction,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.enlist(&mut **tx, tasks, now, |answer| answer).await
    }

    async fn commit(&self, mut tx: PostgresTransaction) -> Result<()> {
        // The server answers the commit of an aborted transaction with a rollback, which the driver takes for success. A
        // statement whose error somebody passed over is found by one that would not fail otherwise.
        if let Err(error) = sqlx::raw_sql("SELECT 1").execute(&mut *tx).await {
            return Err(match error {
                sqlx::Error::Database(_) => self.aborted(),
                error => self.worded(error, During::Before),
            });
        }
        tx.0.commit()
            .await
            .map_err(|error| self.worded(error, During::Commit))
    }
}

impl PostgresStore {
    fn aborted(&self) -> StoreError {
        let place = &self.inner.calls.place;
        let message = "a statement of the transaction failed before its commit, so it is rolled back: nothing of it is stored";
        StoreError::rejected(StoreErrorKind::Invalid, format!("{place}: {message}"))
    }

    fn worded(&self, error: sqlx::Error, during: During) -> StoreError {
        store_error(Fault::Driver(error), during, &self.inner.calls.place)
    }
}
