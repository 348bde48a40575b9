//! The options of a task, set by a chain of methods.

use std::time::Duration;

use super::InvalidTask;
use crate::headers::Headers;
use crate::id::Shard;
use crate::name::{Queue, UniqueKey};
use crate::policy::RetryPolicy;
use crate::priority::Priority;
use crate::task::{FailedChildren, KeyScope, OnDuplicate, OnWaitDeadline, Retention, Settings, Unique};
use crate::time::Timestamp;

/// How a task is to be run. What is invalid is kept and reported when the task is sent.
#[derive(Debug, Clone)]
#[must_use]
pub struct TaskOptions {
    /// None: not named.
    pub(crate) queue: Option<Queue>,
    pub(crate) priority: Priority,
    pub(crate) retry: RetryPolicy,
    pub(crate) headers: Headers,
    pub(crate) unique: Option<Unique>,
    pub(crate) shard: Option<Shard>,
    pub(crate) rescue_delay: Duration,
    pub(crate) crash_budget: Option<u32>,
    pub(crate) deadline_after: Option<Duration>,
    pub(crate) on_wait_deadline: OnWaitDeadline,
    pub(crate) on_failed_children: FailedChildren,
    pub(crate) retention: Retention,
    due: When,
    expires: Option<When>,
    invalid: Option<InvalidTask>,
}

#[derive(Debug, Clone, Copy)]
enum When {
    After(Duration),
    At(Timestamp),
}

impl When {
    fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(delay) => now.saturating_add(delay),
            Self::At(time) => time,
        }
    }
}

impl Default for TaskOptions {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            queue: None,
            priority: Priority::default(),
            retry: RetryPolicy::default(),
            headers: Headers::new(),
            unique: None,
            shard: None,
            rescue_delay: settings.rescue_delay,
            crash_budget: settings.crash_budget,
            deadline_after: None,
            on_wait_deadline: settings.on_wait_deadline,
            on_failed_children: settings.on_failed_children,
            retention: settings.retention,
            due: When::After(Duration::ZERO),
            expires: None,
            invalid: None,
        }
    }
}

/// The setters, written once for [`TaskOptions`] and everything that wraps it.
macro_rules! option_setters {
    () => {
        /// The queue, unless told otherwise `default`, and for a child that of its parent.
        pub fn queue(self, queue: impl AsRef<str>) -> Self {
            self.map_options(|options| options.set_queue(queue.as_ref()))
        }

        /// The level, [`Priority::Normal`](crate::priority::Priority::Normal) unless told otherwise.
        pub fn priority(self, priority: crate::priority::Priority) -> Self {
            self.map_options(|options| options.set_priority(priority))
        }

        /// Due this long after it is enqueued.
        pub fn delay(self, delay: std::time::Duration) -> Self {
            self.map_options(|options| options.set_delay(delay))
        }

        /// Due at this time; the past means at once, before all that is due later.
        pub fn run_at(self, at: crate::time::Timestamp) -> Self {
            self.map_options(|options| options.set_run_at(at))
        }

        /// How often and until when failures are retried: attempts and give-up time, which are stored with the task. The
        /// delays between attempts are not: those come from the policy of the kind, in
        /// [`TaskPayload::options`](crate::draft::TaskPayload::options) of the worker's program or
        /// [`KindOptions::retry`](crate::engine::KindOptions::retry).
        pub fn retry(self, policy: crate::policy::RetryPolicy) -> Self {
            self.map_options(|options| options.set_retry(policy))
        }

        /// Adds a header, in place of one with the same key.
        pub fn header(self, key: impl Into<String>, value: impl Into<String>) -> Self {
            self.map_options(|options| options.set_header(key.into(), value.into()))
        }

        /// Keeps a second task of this kind with this key out until this one has ended.
        pub fn unique(self, key: impl AsRef<str>) -> Self {
            self.map_options(|options| {
                options.set_unique(
                    key.as_ref(),
                    crate::task::KeyScope::Active,
                    crate::task::OnDuplicate::Keep,
                )
            })
        }

        /// Keeps a second task of this kind with this key out as long as `scope` says; `on_duplicate` says what
        /// becomes of the first one.
        pub fn unique_with(
            self,
            key: impl AsRef<str>,
            scope: crate::task::KeyScope,
            on_duplicate: crate::task::OnDuplicate,
        ) -> Self {
            self.map_options(|options| options.set_unique(key.as_ref(), scope, on_duplicate))
        }

        /// Keeps all tasks with this key on one part of a [sharded store](crate::sharded): 1–255 bytes of UTF-8 without
        /// U+0000. Without it a task goes by its unique key, and without that anywhere. The key itself is not stored, its
        /// slot is part of the id.
        ///
        /// A unique key beside it is compared with the tasks of that part only. A task that a handler brings, a child or one
        /// enqueued on success, is stored with the task that brings it, whatever its keys say.
        pub fn shard_key(self, key: impl AsRef<str>) -> Self {
            self.map_options(|options| options.set_shard_key(key.as_ref()))
        }

        /// No attempt of its first step begins later than this after it is enqueued, a retry neither: the task is
        /// cancelled with the reason.
        /// One that has children, in mid-split, has begun for good.
        pub fn expires_after(self, after: std::time::Duration) -> Self {
            self.map_options(|options| options.set_expires_after(after))
        }

        /// No attempt of its first step begins after this time, a retry neither: the task is cancelled with the reason.
        /// One that has children, in mid-split, has begun for good.
        pub fn expires_at(self, at: crate::time::Timestamp) -> Self {
            self.map_options(|options| options.set_expires_at(at))
        }

        /// A rescuer takes the task from an attempt that runs longer than this, even on a healthy worker.
        pub fn deadline_after(self, after: std::time::Duration) -> Self {
            self.map_options(|options| options.set_deadline_after(after))
        }

        /// Fails the task after this many lost leases in a row; `None` never does.
        pub fn crash_budget(self, budget: impl Into<Option<u32>>) -> Self {
            self.map_options(|options| options.set_crash_budget(budget.into()))
        }

        /// How long a task whose worker was lost waits before it is due again. Zero together with no
        /// [crash budget](Self::crash_budget): it comes back to its old place, so that tasks claimed in order stay in order.
        pub fn rescue_delay(self, delay: std::time::Duration) -> Self {
            self.map_options(|options| options.set_rescue_delay(delay))
        }

        /// What happens when a wait reaches its deadline.
        pub fn on_wait_deadline(self, policy: crate::task::OnWaitDeadline) -> Self {
            self.map_options(|options| options.set_on_wait_deadline(policy))
        }

        /// What happens when all children are done and some failed.
        pub fn on_failed_children(self, policy: crate::task::FailedChildren) -> Self {
            self.map_options(|options| options.set_on_failed_children(policy))
        }

        /// How long the task is kept after its end.
        pub fn retention(self, retention: crate::task::Retention) -> Self {
            self.map_options(|options| options.set_retention(retention))
        }
    };
}
pub(crate) use option_setters;

impl TaskOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    fn map_options(self, change: impl FnOnce(Self) -> Self) -> Self {
        change(self)
    }

    option_setters!();

    /// The retry policy.
    #[must_use]
    pub const fn retry_policy(&self) -> &RetryPolicy {
        &self.retry
    }

    pub(crate) fn checked(self) -> Result<Self, InvalidTask> {
        self.invalid.clone().map_or(Ok(self), Err)
    }

    pub(crate) fn due(&self, now: Timestamp) -> Timestamp {
        self.due.from(now)
    }

    pub(crate) fn expires_at_time(&self, now: Timestamp) -> Option<Timestamp> {
        self.expires.map(|when| when.from(now))
    }

    fn refuse(mut self, error: InvalidTask) -> Self {
        self.invalid.get_or_insert(error);
        self
    }

    pub(crate) fn set_queue(mut self, queue: &str) -> Self {
        match Queue::new(queue) {
            Ok(queue) => {
                self.queue = Some(queue);
                self
            }
            Err(error) => self.refuse(InvalidTask::name("queue", queue, error)),
        }
    }

    pub(crate) fn set_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    pub(crate) fn set_delay(mut self, delay: Duration) -> Self {
        self.due = When::After(delay);
        self
    }

    pub(crate) fn set_run_at(mut self, at: Timestamp) -> Self {
        self.due = When::At(at);
        self
    }

    pub(crate) fn set_retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    pub(crate) fn set_header(mut self, key: String, value: String) -> Self {
        match self.headers.insert(key, value) {
            Ok(()) => self,
            Err(error) => self.refuse(error.into()),
        }
    }

    pub(crate) fn set_unique(mut self, key: &str, scope: KeyScope, on_duplicate: OnDuplicate) -> Self {
        match UniqueKey::new(key) {
            Ok(key) => {
                self.unique = Some(Unique {
                    key,
                    scope,
                    on_duplicate,
                });
                self
            }
            Err(error) => self.refuse(InvalidTask::name("unique key", key, error)),
        }
    }

    pub(crate) fn set_shard_key(mut self, key: &str) -> Self {
        match UniqueKey::new(key) {
            Ok(key) => {
                self.shard = Some(Shard::of_key(key.as_str()));
                self
            }
            Err(error) => self.refuse(InvalidTask::name("shard key", key, error)),
        }
    }

    pub(crate) fn set_expires_after(mut self, after: Duration) -> Self {
        self.expires = Some(When::After(after));
        self
    }

    pub(crate) fn set_expires_at(mut self, at: Timestamp) -> Self {
        self.expires = Some(When::At(at));
        self
    }

    pub(crate) fn set_deadline_after(mut self, after: Duration) -> Self {
        if after.is_zero() {
            return self.refuse(InvalidTask::Zero("the deadline"));
        }
        self.deadline_after = Some(after);
        self
    }

    pub(crate) fn set_crash_budget(mut self, budget: Option<u32>) -> Self {
        if budget == Some(0) {
            return self.refuse(InvalidTask::Zero("the crash budget"));
        }
        self.crash_budget = budget;
        self
    }

    pub(crate) fn set_rescue_delay(mut self, delay: Duration) -> Self {
        self.rescue_delay = delay;
        self
    }

    pub(crate) fn set_on_wait_deadline(mut self, policy: OnWaitDeadline) -> Self {
        self.on_wait_deadline = policy;
        self
    }

    pub(crate) fn set_on_failed_children(mut self, policy: FailedChildren) -> Self {
        self.on_failed_children = policy;
        self
    }

    pub(crate) fn set_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }
}
