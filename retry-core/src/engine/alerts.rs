//! What is told of failures: judged where an outcome is decided, queued for each sink when the store has recorded it,
//! delivered by the sink's herald.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::build_error::BuildError;
use super::mailbox::Mailbox;
use super::part::lock;
use super::worker::Setup;
use crate::alert::{
    Alert, AlertCounts, AlertOptions, AlertReason, AlertRule, AlertSink, AlertTask, CoolDownBy, Facts,
};
use crate::clock::Monotonic;
use crate::id::TaskId;
use crate::limits::MAX_COOL_DOWNS;
use crate::name::{Kind, Queue};
use crate::store::{BadRecord, Took, Written};
use crate::task::{Action, ErrorText, State, Target, Task};
use crate::time::Timestamp;

/// A worker's own settings for alerts.
#[derive(Debug, Clone, Default)]
pub(super) struct AlertConfig {
    pub(super) rules: Vec<AlertRule>,
    pub(super) sinks: Vec<Arc<dyn AlertSink>>,
    pub(super) options: AlertOptions,
}

impl AlertConfig {
    /// Refuses what cannot work; fills in the default rule.
    pub(super) fn checked(mut self) -> Result<Self, BuildError> {
        let options = &self.options;
        for (what, is_zero) in [
            ("the queue of alerts", options.queue == 0),
            ("the time of an alert sink", options.timeout.is_zero()),
            (
                "the interval of checks for alerts",
                options.check_interval.is_zero(),
            ),
        ] {
            if is_zero {
                return Err(BuildError::Zero(what));
            }
        }
        if self.rules.is_empty() {
            self.rules.push(AlertRule::default());
        }
        Ok(self)
    }

    /// Whether anybody listens.
    pub(super) fn is_on(&self) -> bool {
        !self.sinks.is_empty()
    }
}

/// Which rules are evaluated on a failure: none on one of a kind with a fallback that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judge {
    Rules,
    /// Only what is told in any case.
    Nothing,
}

/// What is to be told of an edit, by the target of it that the store takes.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<(Took, Alert)>);

impl Told {
    /// What is to be told of what was written.
    pub(super) fn of(self, written: Written<'_>) -> Option<Alert> {
        let Written::Target { took, .. } = written else {
            return None;
        };
        let told = self.0.into_iter().find(|(of, _)| *of == took);
        told.map(|(_, alert)| alert)
    }
}

/// What cool-downs tell apart.
type Group = (Arc<str>, Option<Kind>, Option<TaskId>);

#[derive(Debug)]
struct Cooling {
    until: Monotonic,
    suppressed: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// One for each sink, so that none makes another wait, or lose anything.
    mailboxes: Vec<Mailbox>,
    cooling: HashMap<Group, Cooling>,
}

#[derive(Debug, Default)]
struct Counters {
    raised: AtomicU64,
    suppressed: AtomicU64,
    dropped: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
}

pub(super) struct Alerts {
    setup: Arc<Setup>,
    waiting: Mutex<Waiting>,
    counters: Counters,
    /// Tells each sink's herald that there is an alert.
    wakes: Vec<Notify>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.counters, f)
    }
}

impl Alerts {
    pub(super) fn new(setup: Arc<Setup>) -> Self {
        let sinks = setup.alerts.sinks.iter();
        let waiting = Waiting {
            mailboxes: sinks.clone().map(|_| Mailbox::default()).collect(),
            cooling: HashMap::new(),
        };
        Self {
            wakes: sinks.map(|_| Notify::new()).collect(),
            setup,
            waiting: Mutex::new(waiting),
            counters: Counters::default(),
        }
    }

    fn config(&self) -> &AlertConfig {
        &self.setup.alerts
    }

    pub(super) fn is_on(&self) -> bool {
        self.config().is_on()
    }

    pub(super) fn counts(&self) -> AlertCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let mut counts = AlertCounts::default();
        (counts.raised, counts.suppressed) = (of(&counters.raised), of(&counters.suppressed));
        (counts.dropped, counts.delivered) = (of(&counters.dropped), of(&counters.delivered));
        counts.failed = of(&counters.failed);
        counts
    }

    // Judging.

    /// What is to be told of an action, for each target that the store may take.
    pub(super) fn of_action(&self, task: &Task, action: &Action, judge: Judge, now: Timestamp) -> Told {
        let Action::Set(change) = action else {
            return Told::default();
        };
        // What has ended before only has its alarm silenced.
        if !self.is_on() || change.from.is_final() {
            return Told::default();
        }
        let of = |took: Took| Some((took, self.of_target(task, took.offered(change)?, judge, now)?));
        Told(Took::ALL.into_iter().filter_map(of).collect())
    }

    /// Nothing of a success, a cancel or a hand-back.
    fn of_target(&self, task: &Task, to: &Target, judge: Judge, now: Timestamp) -> Option<Alert> {
        let failed = to.state == State::Failed;
        let failure = to.failure.as_deref();
        if !failed && failure.is_none() {
            return None;
        }
        let error = failure.map(|failure| failure.error.clone());
        let lost = to.crashes > task.crashes;
        let reason = match (failed, lost) {
            (true, true) if spent(task, to) => AlertReason::CrashBudgetSpent,
            (true, _) => AlertReason::TaskFailed,
            (false, true) => AlertReason::LeaseLost,
            (false, false) => AlertReason::AttemptFailed,
        };
        let rule = if failed {
            Arc::from(reason.as_str())
        } else {
            let error = error.as_ref().map_or("", ErrorText::as_str);
            let facts = facts(task, to, error, now);
            self.rules(&task.kind, judge)
                .find(|rule| rule.fits(&facts))?
                .shared_name()
        };
        let next_run_at = (!failed).then_some(to.run_at);
        let mut told = AlertTask::of(task, to.state, next_run_at);
        told.crashes = to.crashes;
        Some(Alert {
            incident: format!(
                "task:{}:{}:{}",
                task.id,
                task.reruns,
                if failed { "failed" } else { "retried" }
            ),
            task: Some(told),
            error,
            span: now.saturating_since(task.created_at),
            ..self.bare(reason, rule, task.queue.clone(), Some(task.kind.clone()), now)
        })
    }

    /// A row that cannot be read.
    pub(super) fn of_bad(&self, bad: &BadRecord, queue: &Queue, now: Timestamp) -> Option<Alert> {
        let reason = AlertReason::Unreadable;
        self.is_on().then(|| Alert {
            incident: format!("task:{}:unreadable", bad.id),
            error: Some(ErrorText::new(format!("task {}: {}", bad.id, bad.reason))),
            ..self.bare(reason, Arc::from(reason.as_str()), queue.clone(), None, now)
        })
    }

    pub(super) fn bare(
        &self,
        reason: AlertReason,
        rule: Arc<str>,
        queue: Queue,
        kind: Option<Kind>,
        at: Timestamp,
    ) -> Alert {
        Alert {
            reason,
            rule,
            incident: String::new(),
            at,
            worker: self.setup.config.name.clone(),
            queue,
            kind,
            task: None,
            error: None,
            span: Duration::ZERO,
            suppressed: 0,
        }
    }

    /// How a failure is judged that no run of the handler brought about: the fallback of its kind, if there is one, has
    /// not run.
    pub(super) fn without_fallback(&self, kind: &Kind) -> Judge {
        let entry = self.setup.kinds.get(kind);
        match entry.and_then(|entry| entry.options.fallback.as_ref()) {
            Some(_) => Judge::Nothing,
            None => Judge::Rules,
        }
    }

    fn rules(&self, kind: &Kind, judge: Judge) -> impl Iterator<Item = &AlertRule> {
        let own = self
            .setup
            .kinds
            .get(kind)
            .and_then(|entry| entry.options.alert_rule());
        let (own, all) = match (judge, own) {
            (Judge::Nothing, _) => (None, &[][..]),
            (Judge::Rules, Some(own)) => (Some(own), &[][..]),
            (Judge::Rules, None) => (None, self.config().rules.as_slice()),
        };
        own.into_iter().chain(all)
    }

    // Queueing.

    /// Puts an alert into every sink's queue, unless it cools down; what does not fit is dropped.
    pub(super) fn raise(&self, mut alert: Alert, now: Monotonic) {
        let limit = self.config().options.queue;
        let mut waiting = lock(&self.waiting);
        let fits = waiting
            .mailboxes
            .iter()
            .any(|mailbox| mailbox.takes(&alert, limit));
        match self.cooled(&mut waiting, &alert, fits, now) {
            Some(suppressed) => alert.suppressed = suppressed,
            None => return count(&self.counters.suppressed),
        }
        let alert = Arc::new(alert);
        let mailboxes = waiting.mailboxes.iter_mut();
        let dropped: Vec<_> = mailboxes
            .filter_map(|mailbox| mailbox.put(Arc::clone(&alert), limit))
            .collect();
        for displaced in dropped.iter().filter(|dropped| !Arc::ptr_eq(dropped, &alert)) {
            // As if it had not fitted when it came.
            if let Some(cooling) = self
                .group(displaced)
                .and_then(|group| waiting.cooling.get_mut(&group))
            {
                cooling.until = now;
            }
        }
        drop(waiting);
        if fits {
            count(&self.counters.raised);
            self.meter(&alert, true);
            self.wakes.iter().for_each(Notify::notify_one);
        }
        for dropped in dropped {
            count(&self.counters.dropped);
            self.meter(&dropped, false);
            tracing::debug!(reason = %dropped.reason, "an alert was dropped: the queue of a sink is full");
        }
    }

    fn meter(&self, alert: &Alert, raised: bool) {
        let meters = &self.setup.meters;
        meters.alert(alert.reason, &alert.queue, alert.kind.as_ref(), raised);
    }

    /// What it cools down with; none: it does not.
    fn group(&self, alert: &Alert) -> Option<Group> {
        let options = &self.config().options;
        let by_rule = matches!(alert.reason, AlertReason::AttemptFailed | AlertReason::LeaseLost);
        if !by_rule || options.cool_down.is_zero() {
            return None;
        }
        let task = alert.task.as_ref().filter(|_| options.by == CoolDownBy::Task);
        Some((
            Arc::clone(&alert.rule),
            alert.kind.clone(),
            task.map(|task| task.id),
        ))
    }

    /// How many like it were held back before it; none: it is held back itself. What does not fit starts no cool-down: it
    /// is told to nobody, and the next like it shall be.
    fn cooled(&self, waiting: &mut Waiting, alert: &Alert, fits: bool, now: Monotonic) -> Option<u64> {
        let Some(group) = self.group(alert) else {
            return Some(0);
        };
        let until = now + self.config().options.cool_down;
        if let Some(cooling) = waiting.cooling.get_mut(&group) {
            if now < cooling.until {
                cooling.suppressed += 1;
                return None;
            }
            if !fits {
                return Some(0);
            }
            cooling.until = until;
            return Some(std::mem::take(&mut cooling.suppressed));
        }
        if !fits {
            return Some(0);
        }
        if waiting.cooling.len() >= MAX_COOL_DOWNS {
            waiting.cooling.retain(|_, cooling| now < cooling.until);
            if waiting.cooling.len() >= MAX_COOL_DOWNS {
                waiting.cooling.clear();
            }
        }
        let suppressed = 0;
        waiting.cooling.insert(group, Cooling { until, suppressed });
        Some(0)
    }

    // Delivery.

    /// The next alert for a sink; it counts as waiting until the next call.
    pub(super) fn next(&self, sink: usize) -> Option<Arc<Alert>> {
        lock(&self.waiting).mailboxes.get_mut(sink)?.next()
    }

    /// Ends when there is an alert for a sink. Cancel-safe.
    pub(super) async fn woken(&self, sink: usize) {
        match self.wakes.get(sink) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn done(&self, delivered: bool) {
        let counters = &self.counters;
        count(if delivered {
            &counters.delivered
        } else {
            &counters.failed
        });
    }

    /// Whether nothing waits and nothing is being delivered.
    pub(super) fn is_idle(&self) -> bool {
        lock(&self.waiting).mailboxes.iter().all(Mailbox::is_idle)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn spent(task: &Task, to: &Target) -> bool {
    let budget = task.settings.crash_budget;
    budget.is_some_and(|budget| to.crashes >= budget)
}

fn facts<'a>(task: &'a Task, to: &Target, error: &'a str, now: Timestamp) -> Facts<'a> {
    Facts {
        attempts: task.attempt,
        crashes: to.crashes,
        reruns: task.reruns,
        kind: task.kind.as_str(),
        queue: task.queue.as_str(),
        priority: task.priority.as_str(),
        state: to.state,
        age: now.saturating_since(task.created_at),
        error,
    }
}
