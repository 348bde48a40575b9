//! The meters: handles are made once for each kind and queue, so that a task pays for two look-ups and some additions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::metered::Metered;
use super::names::{self, TABLE, Type};
use crate::alert::AlertReason;
use crate::name::{Kind, OutboxName, Queue};
use crate::store::{Inserted, TaskStore, Written};
use crate::task::{NewTask, State, Task};
use crate::time::Timestamp;

/// Pairs of kind and queue, and queues alone, with metrics of their own. Names come from stored tasks, too, so a bound keeps a mistake, such
/// as a customer's id in a kind's name, from filling the memory of whoever collects the metrics.
const MAX_PAIRS: usize = 1_000;
/// The label in place of names beyond the bound.
const OTHER: &str = "other";

/// The metrics of one kind in one queue.
struct PairMeters {
    /// The pair's labels.
    kind: String,
    queue: String,
    enqueued: Counter,
    claimed: Counter,
    succeeded: Counter,
    tried: Counter,
    attempts_failed: Counter,
    retried: Counter,
    failed: Counter,
    snoozed: Counter,
    cancelled: Counter,
    crashed: Counter,
    attempt_seconds: Histogram,
    wait_seconds: Histogram,
}

impl PairMeters {
    fn new(kind: &str, queue: &str) -> Self {
        let labels = || [("kind", kind.to_owned()), ("queue", queue.to_owned())];
        let counter = |name: &'static str| metrics::counter!(name, &labels());
        Self {
            kind: kind.to_owned(),
            queue: queue.to_owned(),
            enqueued: counter(names::ENQUEUED),
            claimed: counter(names::CLAIMED),
            succeeded: counter(names::SUCCEEDED),
            tried: counter(names::TRIED),
            attempts_failed: counter(names::ATTEMPTS_FAILED),
            retried: counter(names::RETRIED),
            failed: counter(names::FAILED),
            snoozed: counter(names::SNOOZED),
            cancelled: counter(names::CANCELLED),
            crashed: counter(names::CRASHED),
            attempt_seconds: metrics::histogram!(names::ATTEMPT_SECONDS, &labels()),
            wait_seconds: metrics::histogram!(names::WAIT_SECONDS, &labels()),
        }
    }
}

/// The metrics of a worker, or of a client, as a whole.
struct WholeMeters {
    running: Gauge,
    permits: Gauge,
    sessions: Gauge,
    sessions_lost: Counter,
    exchange_edits: Histogram,
    exchange_claims: Histogram,
}

#[derive(Default)]
struct Pairs {
    by_kind: HashMap<Kind, HashMap<Queue, Arc<PairMeters>>>,
    count: usize,
    other: Option<Arc<PairMeters>>,
}

/// Handles bind to the recorder that is installed when they are first used.
#[derive(Default)]
pub(crate) struct Meters {
    pairs: RwLock<Pairs>,
    /// The queues that are labels by themselves.
    queues: Mutex<HashSet<Queue>>,
    whole: OnceLock<WholeMeters>,
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[expect(clippy::unused_self, reason = "the same call as without the feature")]
    pub(crate) const fn are_on(&self) -> bool {
        true
    }

    /// The store with its errors counted.
    #[expect(clippy::unused_self, reason = "the same call as without the feature")]
    pub(crate) fn wrap(&self, store: Arc<dyn TaskStore>) -> Arc<dyn TaskStore> {
        Arc::new(Metered::new(store))
    }

    fn whole(&self) -> &WholeMeters {
        self.whole.get_or_init(|| {
            describe();
            WholeMeters {
                running: metrics::gauge!(names::RUNNING),
                permits: metrics::gauge!(names::PERMITS),
                sessions: metrics::gauge!(names::SESSIONS),
                sessions_lost: metrics::counter!(names::SESSIONS_LOST),
                exchange_edits: metrics::histogram!(names::EXCHANGE_EDITS),
                exchange_claims: metrics::histogram!(names::EXCHANGE_CLAIMS),
            }
        })
    }

    fn pair(&self, kind: &Kind, queue: &Queue) -> Arc<PairMeters> {
        let known = |pairs: &Pairs| pairs.by_kind.get(kind)?.get(queue).cloned();
        if let Some(pair) = known(&self.pairs.read().unwrap_or_else(PoisonError::into_inner)) {
            return pair;
        }
        let mut pairs = self.pairs.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(pair) = known(&pairs) {
            return pair;
        }
        if pairs.count >= MAX_PAIRS {
            let other = pairs
                .other
                .get_or_insert_with(|| Arc::new(PairMeters::new(OTHER, OTHER)));
            return Arc::clone(other);
        }
        pairs.count += 1;
        let pair = Arc::new(PairMeters::new(kind.as_str(), queue.as_str()));
        let queues = pairs.by_kind.entry(kind.clone()).or_default();
        queues.insert(queue.clone(), Arc::clone(&pair));
        pair
    }

    /// Whether the queue is a label by itself.
    fn is_label(&self, queue: &Queue) -> bool {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.contains(queue) || (queues.len() < MAX_PAIRS && queues.insert(queue.clone()))
    }

    fn of(&self, task: &Task) -> Arc<PairMeters> {
        self.pair(&task.kind, &task.queue)
    }

    pub(crate) fn enqueued(&self, tasks: &[NewTask], inserted: &[Inserted]) {
        for (task, inserted) in tasks.iter().zip(inserted) {
            if matches!(inserted, Inserted::New { .. }) {
                self.pair(&task.kind, &task.queue).enqueued.increment(1);
            }
        }
    }

    pub(crate) fn claimed(&self, task: &Task) {
        self.of(task).claimed.increment(1);
    }

    pub(crate) fn started(&self, task: &Task, now: Timestamp, running: usize) {
        let waited = now.saturating_since(task.run_at);
        self.of(task).wait_seconds.record(waited.as_secs_f64());
        self.whole().running.set(as_float(running));
    }

    /// `running`: what still runs besides.
    pub(crate) fn ended(&self, task: &Task, took: Duration, running: usize) {
        self.of(task).attempt_seconds.record(took.as_secs_f64());
        self.whole().running.set(as_float(running));
    }

    /// What the store has recorded of a task.
    pub(crate) fn settled(&self, task: &Task, written: Written<'_>) {
        let pair = self.of(task);
        let to = match written {
            Written::Forgotten => return pair.succeeded.increment(1),
            Written::Target { to, .. } => to,
        };
        // A parent fails by its children without an attempt.
        let failed_attempt = to.failure.as_ref().is_some_and(|failure| failure.attempt > 0);
        pair.attempts_failed.increment(u64::from(failed_attempt));
        let given_back = to.attempt < task.attempt && to.step == task.step;
        match to.state {
            State::Succeeded => pair.succeeded.increment(1),
            State::Failed => pair.failed.increment(1),
            State::Cancelled => pair.cancelled.increment(1),
            State::Pending if failed_attempt => pair.retried.increment(1),
            State::Pending if given_back => pair.snoozed.increment(1),
            State::Pending | State::Running | State::Waiting | State::Joining => {}
        }
    }

    /// A task that succeeded without ever being stored.
    pub(crate) fn tried(&self, task: &NewTask) {
        self.pair(&task.kind, &task.queue).tried.increment(1);
    }

    /// Rows of a queue that a claim could not read.
    pub(crate) fn unreadable(&self, queue: &Queue, rows: usize) {
        if rows > 0 {
            let queue = if self.is_label(queue) {
                queue.as_str()
            } else {
                OTHER
            };
            metrics::counter!(names::UNREADABLE, "queue" => queue.to_owned()).increment(rows as u64);
        }
    }

    pub(crate) fn crashed(&self, task: &Task) {
        self.of(task).crashed.increment(1);
    }

    pub(crate) fn session_lost(&self) {
        self.whole().sessions_lost.increment(1);
    }

    pub(crate) fn exchange(&self, edits: usize, claims: usize) {
        self.whole().exchange_edits.record(as_float(edits));
        self.whole().exchange_claims.record(as_float(claims));
    }

    pub(crate) fn permits(&self, permits: usize) {
        self.whole().permits.set(as_float(permits));
    }

    pub(crate) fn sessions(&self, live: usize) {
        self.whole().sessions.set(as_float(live));
    }

    /// The lags of all queues at a time: those beyond the bound share the largest.
    pub(crate) fn lags(&self, lags: &BTreeMap<Queue, Duration>) {
        let set = |queue: &str, lag: Duration| {
            metrics::gauge!(names::OLDEST_DUE_SECONDS, "queue" => queue.to_owned()).set(lag.as_secs_f64());
        };
        let mut others = None;
        for (queue, lag) in lags {
            if self.is_label(queue) {
                set(queue.as_str(), *lag);
            } else {
                others = others.max(Some(*lag));
            }
        }
        if let Some(lag) = others {
            set(OTHER, lag);
        }
    }

    pub(crate) fn alert(&self, reason: AlertReason, queue: &Queue, kind: Option<&Kind>, raised: bool) {
        let name = if raised {
            names::ALERTS
        } else {
            names::ALERTS_DROPPED
        };
        let (kind, queue) = match kind {
            Some(kind) => {
                let pair = self.pair(kind, queue);
                (pair.kind.clone(), pair.queue.clone())
            }
            None if self.is_label(queue) => (String::new(), queue.as_str().to_owned()),
            None => (String::new(), OTHER.to_owned()),
        };
        let labels = [
            ("reason", reason.as_str().to_owned()),
            ("kind", kind),
            ("queue", queue),
        ];
        metrics::counter!(name, &labels).increment(1);
    }
}

fn as_float(count: usize) -> f64 {
    // Counts of tasks and futures are far below 2³².
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn describe() {
    for metric in TABLE {
        match metric.ty {
            Type::Counter => metrics::describe_counter!(metric.name, metric.about),
            Type::Gauge => metrics::describe_gauge!(metric.name, metric.about),
            Type::Histogram => metrics::describe_histogram!(metric.name, metric.about),
        }
    }
}

/// Whether a part of a sharded store is left alone by this client.
pub(crate) fn part_open(part: &str, open: bool) {
    let gauge = metrics::gauge!(names::PART_OPEN, "part" => part.to_owned());
    gauge.set(f64::from(u8::from(open)));
}

/// Rows that a relay handed over.
pub(crate) fn outbox_handed_over(outbox: &OutboxName, rows: usize) {
    metrics::counter!(names::OUTBOX_HANDED_OVER, "outbox" => outbox.as_str().to_owned())
        .increment(rows as u64);
}

/// A row that a relay set aside.
pub(crate) fn outbox_set_aside(outbox: &OutboxName) {
    metrics::counter!(names::OUTBOX_SET_ASIDE, "outbox" => outbox.as_str().to_owned()).increment(1);
}

/// What waits in an outbox, and for how long.
pub(crate) fn outbox_lag(outbox: &OutboxName, rows: u64, age: Duration) {
    let label = || outbox.as_str().to_owned();
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    metrics::gauge!(names::OUTBOX_WAITING, "outbox" => label()).set(as_float(rows));
    metrics::gauge!(names::OUTBOX_LAG_SECONDS, "outbox" => label()).set(age.as_secs_f64());
}
