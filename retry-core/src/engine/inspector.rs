//! The inspector: looks for tasks that do not start and attempts that do not end, when automatic recovery has had its
//! chance.
//!
//! What one look finds is told when the next finds it again, and once, until a look does not find it any more. Tasks that
//! wait are seen by the heads of their lanes, so a backlog of a million tasks is one incident and costs no more than one of
//! ten; attempts are those of this worker, which asks the store for the few it tells of only.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::drive::Step;
use super::part::Part;
use crate::alert::{Alert, AlertReason, AlertTask};
use crate::clock::{Clock as _, Monotonic};
use crate::id::TaskId;
use crate::name::{Kind, Queue};
use crate::store::{QueueInfo, Result, Session};
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
}

impl Inspector {
    pub(super) const fn new(part: Arc<Part>) -> Self {
        Self {
            part,
            stages: BTreeMap::new(),
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
        let mut seen = BTreeMap::new();
        for queue in &queues {
            let heads = heads(queue);
            let lag = heads.values().map(|due| now.saturating_since(*due)).max();
            meters.lag(&queue.queue, lag.unwrap_or_default());
            if !queue.paused {
                self.waiting(&queue.queue, heads, &sessions, now, &mut seen);
            }
        }
        self.running(now, &mut seen).await?;
        let alerts = &part.engine.alerts;
        let before = std::mem::take(&mut self.stages);
        for (incident, alert) in seen {
            let stage = match before.get(&incident) {
                None => Stage::Seen,
                Some(Stage::Told) => Stage::Told,
                Some(Stage::Seen) => {
                    alerts.raise(alert, part.clock.monotonic());
                    Stage::Told
                }
            };
            self.stages.insert(incident, stage);
        }
        Ok(())
    }

    /// Kinds of a queue whose oldest due task waits too long.
    fn waiting(
        &self,
        queue: &Queue,
        heads: BTreeMap<&Kind, Timestamp>,
        sessions: &[Session],
        now: Timestamp,
        seen: &mut BTreeMap<Incident, Alert>,
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
            seen.insert(Incident::Waits(queue.clone(), kind.clone()), alert);
        }
    }

    /// Attempts of this worker that run too long.
    async fn running(&self, now: Timestamp, seen: &mut BTreeMap<Incident, Alert>) -> Result<()> {
        let (part, alerts) = (&self.part, &self.part.engine.alerts);
        let limit = part.engine.setup.alerts.options.running_after;
        let Some(limit) = limit.filter(|_| alerts.is_on()) else {
            return Ok(());
        };
        let clock = part.clock.monotonic();
        let Some(before) = clock.since_start().checked_sub(limit) else {
            return Ok(());
        };
        for (id, version, since) in part.held.running_since(Monotonic::from_start(before)) {
            let Some(detail) = part.call(part.store.get(id)).await? else {
                continue;
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
            seen.insert(Incident::Runs(id, version), alert);
        }
        Ok(())
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
