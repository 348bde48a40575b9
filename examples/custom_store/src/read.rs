//! Reads and queue settings (laws 11, 15).

use std::collections::{BTreeMap, BTreeSet};

use retry_core::limits::{MAX_CALL_BYTES, MAX_EXAMINED, MAX_LANES_REPORTED};
use retry_core::name::Queue;
use retry_core::payload::Payload;
use retry_core::store::{Count, CountScope, Counts, Lane, Listed, Page, QueueInfo, QueueSetting, TaskFilter};
use retry_core::task::{State, TaskSummary};
use retry_core::time::Timestamp;

use crate::rows::{Rows, lane};

impl Rows {
    pub(crate) fn list(&self, filter: &TaskFilter, page: &Page) -> Listed {
        let mut listed = Listed::default();
        if page.limit == 0 {
            return listed;
        }
        let rows = self.all().rev();
        let behind = rows.filter(|detail| page.after.is_none_or(|after| detail.task.id < after));
        let mut bytes = 0;
        for (examined, detail) in behind.enumerate() {
            if listed.tasks.len() == page.limit || examined == MAX_EXAMINED || bytes > MAX_CALL_BYTES {
                return listed;
            }
            listed.next = Some(detail.task.id);
            if filter.matches(detail) {
                let output = detail.output.clone().filter(|_| filter.with_output);
                bytes += output.as_ref().map_or(0, Payload::len);
                let (task, error) = (detail.task.clone(), detail.last_error.clone());
                listed
                    .tasks
                    .push(TaskSummary::new(task, error, output, detail.via_fallback));
            }
        }
        listed.next = None;
        listed
    }

    pub(crate) fn count(&self, scope: &CountScope) -> Counts {
        let mut found: BTreeMap<(Queue, State), u64> = BTreeMap::new();
        let asked = |queue: &Queue| scope.queue.as_ref().is_none_or(|only| only == queue);
        for task in self.tasks().filter(|task| asked(&task.queue)) {
            *found.entry((task.queue.clone(), task.state)).or_default() += 1;
        }
        let mut counts = Counts::default();
        counts.complete = true;
        counts.counts = found.into_iter().map(|(at, n)| (at, Count::Exact(n))).collect();
        counts
    }

    pub(crate) fn set_queue(&mut self, queue: &Queue, setting: QueueSetting) {
        self.pause(queue, setting == QueueSetting::Pause);
    }

    pub(crate) fn queues(&self) -> Vec<QueueInfo> {
        let mut heads: BTreeMap<(&Queue, Lane), Timestamp> = BTreeMap::new();
        for task in self.tasks().filter(|task| task.state == State::Pending) {
            let head = heads.entry((&task.queue, lane(task))).or_insert(task.run_at);
            *head = task.run_at.min(*head);
        }
        let names: BTreeSet<&Queue> = heads
            .keys()
            .map(|(queue, _)| *queue)
            .chain(self.paused())
            .collect();
        let mut left = MAX_LANES_REPORTED;
        let mut infos = Vec::new();
        for queue in names {
            let own = heads.iter().filter(|((of, _), _)| *of == queue);
            let lanes: Vec<_> = own
                .take(left)
                .map(|((_, lane), head)| (lane.clone(), *head))
                .collect();
            left -= lanes.len();
            infos.push(QueueInfo::new(queue.clone(), self.is_paused(queue), lanes));
        }
        infos
    }
}
