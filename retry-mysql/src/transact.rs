//! Transactions on the user's own pool, for clients that wrap them.

use std::ops::{Deref, DerefMut};

use retry_core::store::{Begin, Enlist as _, Inserted, Result, StoreError, Transact};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::{MySql, MySqlConnection, MySqlPool, Transaction};

use crate::error::{During, Fault, store_error};
use crate::store::MySqlStore;

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
        db.begin()
            .await
            .map(MySqlTransaction)
            .map_err(|error| self.worded(error, During::Connect))
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

    async fn commit(&self, tx: MySqlTransaction) -> Result<()> {
        tx.0.commit()
            .await
            .map_err(|error| self.worded(error, During::Commit))
    }
}

impl MySqlStore {
    fn worded(&self, error: sqlx::Error, during: During) -> StoreError {
        store_error(Fault::from(error), during, &self.inner.place)
    }
}
