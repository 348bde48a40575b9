//! The heartbeat: keeps the session, and with it every lease.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::drive::Step;
use super::held::CancelReason;
use super::part::{Part, lock};
use super::session::SessionState;
use crate::clock::{Clock as _, Monotonic};
use crate::id::{SessionId, TaskId};
use crate::limits::MAX_PAGE;
use crate::store::{Page, Renewed, Result, SessionInfo, TaskFilter};
use crate::task::{State, Task};

/// How soon a beat is repeated while the store fails.
const RETRY: Duration = Duration::from_secs(1);
/// How often the end of a lost session's handlers is looked for when nothing tells of it.
const DRAIN_POLL: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Heartbeat {
    part: Arc<Part>,
    /// The last beat's count differed from the worker's own.
    differed: bool,
}

impl Heartbeat {
    pub(super) const fn new(part: Arc<Part>) -> Self {
        Self {
            part,
            differed: false,
        }
    }

    async fn beat(&mut self) -> Monotonic {
        let state = *lock(&self.part.session);
        let result = match state {
            SessionState::None => self.open().await,
            SessionState::Lost => return self.drain_lost(),
            SessionState::Open { id, lease_end } => self.renew(id, lease_end).await,
        };
        let now = self.part.clock.monotonic();
        match result {
            Ok(()) => {
                self.part.answered();
                now + self.part.engine.setup.config.heartbeat()
            }
            Err(error) => {
                self.part.failed();
                tracing::warn!(%error, "the session was not renewed");
                now + RETRY
            }
        }
    }

    async fn open(&self) -> Result<()> {
        let part = &self.part;
        part.sync_clock().await?;
        let setup = &part.engine.setup;
        let id = SessionId::from_random(part.engine.random(), part.engine.random());
        let info = SessionInfo {
            id,
            name: setup.config.name.clone(),
            host: setup.config.host.clone(),
            queues: setup.queues.clone(),
            kinds: setup.kinds.keys().cloned().collect(),
        };
        let (sent, now) = (part.clock.monotonic(), part.clock.now());
        part.store
            .open_session(&info, now.saturating_add(setup.config.lease), now)
            .await?;
        *lock(&part.session) = SessionState::Open {
            id,
            lease_end: sent + setup.config.lease,
        };
        tracing::info!(session = %id, name = %setup.config.name, "session opened");
        part.pump.notify_one();
        Ok(())
    }

    async fn renew(&mut self, id: SessionId, lease_end: Monotonic) -> Result<()> {
        let part = Arc::clone(&self.part);
        let lease = part.engine.setup.config.lease;
        // The clock is read apart from the beat: the lease must not wait for it.
        if let Err(error) = part.sync_clock().await {
            tracing::debug!(%error, "the store's clock was not read");
        }
        let (sent, now) = (part.clock.monotonic(), part.clock.now());
        if sent >= lease_end {
            tracing::warn!(late = ?sent.saturating_since(lease_end), "the beat is late: the lease has ended here");
            part.held.cancel_by_lease();
        }
        let until = now.saturating_add(lease);
        let renewal = part.store.renew(id, until, now);
        // A store that does not answer must not hide the end of the lease from the handlers.
        let ending = if sent < lease_end {
            lease_end
        } else {
            Monotonic::NEVER
        };
        let renewed = match select(renewal, part.clock.sleep_until(ending)).await {
            Either::Left((renewed, _)) => renewed?,
            Either::Right(((), renewal)) => {
                tracing::warn!("the lease ended here: the store did not answer the beat");
                part.held.cancel_by_lease();
                renewal.await?
            }
        };
        match renewed {
            Renewed::Live { cancel, held } => {
                *lock(&part.session) = SessionState::Open {
                    id,
                    lease_end: sent + lease,
                };
                cancel
                    .into_iter()
                    .for_each(|task| part.held.cancel(task, CancelReason::Operator));
                part.pump.notify_one();
                self.compare(id, held).await
            }
            Renewed::Lost => {
                tracing::warn!(session = %id, "the session is lost: others may have its tasks");
                *lock(&part.session) = SessionState::Lost;
                part.heart.notify_one();
                Ok(())
            }
        }
    }

    /// A count that differs on two beats is no exchange in flight: a claim's answer was lost, or a rescuer took a task.
    async fn compare(&mut self, id: SessionId, held: u64) -> Result<()> {
        let differs = held != self.part.held.len() as u64;
        if differs && self.differed {
            self.differed = false;
            return self.reconcile(id).await;
        }
        self.differed = differs;
        Ok(())
    }

    /// Hands back what the store says is ours and is not here; cancels what runs here and is not ours any more.
    async fn reconcile(&self, id: SessionId) -> Result<()> {
        let part = &self.part;
        let before: HashSet<TaskId> = part.held.ids();
        let stored = self.stored(id).await?;
        tracing::warn!(
            here = before.len(),
            stored = stored.len(),
            "the tasks held differ; reconciling"
        );
        for task in stored.iter().filter(|task| !part.held.contains(task.id)) {
            part.held.insert(task.id);
            part.hand_back(task);
        }
        let ours = stored.iter().map(|task| task.id).collect();
        // Only what was here before the listing: what came since is ours.
        part.held.cancel_others(&before, &ours);
        Ok(())
    }

    async fn stored(&self, id: SessionId) -> Result<Vec<Task>> {
        let filter = TaskFilter {
            session: Some(id),
            states: vec![State::Running],
            ..TaskFilter::default()
        };
        let mut page = Page::first(MAX_PAGE);
        let mut tasks = Vec::new();
        loop {
            let listed = self.part.store.list(&filter, &page).await?;
            tasks.extend(listed.tasks.into_iter().map(|summary| summary.task));
            match listed.next {
                Some(next) => page.after = Some(next),
                None => return Ok(tasks),
            }
        }
    }

    /// Ends what ran under a lost session; opens a new one when nothing of it runs any more.
    fn drain_lost(&self) -> Monotonic {
        let part = &self.part;
        part.held.cancel_by_lease();
        part.drop_buffer();
        let now = part.clock.monotonic();
        if part.held.any_running() {
            return now + DRAIN_POLL;
        }
        *lock(&part.session) = SessionState::None;
        now
    }
}

impl Step for Heartbeat {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "heartbeat"
    }

    async fn step(&mut self) -> Monotonic {
        self.beat().await
    }

    async fn woken(&mut self) {
        self.part.heart.notified().await;
    }
}
