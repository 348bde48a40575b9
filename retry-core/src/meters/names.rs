//! Every metric by its name: the one table, from which `docs/metrics.md` is checked.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    #[cfg(test)]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) ty: Type,
    #[cfg(test)]
    pub(super) labels: &'static [&'static str],
    pub(super) about: &'static str,
}

#[cfg(test)]
const TASK: &[&str] = &["kind", "queue"];

macro_rules! metrics {
    ($($constant:ident $name:literal $ty:ident $labels:expr, $about:literal;)*) => {
        $(pub(super) const $constant: &str = $name;)*

        /// All metrics.
        pub(super) const TABLE: &[Metric] = &[
            $(Metric { name: $name, ty: Type::$ty, #[cfg(test)] labels: $labels, about: $about },)*
        ];
    };
}

metrics! {
    ENQUEUED "task_retry_enqueued_total" Counter TASK, "New tasks that a client stored; duplicates, and tasks enqueued inside your own transaction, do not count.";
    CLAIMED "task_retry_claimed_total" Counter TASK, "Tasks claimed, prefetched ones included.";
    SUCCEEDED "task_retry_succeeded_total" Counter TASK, "Tasks that succeeded.";
    ATTEMPTS_FAILED "task_retry_attempts_failed_total" Counter TASK, "Failed attempts, those that lost their worker or whose wait failed included.";
    RETRIED "task_retry_retried_total" Counter TASK, "Failed attempts after which the task is retried.";
    TRIED "task_retry_tried_total" Counter TASK, "Tasks that succeeded by `try_first` and so were never stored; no other counter knows them.";
    FAILED "task_retry_failed_total" Counter TASK, "Tasks that ended as failed: dead letters.";
    SNOOZED "task_retry_snoozed_total" Counter TASK, "Attempts given back without counting: snoozed, continued later, handed back.";
    CANCELLED "task_retry_cancelled_total" Counter TASK, "Tasks that ended as cancelled: on request, or past their start deadline.";
    CRASHED "task_retry_leases_lost_total" Counter TASK, "Attempts of lost workers that this worker rescued.";
    UNREADABLE "task_retry_unreadable_total" Counter &["queue"], "Stored tasks that a claim could not read and put aside as failed.";
    ATTEMPT_SECONDS "task_retry_attempt_seconds" Histogram TASK, "Seconds from an attempt's start to its end, fallback included.";
    WAIT_SECONDS "task_retry_wait_seconds" Histogram TASK, "Seconds from due to start.";
    RUNNING "task_retry_running" Gauge &[], "Attempts that run in this worker.";
    PERMITS "task_retry_permits" Gauge &[], "Attempts that may run at once in this worker.";
    OLDEST_DUE_SECONDS "task_retry_oldest_due_seconds" Gauge &["queue"], "How long the oldest due task of the queue has waited, in whichever part of the store; 0 when none is due. Read every check interval.";
    SESSIONS "task_retry_sessions" Gauge &[], "Live workers of the store. Read every check interval.";
    SESSIONS_LOST "task_retry_sessions_lost_total" Counter &[], "Times this worker's own lease was lost.";
    EXCHANGE_EDITS "task_retry_exchange_edits" Histogram &[], "Outcomes and checkpoints that one exchange carries.";
    EXCHANGE_CLAIMS "task_retry_exchange_claims" Histogram &[], "Claim requests that one exchange carries.";
    STORE_ERRORS "task_retry_store_errors_total" Counter &["call", "error"], "The worker's calls that the store failed, by the error's kind; `abandoned` when no answer came in time.";
    PART_OPEN "task_retry_part_open" Gauge &["part"], "1 while a client leaves a part of a sharded store alone because it did not answer, 0 when it calls it again.";
    OUTBOX_HANDED_OVER "task_retry_outbox_handed_over_total" Counter &["outbox"], "Rows of an outbox that this relay handed over.";
    OUTBOX_SET_ASIDE "task_retry_outbox_set_aside_total" Counter &["outbox"], "Rows of an outbox that this relay set aside, because nothing can take them.";
    OUTBOX_LAG_SECONDS "task_retry_outbox_lag_seconds" Gauge &["outbox"], "The age of the oldest row that waits in the outbox; 0 when none does. Read every ten seconds, also while the store does not answer; it stands still while the outbox's own database does not.";
    OUTBOX_WAITING "task_retry_outbox_waiting" Gauge &["outbox"], "Rows that wait in the outbox, counted up to 10,000. Read every ten seconds.";
    ALERTS "task_retry_alerts_total" Counter &["reason", "kind", "queue"], "Alerts raised.";
    ALERTS_DROPPED "task_retry_alerts_dropped_total" Counter &["reason", "kind", "queue"], "Alerts lost because a sink's queue was full, once for each sink.";
}
