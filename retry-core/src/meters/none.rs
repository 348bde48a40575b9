//! The meters without the feature `metrics`: nothing is counted, and nothing is left of the calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::AlertReason;
use crate::name::{Kind, OutboxName, Queue};
use crate::store::{Inserted, TaskStore, Written};
use crate::task::{NewTask, Task};
use crate::time::Timestamp;

#[derive(Debug)]
pub(crate) struct Meters;

#[expect(clippy::unused_self, reason = "the same calls as with the feature")]
impl Meters {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) const fn are_on(&self) -> bool {
        false
    }

    pub(crate) fn wrap(&self, store: Arc<dyn TaskStore>) -> Arc<dyn TaskStore> {
        store
    }

    pub(crate) const fn enqueued(&self, _: &[NewTask], _: &[Inserted]) {}

    pub(crate) const fn claimed(&self, _: &Task) {}

    pub(crate) const fn started(&self, _: &Task, _: Timestamp, _: usize) {}

    pub(crate) const fn ended(&self, _: &Task, _: Duration, _: usize) {}

    pub(crate) const fn settled(&self, _: &Task, _: Written<'_>) {}

    pub(crate) const fn tried(&self, _: &NewTask) {}

    pub(crate) const fn unreadable(&self, _: &Queue, _: usize) {}

    pub(crate) const fn crashed(&self, _: &Task) {}

    pub(crate) const fn session_lost(&self) {}

    pub(crate) const fn exchange(&self, _: usize, _: usize) {}

    pub(crate) const fn permits(&self, _: usize) {}

    pub(crate) const fn sessions(&self, _: usize) {}

    pub(crate) const fn lags(&self, _: &BTreeMap<Queue, Duration>) {}

    pub(crate) const fn alert(&self, _: AlertReason, _: &Queue, _: Option<&Kind>, _: bool) {}
}

pub(crate) const fn part_open(_: &str, _: bool) {}

pub(crate) const fn outbox_handed_over(_: &OutboxName, _: usize) {}

pub(crate) const fn outbox_set_aside(_: &OutboxName) {}

pub(crate) const fn outbox_lag(_: &OutboxName, _: u64, _: Duration) {}
