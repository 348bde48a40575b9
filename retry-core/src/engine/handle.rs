//! A running worker, and how it stops.
//!
//! ```text
//! stop claiming ─ hand back what waits ─ grace ─ cancel the rest ─ they end ─ hand back ─ flush ─ last alerts ─ close the session
//! ```

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join_all, select};

use super::detour::Detour;
use super::drive::{Step, Stop, drive};
use super::heartbeat::Heartbeat;
use super::held::CancelReason;
use super::herald::Herald;
use super::inspector::Inspector;
use super::maintainer::Maintainer;
use super::part::{Engine, Part};
use super::pump::Pump;
use super::rescuer::Rescuer;
use super::reserve::Attachment;
use super::round::Round;
use super::watchdog::Watchdog;
use super::worker::Setup;
use crate::alert::{AlertCounts, DEFAULT_TIMEOUT};
use crate::store::TaskStore;

/// How long a shutdown tries to write the last outcomes to a store that fails. What is not written is rescued later.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);
/// How long it waits for a call under way, and for the close of the session.
const LAST_CALL_LIMIT: Duration = Duration::from_secs(5);

/// How long it waits for the sinks to take the last alerts: as long as a sink may take for one, within these. A sink with
/// the default limit is not cut short; one with a longer limit does not hold the shutdown up.
const LAST_ALERTS_LIMITS: RangeInclusive<Duration> = Duration::from_secs(5)..=DEFAULT_TIMEOUT;

/// A running worker.
#[derive(Debug)]
#[must_use = "a dropped handle stops the worker"]
pub struct WorkerHandle {
    engine: Arc<Engine>,
    parts: Vec<Arc<Part>>,
    stop: Stop,
    loops: Arc<AtomicUsize>,
}

impl WorkerHandle {
    pub(super) fn start(setup: Arc<Setup>, round: Round) -> Self {
        let engine = Engine::new(Arc::clone(&setup), round);
        let members = setup.store.parts();
        let stores: Vec<Arc<dyn TaskStore>> = if members.is_empty() {
            vec![Arc::clone(&setup.store)]
        } else {
            members
        };
        let parts: Vec<_> = stores
            .into_iter()
            .map(|store| Part::new(Arc::clone(&engine), store))
            .collect();
        let handle = Self {
            engine,
            parts,
            stop: Stop::default(),
            loops: Arc::default(),
        };
        let setup = &handle.engine.setup;
        setup.meters.permits(setup.config.concurrency);
        for part in &handle.parts {
            handle.spawn(Heartbeat::new(Arc::clone(part)));
            handle.spawn(Watchdog::new(Arc::clone(part)));
            handle.spawn(Pump::new(Arc::clone(part)));
            handle.spawn(Detour::new(Arc::clone(part)));
            handle.spawn(Rescuer::new(Arc::clone(part)));
            handle.spawn(Maintainer::new(Arc::clone(part)));
        }
        if let Some(part) = handle.parts.first() {
            if Inspector::is_wanted(&handle.engine) {
                handle.spawn(Inspector::new(&handle.parts));
            }
            for sink in 0..setup.alerts.sinks.len() {
                handle.spawn(Herald::new(Arc::clone(part), sink));
            }
        }
        handle
    }

    fn spawn(&self, steps: impl Step) {
        let (stop, loops, engine) = (
            self.stop.clone(),
            Arc::clone(&self.loops),
            Arc::clone(&self.engine),
        );
        loops.fetch_add(1, Ordering::AcqRel);
        let running = async move {
            drive(steps, stop).await;
            loops.fetch_sub(1, Ordering::AcqRel);
            engine.progress.notify_waiters();
        };
        self.engine.spawn.spawn(Box::pin(running));
    }

    pub(super) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Attempts that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.engine.permits.running()
    }

    /// Ends when every part of the store has opened this worker's session: from then on it claims, and an attached client
    /// can run tasks here. It waits as long as the store does not answer. Cancel-safe.
    pub async fn ready(&self) {
        self.until(Part::lease_is_current).await;
    }

    pub(crate) fn attachment(&self) -> Attachment {
        Attachment::new(&self.parts)
    }

    /// How many alerts this worker has raised, and what became of them.
    #[must_use]
    pub fn alerts(&self) -> AlertCounts {
        self.engine.alerts.counts()
    }

    /// Waits until every part is as asked.
    pub(super) async fn until(&self, done: impl Fn(&Part) -> bool) {
        self.engine
            .until(|| self.parts.iter().all(|part| done(part)))
            .await;
    }

    /// Stops gracefully: claims nothing more, hands back what was claimed ahead, lets handlers end within the grace,
    /// cancels the rest and hands it back after it has ended, writes the last outcomes and closes the session.
    ///
    /// It ends also when the store does not answer, however many parts it has: at most 30 seconds after the handlers' grace and cancel grace, up to
    /// ten of them for alerts that wait (a sink's own time limit, but at least five and at most ten). What was not written
    /// then is rescued by another worker; what no sink has taken is lost.
    ///
    /// If this future is dropped, the worker stops without grace.
    pub async fn shutdown(self) {
        tracing::info!(running = self.running(), "shutting down");
        self.engine.stop_claiming();
        self.parts.iter().for_each(|part| part.hand_back_buffer());
        let config = &self.engine.setup.config;
        let engine = &self.engine;
        // Transactions under way have the grace as well: what is born meanwhile is handed back. They are not waited for
        // longer; what is born later falls to a rescuer.
        let quiet = || engine.permits.taken_in_all() == 0;
        self.at_most(config.shutdown_grace, engine.until(quiet)).await;
        let ended = || engine.permits.running() == 0;
        self.parts
            .iter()
            .for_each(|part| part.held.cancel_all(CancelReason::Shutdown));
        let flushed = || ended() && self.parts.iter().all(|part| part.is_flushed());
        self.at_most(config.cancel_grace + FLUSH_LIMIT, engine.until(flushed))
            .await;
        let told = || engine.alerts.is_idle();
        let sink_limit = engine.setup.alerts.options.timeout;
        let limit = sink_limit.clamp(*LAST_ALERTS_LIMITS.start(), *LAST_ALERTS_LIMITS.end());
        self.at_most(limit, engine.until(told)).await;
        let stopped = || self.loops.load(Ordering::Acquire) == 0;
        self.stop.soon.cancel();
        self.at_most(LAST_CALL_LIMIT, engine.until(stopped)).await;
        self.stop.now.cancel();
        engine.until(stopped).await;
        join_all(self.parts.iter().map(|part| close_session(part))).await;
        tracing::info!("shut down");
    }

    async fn at_most(&self, limit: Duration, done: impl Future<Output = ()> + Send) {
        let clock = &self.engine.setup.clock;
        let over = clock.sleep_until(clock.monotonic() + limit);
        drop(select(Box::pin(done), over).await);
    }
}

async fn close_session(part: &Part) {
    if let Some(id) = part.session().id()
        && let Err(error) = part.within(LAST_CALL_LIMIT, part.store.close_session(id)).await
    {
        tracing::warn!(%error, "the session was not closed; its lease will end by itself");
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.engine.stop_claiming();
        self.stop.soon.cancel();
        self.stop.now.cancel();
        for part in &self.parts {
            part.held.cancel_all(CancelReason::Shutdown);
            part.outgoing.close();
        }
    }
}
