//! The inspector: looks for tasks that do not start and attempts that do not end, when automatic recovery has had its
//! chance.
//!
//! What one look finds is told when the next finds it again, and once, until a look does not find it any more. Tasks that
//! wait are seen by the heads of their lanes, so a backlog of a million tasks is one incident and costs no more than one of
//! ten; attempts are those of this worker, which asks the store for the few it tells of only. All parts of a store are
//! looked at together: a queue is one queue, wherever its tasks are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;

use super::drive::Step;
use super::look::{Head, Look};
use super::part::{Engine, Part};
use crate::alert::{Alert, AlertReason, AlertTask};
use crate::clock::{Clock as _, Monotonic};
use crate::id::TaskId;
use crate::name::{Kind, Queue};
use crate::store::StoreErrorKind;
use crate::task::State;

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

/// An incident that was found, and the parts where.
#[derive(Debug)]
struct Standing {
    stage: Stage,
    parts: BTreeSet<usize>,
}

#[derive(Debug)]
pub(super) struct Inspector {
    parts: Vec<Arc<Part>>,
    standing: BTreeMap<Incident, Standing>,
    /// How long the oldest due task of each queue has waited, by part, as it was last measured.
    lags: Vec<BTreeMap<Queue, Duration>>,
    /// The queues whose lag was last told. One that is empty need not be reported by the store any more.
    measured: BTreeSet<Queue>,
}

/// What a look finds, and in which parts; without an alert where nothing new is to be told.
type Seen = BTreeMap<Incident, (Option<Alert>, BTreeSet<usize>)>;

impl Inspector {
    pub(super) fn new(parts: &[Arc<Part>]) -> Self {
        Self {
            parts: parts.to_vec(),
            standing: BTreeMap::new(),
            lags: vec![BTreeMap::new(); parts.len()],
            measured: BTreeSet::new(),
        }
    }

    /// Whether anybody wants to know what it sees.
    pub(super) fn is_wanted(engine: &Engine) -> bool {
        engine.alerts.is_on() || engine.setup.meters.are_on()
    }

    fn engine(&self) -> &Engine {
        &self.parts[0].engine
    }

    /// Looks at every part at once; none of one where nothing has recovered by itself yet, or that does not answer.
    async fn look(&self) -> Vec<Option<Look>> {
        let at = async |part: &Arc<Part>| {
            if !part.rescued.load(Ordering::Acquire) {
                return None;
            }
            let looked = Look::at(part).await;
            looked
                .inspect_err(|error| tracing::warn!(%error, "the look for tasks that hang failed"))
                .ok()
        };
        join_all(self.parts.iter().map(at)).await
    }

    async fn inspect(&mut self) {
        let looks = self.look().await;
        if looks.iter().all(Option::is_none) {
            return;
        }
        self.measure(&looks);
        let mut seen = Seen::new();
        self.waiting(&looks, &mut seen);
        self.running(&looks, &mut seen).await;
        let alerts = &self.parts[0].engine.alerts;
        let mut before = std::mem::take(&mut self.standing);
        for (incident, (alert, parts)) in seen {
            let stage = match (before.remove(&incident).map(|was| was.stage), alert) {
                (None, Some(_)) | (Some(Stage::Seen), None) => Stage::Seen,
                (Some(Stage::Told), _) => Stage::Told,
                (Some(Stage::Seen), Some(alert)) => {
                    alerts.raise(alert, self.parts[0].clock.monotonic());
                    Stage::Told
                }
                // The store did not say what it is.
                (None, None) => continue,
            };
            self.standing.insert(incident, Standing { stage, parts });
        }
        // What a part showed that says nothing now stands as it stood.
        let silent = |part: &usize| looks[*part].is_none();
        before.retain(|_, standing| standing.parts.iter().any(silent));
        self.standing.append(&mut before);
    }

    /// Measures the lag of every queue, the longest of all parts; of those that the store reports no more, it is zero, once.
    /// A part that does not answer lags as it did.
    fn measure(&mut self, looks: &[Option<Look>]) {
        // A worker has a session in each part.
        let sessions = looks.iter().flatten().map(Look::live_sessions).max();
        for (lags, look) in self.lags.iter_mut().zip(looks) {
            if let Some(look) = look {
                *lags = look.lags();
            }
        }
        let mut longest: BTreeMap<Queue, Duration> = BTreeMap::new();
        for (queue, lag) in self.lags.iter().flatten() {
            let known = longest.entry(queue.clone()).or_default();
            *known = (*known).max(*lag);
        }
        let reported = longest.keys().cloned().collect();
        for gone in std::mem::replace(&mut self.measured, reported) {
            longest.entry(gone).or_default();
        }
        let meters = &self.engine().setup.meters;
        meters.sessions(sessions.unwrap_or_default());
        meters.lags(&longest);
    }

    /// Kinds of a queue whose oldest due task waits too long.
    fn waiting(&self, looks: &[Option<Look>], seen: &mut Seen) {
        let limit = self.engine().setup.alerts.options.not_started_after;
        let Some(limit) = limit.filter(|_| self.engine().alerts.is_on()) else {
            return;
        };
        let mut late: BTreeMap<(&Queue, &Kind), (Head, BTreeSet<usize>)> = BTreeMap::new();
        for (index, look) in looks.iter().enumerate() {
            let heads = look.iter().flat_map(Look::heads);
            for (queue, kind, head) in heads.filter(|(_, _, head)| head.span > limit) {
                let (oldest, parts) = late
                    .entry((queue, kind))
                    .or_insert_with(|| (head, BTreeSet::new()));
                if head.span > oldest.span {
                    *oldest = head;
                }
                parts.insert(index);
            }
        }
        let now = self.parts[0].clock.now();
        for ((queue, kind), (head, parts)) in late {
            let reason = match head.handled {
                true => AlertReason::NotStarted,
                false => AlertReason::UnhandledKind,
            };
            let (alerts, rule) = (&self.engine().alerts, Arc::from(reason.as_str()));
            let alert = Alert {
                incident: format!("waits:{queue}:{kind}"),
                span: head.span,
                ..alerts.bare(reason, rule, queue.clone(), Some(kind.clone()), now)
            };
            let incident = Incident::Waits(queue.clone(), kind.clone());
            seen.insert(incident, (Some(alert), parts));
        }
    }

    /// Attempts of this worker that run too long.
    async fn running(&self, looks: &[Option<Look>], seen: &mut Seen) {
        let limit = self.engine().setup.alerts.options.running_after;
        let Some(limit) = limit.filter(|_| self.engine().alerts.is_on()) else {
            return;
        };
        for (index, part) in self.parts.iter().enumerate() {
            if looks[index].is_some() {
                self.running_in(index, part, limit, seen).await;
            }
        }
    }

    /// The same of one part. The store is asked of those that are not told yet, and no more when it does not answer: they
    /// keep their stages until the next look.
    async fn running_in(&self, index: usize, part: &Part, limit: Duration, seen: &mut Seen) {
        let clock = part.clock.monotonic();
        let Some(before) = clock.since_start().checked_sub(limit) else {
            return;
        };
        let mut answers = true;
        for (id, version, since) in part.held.running_since(Monotonic::from_start(before)) {
            let incident = Incident::Runs(id, version);
            let here = BTreeSet::from([index]);
            let is_told = |was: &Standing| was.stage == Stage::Told;
            if !answers || self.standing.get(&incident).is_some_and(is_told) {
                seen.insert(incident, (None, here));
                continue;
            }
            let detail = match part.call(part.store.get(id)).await {
                Ok(Some(detail)) => detail,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(task = %id, %error, "a long run was not looked up");
                    answers = error.kind() == StoreErrorKind::Corrupt;
                    seen.insert(incident, (None, here));
                    continue;
                }
            };
            let task = &detail.task;
            if task.state != State::Running || task.session != part.session().id() {
                // It runs on without its lease: another worker has the task, or had it.
                continue;
            }
            let reason = AlertReason::RunningLong;
            let (alerts, rule) = (&part.engine.alerts, Arc::from(reason.as_str()));
            let (queue, kind, now) = (task.queue.clone(), task.kind.clone(), part.clock.now());
            let alert = Alert {
                incident: format!("runs:{id}:{version}"),
                task: Some(AlertTask::of(task, task.state, None)),
                span: clock.saturating_since(since),
                ..alerts.bare(reason, rule, queue, Some(kind), now)
            };
            seen.insert(incident, (Some(alert), here));
        }
    }
}

impl Step for Inspector {
    fn part(&self) -> &Arc<Part> {
        &self.parts[0]
    }

    fn name(&self) -> &'static str {
        "inspector"
    }

    async fn step(&mut self) -> Monotonic {
        let part = Arc::clone(&self.parts[0]);
        let setup = &part.engine.setup;
        let interval = setup.alerts.options.check_interval;
        let first = part.clock.monotonic() + interval;
        let rescued = |part: &Arc<Part>| part.rescued.load(Ordering::Acquire);
        if !self.parts.iter().any(rescued) {
            // Nothing has recovered by itself yet.
            return first.min(part.clock.monotonic() + setup.config.rescue_interval);
        }
        self.inspect().await;
        part.clock.monotonic() + part.engine.jittered(interval)
    }

    async fn woken(&mut self) {
        std::future::pending().await
    }
}
