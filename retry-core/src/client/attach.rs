//! A client attached to a running worker: the only one that can have tasks born running.

use super::enqueue::only;
use super::{Client, Enqueued, Shared, resend};
use crate::clock::Clock as _;
use crate::engine::{Attachment, Reservation, WorkerHandle, as_claimed, born};
use crate::id::Shard;
use crate::store::{self, Inserted, TaskStore};
use crate::task::{ClaimedTask, NewTask};
use crate::time::Timestamp;

impl<S: TaskStore + ?Sized> Client<S> {
    /// The same client, attached to a running worker of the same store. It can run what it enqueues at once, on this node
    /// and without a claim: [`run_here`](super::Enqueue::run_here), [`run_inline`](super::Enqueue::run_inline),
    /// [`try_first`](super::Enqueue::try_first), [`in_tx_leased`](super::Enqueue::in_tx_leased) and the transactions
    /// of the client.
    ///
    /// The worker's limits hold: a place is kept before a task is inserted, and one for which there is none waits as usual.
    /// Neither keeps the other alive; when the worker has stopped, nothing is born running any more. With a client of
    /// another store nothing ever is, because the worker's session is not there.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// # use task_retry::draft::TaskPayload;
    /// # use serde::{Deserialize, Serialize};
    /// use task_retry::client::{Client, Inline};
    /// use task_retry::engine::Worker;
    /// use task_retry::store::MemoryStore;
    ///
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Welcome { email: String }
    /// # impl TaskPayload for Welcome { const KIND: &'static str = "welcome"; }
    /// # async fn welcome(task: Welcome) -> Result<(), std::io::Error> { Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(MemoryStore::new());
    /// let handle = Worker::builder(&client).handler(welcome).build()?.start();
    /// handle.ready().await;
    /// let client = client.attach(&handle);
    /// let done = client.enqueue(Welcome { email: "ada@example.com".into() }).run_inline().await?;
    /// assert!(matches!(done, Inline::Succeeded(None)));
    /// # handle.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "the client itself stays as it is"]
    pub fn attach(&self, worker: &WorkerHandle) -> Self {
        Self {
            attached: Some(worker.attachment()),
            ..self.clone()
        }
    }

    /// Whether it was attached to a worker.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached.is_some()
    }

    /// The time of a slot's part without a round trip: the worker's last reading of it, or the client's own, or the local
    /// clock.
    pub(crate) fn local_now(&self, shard: Shard) -> Timestamp {
        let attached = self.attached.as_ref();
        let told = attached.and_then(|attached| attached.now(self.shared.part(shard)));
        told.unwrap_or_else(|| self.shared.clock(shard).now())
    }

    /// Keeps a place for a task on the worker that the client is attached to, and has the task born there.
    pub(super) fn reserve(&self, task: &mut NewTask, now: Timestamp) -> Option<Reservation> {
        let attached: &Attachment = self.attached.as_ref()?;
        let reservation = attached.reserve(task, |shard| self.store.part_of(shard), now)?;
        task.leased_by = Some(reservation.session());
        Some(reservation)
    }
}

/// A stored task, and if it was born running here its place and its record.
pub(super) struct Birth {
    pub(super) enqueued: Enqueued,
    pub(super) born: Option<(Reservation, ClaimedTask)>,
    /// How it was stored is not known: it may have been born here.
    pub(super) lost: bool,
}

/// Inserts a task that may have a place here. A dropped future gives the place back; what it has stored all the same is
/// handed back by the heartbeat.
pub(super) async fn insert(
    shared: &Shared,
    task: NewTask,
    place: Option<Reservation>,
    now: Timestamp,
) -> store::Result<Birth> {
    let id = task.id;
    let Some(place) = place else {
        let inserted = tried(shared.home(id.shard()).coalescer.insert(task).await?)?;
        let enqueued = Enqueued::of(id, inserted);
        return Ok(Birth {
            enqueued,
            born: None,
            lost: false,
        });
    };
    let inserted = insert_at(shared, &task, now).await?;
    let record = match inserted {
        Inserted::New { leased: true } => Ok(Some(born(&task, place.session(), now))),
        // Sent twice, of which the first was written: only the store knows how it was born.
        Inserted::Repeated => place.look(id).await.map(|stored| stored.map(as_claimed)),
        _ => Ok(None),
    };
    let lost = record.is_err();
    if let Err(error) = &record {
        tracing::warn!(task = %id, %error, "not run here: it is stored, and how is not known");
    }
    Ok(Birth {
        enqueued: Enqueued::of(id, inserted),
        born: record.ok().flatten().map(|record| (place, record)),
        lost,
    })
}

/// Inserts a task by a time that the caller has read: one for every sending, so that the record that is kept here is the
/// one that is stored.
pub(super) async fn insert_at(shared: &Shared, task: &NewTask, now: Timestamp) -> store::Result<Inserted> {
    let tasks = std::slice::from_ref(task);
    let sent = resend(shared.clock(task.id.shard()), || shared.store.insert(tasks, now)).await?;
    shared.meters.enqueued(tasks, &sent);
    tried(only(sent)?)
}

fn tried(inserted: Inserted) -> store::Result<Inserted> {
    if inserted == Inserted::NotTried {
        return Err(super::not_tried());
    }
    Ok(inserted)
}
