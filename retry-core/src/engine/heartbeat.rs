//! The heartbeat: keeps the session, and with it every lease.

use std::sync::Arc;
use std::time::Duration;

use super::drive::Step;
use super::held::CancelReason;
use super::part::Part;
use super::session::SessionState;
use crate::clock::{Clock as _, Monotonic};
use crate::id::{SessionId, TaskId};
use crate::limits::MAX_PAGE;
use crate::store::{Page, Renewed, Result, SessionInfo, StoreError, StoreErrorKind, TaskFilter};
use crate::task::{State, Task};
use crate::time::Timestamp;

/// How soon a beat is repeated while the store fails.
const RETRY: Duration = Duration::from_secs(1);
/// Beats after which what is held is compared though nothing speaks for a difference, once a minute by default: counts may
/// agree by chance after a loss of writes that no call of this worker met. It costs one listing of what the session holds.
const COMPARE_AFTER: u32 = 12;

#[derive(Debug)]
pub(super) struct Heartbeat {
    part: Arc<Part>,
    /// An opening that was sent and not answered.
    opening: Option<Opening>,
    /// The last beat's count differed from the worker's own.
    differed: bool,
    /// The failures of the store before what is held was last reconciled.
    reconciled_at: u64,
    /// Beats since what is held was last reconciled, or nothing was held.
    unreconciled: u32,
    /// Tasks that the store says are ours and that are not here, unless the exchange of this number brings them.
    unclaimed: Option<(u64, Vec<Task>)>,
    /// Tasks of the session that the store counts and nobody can read. They stay its own until it ends.
    unreadable: u64,
}

/// An opening on its way. It is sent again as it is: under another id the first one, if it was written, would be a session that
/// nobody has, and a store keeps the lease that it wrote first.
#[derive(Debug, Clone, Copy)]
struct Opening {
    id: SessionId,
    /// When it was first sent.
    sent: Monotonic,
    until: Timestamp,
}

impl Heartbeat {
    pub(super) const fn new(part: Arc<Part>) -> Self {
        Self {
            part,
            opening: None,
            differed: false,
            reconciled_at: 0,
            unreconciled: 0,
            unclaimed: None,
            unreadable: 0,
        }
    }

    async fn beat(&mut self) -> Monotonic {
        let part = Arc::clone(&self.part);
        let config = &part.engine.setup.config;
        let sent = part.clock.monotonic();
        // A call that hangs, on a dead connection say, leaves time for another one within the lease.
        let limit = config.lease / 2;
        let result = match part.session() {
            SessionState::Lost => {
                (self.differed, self.unclaimed, self.unreadable) = (false, None, 0);
                part.leave_session();
                return sent;
            }
            SessionState::None => part.within(limit, self.open(sent)).await,
            SessionState::Open { id, .. } => part.within(limit, self.renew(id, sent)).await,
        };
        match result {
            Ok(()) => {
                part.answered();
                sent + config.heartbeat()
            }
            Err(error) => {
                part.health.failed();
                tracing::warn!(%error, "the session was not renewed");
                part.clock.monotonic() + RETRY.min(config.heartbeat())
            }
        }
    }

    async fn open(&mut self, sent: Monotonic) -> Result<()> {
        let part = &self.part;
        part.sync_clock().await?;
        let setup = &part.engine.setup;
        let (now, lease) = (part.clock.now(), setup.config.lease);
        // By then nobody takes it for live.
        self.opening.take_if(|opening| sent >= opening.sent + lease);
        let drawn = || Opening {
            id: SessionId::from_random(part.engine.random(), part.engine.random()),
            sent,
            until: now.saturating_add(lease),
        };
        let opening = *self.opening.get_or_insert_with(drawn);
        let id = opening.id;
        let info = SessionInfo {
            id,
            name: setup.config.name.clone(),
            host: setup.config.host.clone(),
            queues: setup.queues.clone(),
            kinds: setup.kinds.keys().cloned().collect(),
        };
        let opened = part.store.open_session(&info, opening.until, now).await;
        // Refused: it was written, and marked lost since.
        let refused = |error: &StoreError| error.kind() == StoreErrorKind::Invalid;
        if opened.as_ref().err().is_none_or(refused) {
            self.opening = None;
        }
        opened?;
        // Whichever sending was written, the lease is that of the first.
        let lease_end = opening.sent + lease;
        part.set_session(SessionState::Open { id, lease_end });
        if opening.sent < sent {
            part.heart.notify_one();
        }
        tracing::info!(session = %id, name = %setup.config.name, "session opened");
        part.engine.progress.notify_waiters();
        part.pump.notify_one();
        Ok(())
    }

    /// One beat. The clock is left to other loops: nothing may come before the renewal.
    async fn renew(&mut self, id: SessionId, sent: Monotonic) -> Result<()> {
        let part = Arc::clone(&self.part);
        let (lease, now) = (part.engine.setup.config.lease, part.clock.now());
        let (cancel, held) = match part.store.renew(id, now.saturating_add(lease), now).await? {
            Renewed::Live { cancel, held } => (cancel, Some(held)),
            Renewed::Uncounted { cancel } => (cancel, None),
            Renewed::Lost => {
                tracing::warn!(session = %id, "the session is lost: others may have its tasks");
                part.engine.setup.meters.session_lost();
                part.set_session(SessionState::Lost);
                part.heart.notify_one();
                return Ok(());
            }
        };
        // The pump may have learned meanwhile that it is lost.
        if part.session().id() == Some(id) {
            let lease_end = sent + lease;
            part.set_session(SessionState::Open { id, lease_end });
        }
        cancel
            .into_iter()
            .for_each(|task| part.held.cancel(task, CancelReason::Operator));
        part.pump.notify_one();
        self.compare(id, held).await
    }

    /// A count that differs on two beats is no exchange in flight: a claim's answer was lost, or a rescuer took a task.
    async fn compare(&mut self, id: SessionId, counted: Option<u64>) -> Result<()> {
        self.hand_back_unclaimed();
        let held = counted.map(|counted| counted.saturating_sub(self.unreadable));
        let here = self.part.held.count();
        self.unreconciled = if held == Some(0) && here == 0 {
            0
        } else {
            self.unreconciled + 1
        };
        let unseen = self.may_differ_unseen();
        if held.is_none() && !unseen {
            // Without a count a beat says nothing, also not that the last one was wrong.
            return Ok(());
        }
        let differs = held.is_some_and(|held| held != here) || unseen;
        if differs && self.differed {
            self.differed = false;
            return self.reconcile(id, counted).await;
        }
        self.differed = differs;
        Ok(())
    }

    /// Whether the counts may agree by chance: the store failed since the last comparison, so that a claim's answer was lost,
    /// say, or the store itself lost writes; or a task is past its deadline, and a rescuer may have taken it; or the last
    /// comparison is long ago.
    fn may_differ_unseen(&self) -> bool {
        let part = &self.part;
        self.unreconciled >= COMPARE_AFTER
            || part.health.failures() != self.reconciled_at
            || part.held.any_overdue(part.clock.now())
    }

    /// Finds what the store says is ours and is not here; gives up what is here and is not ours any more. `counted`: by the
    /// store.
    async fn reconcile(&mut self, id: SessionId, counted: Option<u64>) -> Result<()> {
        let part = &self.part;
        let (before, failures) = (part.held.ours(), part.health.failures());
        let (stored, bad) = self.stored(id).await?;
        (self.reconciled_at, self.unreconciled) = (failures, 0);
        tracing::info!(
            here = before.len(),
            stored = stored.len(),
            unreadable = bad.len(),
            "what is held here is compared with what the store says"
        );
        // Nothing can be done for a row that cannot be read and is not here; looking again would not help. A repaired one is
        // found by the next listing, or when the session has ended.
        let lost = bad.iter().filter(|id| !part.held.is_ours(**id)).count() as u64;
        self.unreadable = match counted {
            Some(counted) => lost.min(counted.saturating_sub(stored.len() as u64)),
            None => lost,
        };
        let ids = stored.iter().map(|task| task.id).chain(bad).collect();
        // Only what was here before the listing: what came since is ours.
        part.held.give_up_others(&before, &ids);
        self.unclaimed = Some((part.exchange_number(), stored));
        self.hand_back_unclaimed();
        Ok(())
    }

    /// Hands back what was listed and did not arrive. A listing also shows what a claim took whose answer is still
    /// under way, so this waits for the end of the exchange that was in flight then.
    fn hand_back_unclaimed(&mut self) {
        let part = &self.part;
        let over = |number: u64| number.is_multiple_of(2) || number != part.exchange_number();
        let Some((_, stored)) = self.unclaimed.take_if(|(number, _)| over(*number)) else {
            return;
        };
        for task in stored.iter().filter(|task| !part.held.is_ours(task.id)) {
            if part.held.insert(task, true, false) {
                part.hand_back(&Arc::new(task.clone()));
            }
        }
    }

    /// The running tasks of the session, and the rows found among them that cannot be read.
    async fn stored(&self, id: SessionId) -> Result<(Vec<Task>, Vec<TaskId>)> {
        let filter = TaskFilter {
            session: Some(id),
            states: vec![State::Running],
            ..TaskFilter::default()
        };
        let mut page = Page::first(MAX_PAGE);
        let (mut tasks, mut bad) = (Vec::new(), Vec::new());
        loop {
            let listed = self.part.store.list(&filter, &page).await?;
            tasks.extend(listed.tasks.into_iter().map(|summary| summary.task));
            bad.extend(listed.bad.into_iter().map(|bad| bad.id));
            match listed.next {
                Some(next) => page.after = Some(next),
                None => return Ok((tasks, bad)),
            }
        }
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
