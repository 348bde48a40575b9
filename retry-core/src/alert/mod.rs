//! Alerts: what is told to people when tasks fail or hang, by which rule, and to whom.
//!
//! # When
//!
//! | reason | raised | by rule |
//! |---|---|---|
//! | [`AttemptFailed`](AlertReason::AttemptFailed) | a failed attempt was recorded and the task will be retried | yes |
//! | [`LeaseLost`](AlertReason::LeaseLost) | an attempt lost its worker and the task will be retried | yes |
//! | [`TaskFailed`](AlertReason::TaskFailed) | a task ended as failed: a dead letter, also by its wait deadline or by its children | always |
//! | [`CrashBudgetSpent`](AlertReason::CrashBudgetSpent) | the same, because it lost too many workers in a row | always |
//! | [`Unreadable`](AlertReason::Unreadable) | a stored task cannot be read: a claim has put it aside as failed, or a rescuer has met it, told once | always |
//! | [`NotStarted`](AlertReason::NotStarted) | the oldest due task of a queue and kind has waited too long | by time |
//! | [`UnhandledKind`](AlertReason::UnhandledKind) | the same, and no live worker runs that kind of that queue | by time |
//! | [`RunningLong`](AlertReason::RunningLong) | an attempt of this worker has run too long | by time |
//!
//! A rule is judged once for each failed attempt; an attempt that waited and is repeated by its token has failed. For a kind with a fallback it is judged only when the fallback ran and
//! failed too, so the order is: the primary fails, the fallback fails, the alert. A fallback that succeeds ends the task
//! well and nothing is told. Of the rules, those of the kind count if it has one of its own, else the worker's, else the
//! default one, `attempts > 1 && attempts < 5`.
//!
//! # What is promised
//!
//! - An alert tells what the store has recorded: nothing is told of an outcome that was refused because the task had been
//!   rescued meanwhile. At most one alert comes of one failed attempt.
//! - Alerts are best effort. They wait in a bounded queue for each sink; what does not fit is dropped and counted
//!   ([`AlertCounts`]). A worker that dies takes its alerts along; the truth is in the store, where dead letters
//!   are listed by their state.
//! - Sinks run beside the worker's loops and beside each other: a slow, failing or panicking one delays its own alerts,
//!   never those of another sink, and never tasks.
//! - The process tells that writes the failure. One that a client records, by the token of a wait
//!   ([`Client::fail`](crate::client::Client::fail), [`Client::retry`](crate::client::Client::retry)), is told by the worker that
//!   the client is [attached](crate::client::Client::attach) to; a client that is not attached tells nobody. What an operator
//!   cancels is not told.
//!
//! Nothing is judged and nothing asked of the store unless the worker has a sink.

mod event;
mod expr;
mod options;
mod rule;
mod sink;
#[cfg(feature = "webhook")]
mod webhook;
#[cfg(all(test, feature = "webhook"))]
mod webhook_test;

pub use event::{Alert, AlertCounts, AlertReason, AlertTask};
pub use expr::{InvalidRule, RuleProblem};
pub(crate) use options::DEFAULT_TIMEOUT;
pub use options::{AlertOptions, CoolDownBy};
pub use rule::{AlertRule, Facts};
pub use sink::{AlertSink, SinkError, TracingSink};
#[cfg(feature = "webhook")]
pub use webhook::{InvalidWebhook, Webhook, WebhookRequest};
