//! The inspector: looks for tasks that do not start and attempts that do not end, when automatic recovery has had its
//! chance.
//!
//! What one look finds is told when the next finds it again, and once, until a look does not find it any more. Tasks that
//! wait are seen by the heads of their lanes, so a backlog of a million tasks is one incident and costs no more than one of
//! ten; attempts are those of this worker, which asks the store for the few it tells of only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::drive::Step;
use super::part::Part;
use crate::alert::{Alert, AlertReason, AlertTask};
use crate::clock::{Clock as _, Monotonic};
use crate::id::TaskId;
use crate::name::{Kind, Queue};
use crate::store::{QueueInfo, Result, Session, StoreErrorKind};
use crate::task::State;
use crate::time::Timestamp;

/// What is amiss.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Incident {
    Waits(Queue, Kind),
    Runs(TaskId, u64),
}

/// How an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Seen,
    Told,
}

#[derive(Debug)]
pub(super) struct Inspector {
    part: Arc<Part>,
    stages: BTreeMap<Incident, Stage>,
    /// How long the oldest due task of each queue has waited, as it was last measured. A queue that is empty need not be
    /// reported by the store any more.
    lags: BTreeMap<Queue, Duration>,
}

/// What a look finds; without an alert where nothing new is to be told.
type Seen = BTreeMap<Incident, Option<Alert>>;

impl Inspector {
    pub(super) const fn new(part: Arc<Part>) -> Self {
        Self {
            part,
            stages: BTreeMap::new(),
            lags: BTreeMap::new(),
        }
    }

    /// Whether anybody wants to know what it sees.
    pub(super) fn is_wanted(part: &Part) -> bool {
        part.engine.alerts.is_on() || part.engine.setup.meters.are_on()
    }

    async fn look(&mut self) -> Result<()> {
        let part = Arc::clone(&self.part);
        let queues = part.call(part.store.queues()).await?;
        let sessions = part.call(part.store.sessions()).await?;
        let now = part.clock.now();
        let meters = &part.engine.setup.meters;
        meters.sessions(sessions.iter().filter(|session| !session.lost).count());
        self.measure(&queues, now);
        let mut seen = Seen::new();
        for queue in &queues {
            if !queue.paused {
                self.waiting(&queue.queue, heads(queue), &sessions, now, &mut seen);
            }
        }
        self.running(now, &mut seen).await;
        let alerts = &part.engine.alerts;
        let before = std::mem::take(&mut self.stages);
        for (incident, alert) in seen {
            let stage = match (before.get(&incident), alert) {
                (None, Some(_)) | (Some(Stage::Seen), None) => Stage::Seen,
                (Some(Stage::Told), _) => Stage::Told,
                (Some(Stage::Seen), Some(alert)) => {
                    alerts.raise(alert, part.clock.monotonic());
                    Stage::Told
                }
                // The store did not say what it is.
                (None, None) => continue,
            };
            self.stages.insert(incident, stage);
        }
        Ok(())
    }

    /// Measures the lag of every queue; of those that the store reports no more, it is zero, once.
    fn measure(&mut self, queues: &[QueueInfo], now: Timestamp) {
        let mut lags: BTreeMap<_, _> = queues
            .iter()
            .map(|queue| {
                let lag = queue
                    .lanes
                    .iter()
                    .map(|(_, due)| now.saturating_since(*due))
                    .max();
                (queue.queue.clone(), lag.unwrap_or_default())
            })
            .collect();
        let reported = lags.clone();
        for gone in std::mem::take(&mut self.lags).into_keys() {
            lags.entry(gone).or_default();
        }
        self.part.engine.setup.meters.lags(&lags);
        self.lags = reported;
    }

    /// Kinds of a queue whose oldest due task waits too long.
    fn waiting(
        &self,
        queue: &Queue,
        heads: BTreeMap<&Kind, Timestamp>,
        sessions: &[Session],
        now: Timestamp,
        seen: &mut Seen,
    ) {
        let alerts = &self.part.engine.alerts;
        let limit = self.part.engine.setup.alerts.options.not_started_after;
        let Some(limit) = limit.filter(|_| alerts.is_on()) else {
            return;
        };
        for (kind, due) in heads {
            let span = now.saturating_since(due);
            if span <= limit {
                continue;
            }
            let handled = sessions.iter().any(|session| {
                let info = &session.info;
                !session.lost && info.queues.contains(queue) && info.kinds.contains(kind)
            });
            let reason = match handled {
                true => AlertReason::NotStarted,
                false => AlertReason::UnhandledKind,
            };
            let rule = Arc::from(reason.as_str());
            let alert = Alert {
                incident: format!("waits:{queue}:{kind}"),
                span,
                ..alerts.bare(reason, rule, queue.clone(), Some(kind.clone()), now)
            };
            seen.insert(Incident::Waits(queue.clone(), kind.clone()), Some(alert));
        }
    }

    /// Attempts of this worker that run too long. The store is asked of those that are not told yet, and no more when it
    /// does not answer: they keep their stages until the next look.
    async fn running(&self, now: Timestamp, seen: &mut Seen) {
        let (part, alerts) = (&self.part, &self.part.engine.alerts);
        let limit = part.engine.setup.alerts.options.running_after;
        let Some(limit) = limit.filter(|_| alerts.is_on()) else {
            return;
        };
        let clock = part.clock.monotonic();
        let Some(before) = clock.since_start().checked_sub(limit) else {
            return;
        };
        let mut answers = true;
        for (id, version, since) in part.held.running_since(Monotonic::from_start(before)) {
            let incident = Incident::Runs(id, version);
            if !answers || self.stages.get(&incident) == Some(&Stage::Told) {
                seen.insert(incident, None);
                continue;
            }
            let detail = match part.call(part.store.get(id)).await {
                Ok(Some(detail)) => detail,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(task = %id, %error, "a long run was not looked up");
                    answers = error.kind() == StoreErrorKind::Corrupt;
                    seen.insert(incident, None);
                    continue;
                }
            };
            let task = &detail.task;
            if task.state != State::Running || task.session != part.session().id() {
                // It runs on without its lease: another worker has the task, or had it.
                continue;
            }
            let reason = AlertReason::RunningLong;
            let rule = Arc::from(reason.as_str());
            let alert = Alert {
                incident: format!("runs:{id}:{version}"),
                task: Some(AlertTask::of(task, task.state, None)),
                span: clock.saturating_since(since),
                ..alerts.bare(reason, rule, task.queue.clone(), Some(task.kind.clone()), now)
            };
            seen.insert(incident, Some(alert));
        }
    }
}

/// When the first task of each kind is due.
fn heads(queue: &QueueInfo) -> BTreeMap<&Kind, Timestamp> {
    let mut heads = BTreeMap::new();
    for (lane, due) in &queue.lanes {
        let head = heads.entry(&lane.kind).or_insert(*due);
        *head = (*head).min(*due);
    }
    heads
}

impl Step for Inspector {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "inspector"
    }

    async fn step(&mut self) -> Monotonic {
        let interval = self.part.engine.setup.alerts.options.check_interval;
        let first = self.part.clock.monotonic() + interval;
        if !self.part.rescued.load(std::sync::atomic::Ordering::Acquire) {
            // Nothing has recovered by itself yet.
            return first.min(self.part.clock.monotonic() + self.part.engine.setup.config.rescue_interval);
        }
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "the look for tasks that hang failed");
        }
        self.part.clock.monotonic() + self.part.engine.jittered(interval)
    }

    async fn woken(&mut self) {
        std::future::pending().await
    }
}
