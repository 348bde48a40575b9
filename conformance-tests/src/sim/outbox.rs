//! The outbox's side of the world: a table in a database of its own, which clients commit to and relays read from.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use retry_core::draft::Draft;
use retry_core::id::TaskId;
use retry_core::name::{OutboxName, Queue};
use retry_core::outbox::{MemoryOutbox, OutboxRow, OutboxTable, Room, RowId, Waiting};
use retry_core::store::{Inserted, Page, Result, TaskFilter};
use retry_core::task::ErrorText;

use super::actors::Party;
use super::config::Commit;
use super::cover::Sometimes;
use super::fact::{Fact, Op, RowStep};
use super::link::Link;
use super::server::done;
use super::shared::Shared;

/// The database of the outbox, as the weather counts it: that of a second part, which a world with an outbox has not.
pub(super) const DATABASE: usize = 1;

pub(super) fn table() -> MemoryOutbox {
    let name = OutboxName::new("orders").unwrap_or_else(|error| unreachable!("a good name: {error}"));
    MemoryOutbox::new(name)
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowFact {
    /// When it was written, among all that happens to rows.
    pub(super) written: u64,
    /// When its transaction was committed.
    pub(super) committed: Option<u64>,
    pub(super) handed_over: bool,
}

/// A relay's way to the outbox.
#[derive(Debug, Clone)]
pub(super) struct OutboxLink {
    link: Link,
    name: OutboxName,
}

impl OutboxLink {
    pub(super) fn new(link: Link) -> Self {
        let name = link.shared.outbox.name().clone();
        Self { link, name }
    }

    async fn call<T, F>(&self, apply: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t MemoryOutbox) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let link = &self.link;
        let fate = link.draw(|rng| link.weather.fate((link.who, DATABASE), Op::Next, rng));
        if let Some(fault) = fate.fault() {
            link.shared.fault(fault, Op::Next);
        }
        link.carry(fate, move |shared: &Shared| done(apply(&shared.outbox)))
            .await
    }
}

#[async_trait]
impl OutboxTable for OutboxLink {
    fn name(&self) -> &OutboxName {
        &self.name
    }

    async fn next(&self, handed: &[RowId], room: Room) -> Result<Vec<OutboxRow>> {
        let handed = handed.to_vec();
        self.call(move |table| Box::pin(async move { table.next(&handed, room).await }))
            .await
    }

    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> Result<()> {
        self.link.shared.accuse(
            "outbox_once",
            format!("{} is set aside: {reason}", super::fact::name(row.id)),
        );
        Ok(())
    }

    async fn waiting(&self, cap: usize) -> Result<Waiting> {
        self.call(move |table| Box::pin(table.waiting(cap))).await
    }
}

/// Tells what became of a task that was inserted, if it is of the outbox.
pub(super) fn note(shared: &Shared, id: TaskId, inserted: Inserted) {
    if shared.facts(|facts| facts.outbox.contains_key(&id)) {
        let step = RowStep::HandedOver(inserted);
        shared.tell(Fact::Outbox { id, step });
    }
}

impl Party {
    /// Cancels the task by which relays take turns.
    pub(super) fn cancel_owner(&self) {
        let party = self.clone();
        self.spawn(async move {
            let filter = TaskFilter {
                queues: Queue::new("outbox/orders").into_iter().collect(),
                ..TaskFilter::default()
            };
            let listed = party.client.list(&filter, &Page::first(1)).await;
            for owner in listed.map(|listed| listed.tasks).unwrap_or_default() {
                party.shared.hit(Sometimes::OwnerCancelled);
                drop(party.client.cancel(owner.task.id).await);
            }
        });
    }

    /// Writes a task into the outbox in a transaction that takes a while.
    pub(super) fn commit(&self, draft: Draft, commit: Commit) {
        let party = self.clone();
        self.spawn(async move {
            let table = &party.shared.outbox;
            let mut tx = table.begin();
            let Ok(id) = party.client.enqueue(draft).outbox(table, &mut tx) else {
                return;
            };
            let tell = |step| party.shared.tell(Fact::Outbox { id, step });
            tell(RowStep::Written);
            party.wait(commit.millis).await;
            if commit.commits {
                tx.commit();
                tell(RowStep::Committed);
            } else {
                party.shared.hit(Sometimes::RolledBack);
            }
        });
    }
}
