//! The store with a witness: every claim, edit and lease that it answers goes to the log.

use std::sync::Arc;

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    Applied, ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted,
    Listed, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore,
    Wakeups,
};
use retry_core::task::{Action, Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use crate::event::Event;
use crate::log::Log;

#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) log: Log,
}

fn edit(edit: &Edit, applied: &Applied) -> Event {
    Event::Edit {
        id: edit.id.to_string(),
        version: edit.version,
        nonce: edit.nonce.get(),
        raises: matches!(edit.action, Action::Set(_)),
        done: matches!(applied, Applied::Done { .. } | Applied::Repeated),
        answer: format!("{applied:?}"),
    }
}

#[async_trait]
impl TaskStore for Witness {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        self.store.insert(tasks, now).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let answer = self.store.exchange(edits, claims, now).await?;
        let answered = edits.iter().zip(&answer.applied);
        let mut events: Vec<Event> = answered.map(|(of, applied)| edit(of, applied)).collect();
        for (request, claimed) in claims.iter().zip(&answer.claimed) {
            events.extend(claimed.tasks.iter().map(|claimed| Event::Claim {
                id: claimed.task.id.to_string(),
                version: claimed.task.version,
                attempt: claimed.task.attempt,
                step: claimed.task.step,
                session: request.session.to_string(),
            }));
        }
        self.log.write(events).await;
        Ok(answer)
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.store.open_session(info, until, now).await?;
        let (session, until) = (info.id.to_string(), until.as_millis());
        self.log.note(vec![Event::Lease { session, until }]);
        Ok(())
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        let renewed = self.store.renew(session, until, now).await?;
        let (session, until) = (session.to_string(), until.as_millis());
        self.log.note(vec![match renewed {
            Renewed::Lost => Event::Lost { session },
            _ => Event::Lease { session, until },
        }]);
        Ok(renewed)
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.store.close_session(session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.store.sessions().await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        self.store.expired(request, now).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.store.get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        self.store.list(filter, page).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.store.count(scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.store.purge(now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.store.set_queue(queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.store.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.store.time().await
    }

    async fn migrate(&self) -> Result<()> {
        self.store.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.store.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }
}
