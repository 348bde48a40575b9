//! A transaction of the store in memory, so that code which enqueues inside one runs without a database.

use std::mem;

use super::MemoryStore;
use super::rows::Rows;
use crate::store::{Enlist, Inserted, Result, StoreError, StoreErrorKind, check};
use crate::task::NewTask;
use crate::time::Timestamp;

/// Tasks that exist when it is committed, all at once, and never when it is dropped.
///
/// It stands in for the transaction of a database in tests and dry runs: code that is generic over
/// [`Enlist`] enqueues with `.in_tx(&mut tx)?` here and in the transaction of its driver there.
///
/// ```
/// # use retry_core as task_retry;
/// # use task_retry::draft::TaskPayload;
/// # use serde::{Deserialize, Serialize};
/// use task_retry::client::{Client, Enqueued, Error};
/// use task_retry::store::{Enlist, MemoryStore};
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Welcome { email: String }
/// # impl TaskPayload for Welcome { const KIND: &'static str = "welcome"; }
/// fn register<S, Tx>(client: &Client<S>, tx: Tx, email: &str) -> Result<Enqueued, Error>
/// where
///     S: Enlist<Tx, Reply<Result<Enqueued, Error>> = Result<Enqueued, Error>>,
/// {
///     client.enqueue(Welcome { email: email.into() }).in_tx(tx)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let client = Client::new(store.clone());
/// let mut tx = store.begin();
/// let never = register(&client, &mut tx, "eve@example.com")?;
/// drop(tx); // rolled back
/// let mut tx = store.begin();
/// let stored = register(&client, &mut tx, "ada@example.com")?;
/// tx.commit()?;
/// assert!(client.get(never.id).await?.is_none());
/// assert!(client.get(stored.id).await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a dropped transaction is rolled back"]
pub struct MemoryTransaction {
    store: MemoryStore,
    tasks: Vec<(NewTask, Timestamp)>,
    /// What was told about each.
    told: Vec<Inserted>,
}

impl MemoryStore {
    /// Begins a transaction.
    pub fn begin(&self) -> MemoryTransaction {
        MemoryTransaction {
            store: self.clone(),
            tasks: Vec::new(),
            told: Vec::new(),
        }
    }
}

impl MemoryTransaction {
    /// Makes its tasks exist, all or none.
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`] when another task took a unique key since this transaction was told that it is free (as
    /// databases answer a serialization failure): nothing was written, and the whole transaction may be repeated.
    pub fn commit(mut self) -> Result<()> {
        let tasks = mem::take(&mut self.tasks);
        let woken = {
            let mut rows = self.store.rows();
            let mut after = rows.clone();
            let inserted = insert_all(&mut after, &tasks);
            if !inserted
                .iter()
                .zip(&self.told)
                .all(|(now, told)| is_as_told(now, told))
            {
                let message = "a unique key changed hands since it was looked at; repeat the transaction";
                return Err(StoreError::rejected(StoreErrorKind::Busy, message));
            }
            *rows = after;
            rows.take_woken()
        };
        self.store.wake(woken);
        Ok(())
    }

    /// Drops its tasks, as going out of scope does.
    pub fn rollback(self) {}

    fn insert(&mut self, tasks: Vec<NewTask>, now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(&tasks)?;
        // Answers see what the store holds now and what this transaction added, and change neither.
        let mut view = self.store.rows().clone();
        insert_all(&mut view, &self.tasks);
        let tasks: Vec<_> = tasks.into_iter().map(|task| (task, now)).collect();
        let told = insert_all(&mut view, &tasks);
        self.tasks.extend(tasks);
        self.told.extend(&told);
        Ok(told)
    }
}

fn insert_all(rows: &mut Rows, tasks: &[(NewTask, Timestamp)]) -> Vec<Inserted> {
    tasks.iter().map(|(task, now)| rows.insert(task, *now)).collect()
}

/// Whether the same became of a task as was told. The holder of its key may be in another state by now, and the session in
/// which it was to be born may be over: neither is a reason to refuse.
fn is_as_told(now: &Inserted, told: &Inserted) -> bool {
    let holder = |inserted: &Inserted| match inserted {
        Inserted::Duplicate { holder, .. } | Inserted::Replaced { holder } => Some(*holder),
        Inserted::New { .. } | Inserted::Repeated | Inserted::NotTried => None,
    };
    mem::discriminant(now) == mem::discriminant(told) && holder(now) == holder(told)
}

// For tests: nobody whose store cannot join a transaction is to be led here.
#[diagnostic::do_not_recommend]
impl Enlist<&mut MemoryTransaction> for MemoryStore {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(
        &self,
        tx: &mut MemoryTransaction,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
        finish: F,
    ) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        finish(tasks.and_then(|tasks| {
            if !std::sync::Arc::ptr_eq(&self.rows, &tx.store.rows) {
                return Err(StoreError::invalid("the transaction belongs to another store"));
            }
            tx.insert(tasks, now)
        }))
    }
}
