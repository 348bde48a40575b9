//! How one kind is run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::quick::QuickRetries;
use crate::alert::{AlertRule, InvalidRule};
use crate::draft::TaskPayload;
use crate::executor::{Executor, Handler, Requirement, typed};
use crate::name::Kind;
use crate::policy::RetryPolicy;

/// What happens to a running handler when its worker's lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLeaseLost {
    /// It is cancelled: another worker may start the task.
    #[default]
    Cancel,
    /// It goes on; its outcome is recorded if nobody took the task meanwhile. Nobody can cancel it any more then, so give
    /// such a kind a timeout.
    Continue,
}

/// How a worker runs one kind.
#[derive(Clone, Default)]
#[must_use]
pub struct KindOptions {
    pub(super) retry: Option<RetryPolicy>,
    pub(super) timeout: Option<Duration>,
    pub(super) concurrency: Option<usize>,
    pub(super) fallback: Option<Fallback>,
    pub(super) quick: Option<QuickRetries>,
    pub(super) on_lease_lost: OnLeaseLost,
    pub(super) aliases: Vec<String>,
    pub(super) alert: Option<Result<AlertRule, InvalidRule>>,
}

#[derive(Clone)]
pub(super) struct Fallback {
    pub(super) threshold: u32,
    pub(super) executor: Arc<dyn Executor>,
}

impl KindOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The delays between attempts, in place of the payload's own policy. (The number of attempts and the give-up time
    /// are the task's, fixed when it was enqueued.)
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Repeats a failed run inside the same attempt: up to `times` more runs, the first after `pause`, which doubles with
    /// each; none begins later than `within` after the attempt began. For failures that are over in a moment, which are not
    /// worth the way through the store.
    ///
    /// The attempt's number does not change, nothing is written between the runs, and the lease is kept as for one long run.
    /// The lease's end, a shutdown, a cancel and the kind's [`timeout`](Self::timeout), which counts for all runs
    /// together, end them; a [`Final`](crate::executor::Final) error is not repeated. Only when they have failed does the
    /// [fallback](Self::fallback) run. What the attempt records is the last error with the number of quick retries;
    /// each of them is also an event of `tracing`.
    pub fn quick_retries(mut self, times: u32, pause: Duration, within: Duration) -> Self {
        self.quick = Some(QuickRetries { times, pause, within });
        self
    }

    /// How long one attempt may take. Then it is cancelled and counts as failed, unless it succeeds within its cancel grace.
    /// A fallback gets the same time again.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many tasks of this kind this worker runs at once.
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.concurrency = Some(limit);
        self
    }

    /// Runs `handler` in the same attempt when the primary failed and the attempt's number is above `threshold` (0: from
    /// the first failure on). If it succeeds the task has succeeded, by fallback; if it fails, the primary's error
    /// decides whether to retry.
    pub fn fallback<P, Args, H>(self, threshold: u32, handler: H) -> Self
    where
        P: TaskPayload,
        Args: 'static,
        H: Handler<P, Args>,
    {
        self.fallback_executor(threshold, typed(handler))
    }

    /// As [`fallback`](Self::fallback), with any executor.
    pub fn fallback_executor(mut self, threshold: u32, executor: Arc<dyn Executor>) -> Self {
        self.fallback = Some(Fallback { threshold, executor });
        self
    }

    /// Runs tasks of this kind as well: the name under which they were enqueued before it was renamed. A limit of the
    /// kind counts all its names together; a unique key keeps out only tasks of the same name.
    pub fn alias(mut self, kind: impl Into<String>) -> Self {
        self.aliases.push(kind.into());
        self
    }

    /// Which failed attempts of this kind are told to the worker's alert sinks, in place of the worker's own rules: a rule,
    /// or its text such as `attempts > 1 && attempts < 5`. A wrong text is reported when the worker is built.
    pub fn alert<R>(mut self, rule: R) -> Self
    where
        R: TryInto<AlertRule>,
        R::Error: Into<InvalidRule>,
    {
        self.alert = Some(rule.try_into().map_err(Into::into));
        self
    }

    /// The rule of its own; a wrong one has been refused.
    pub(super) fn alert_rule(&self) -> Option<&AlertRule> {
        self.alert.as_ref()?.as_ref().ok()
    }

    /// What happens to a running handler when the worker's lease ends.
    pub fn on_lease_lost(mut self, action: OnLeaseLost) -> Self {
        self.on_lease_lost = action;
        self
    }
}

impl fmt::Debug for KindOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindOptions")
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field(
                "fallback_threshold",
                &self.fallback.as_ref().map(|fallback| fallback.threshold),
            )
            .field("quick_retries", &self.quick)
            .field("aliases", &self.aliases)
            .field("on_lease_lost", &self.on_lease_lost)
            .field("alert", &self.alert)
            .finish_non_exhaustive()
    }
}

/// A registered kind.
pub(super) struct KindEntry {
    /// Its own name, whichever alias a task has.
    pub(super) name: Kind,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) retry: RetryPolicy,
    pub(super) options: KindOptions,
    /// A task of one attempt is not claimed ahead: losing the worker would cost it its only one.
    pub(super) prefetch: bool,
}

impl KindEntry {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn wrapped(&self, wrap: impl Fn(Arc<dyn Executor>) -> Arc<dyn Executor>) -> Self {
        let mut options = self.options.clone();
        if let Some(fallback) = &mut options.fallback {
            fallback.executor = wrap(Arc::clone(&fallback.executor));
        }
        Self {
            name: self.name.clone(),
            executor: wrap(Arc::clone(&self.executor)),
            retry: self.retry.clone(),
            options,
            prefetch: self.prefetch,
        }
    }

    pub(super) fn requires(&self) -> Vec<Requirement> {
        let fallback = self
            .options
            .fallback
            .iter()
            .flat_map(|fallback| fallback.executor.requires());
        self.executor.requires().into_iter().chain(fallback).collect()
    }
}

impl fmt::Debug for KindEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.options, f)
    }
}
