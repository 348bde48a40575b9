//! Reads and queue settings.

use std::collections::BTreeSet;

use super::rows::Rows;
use crate::id::TaskId;
use crate::limits::{MAX_CALL_BYTES, MAX_EXAMINED, MAX_LANES_REPORTED};
use crate::name::Queue;
use crate::payload::Payload;
use crate::store::{Count, CountScope, Counts, Listed, Page, QueueInfo, QueueSetting, TaskFilter};
use crate::task::{TaskDetail, TaskSummary};

impl Rows {
    pub(super) fn get(&self, id: TaskId) -> Option<TaskDetail> {
        self.rows.get(&id).map(|row| row.detail.clone())
    }

    pub(super) fn list(&self, filter: &TaskFilter, page: &Page) -> Listed {
        let mut listed = Listed::default();
        let mut bytes = 0;
        if page.limit == 0 {
            return listed;
        }
        let rows: Box<dyn Iterator<Item = _>> = match page.after {
            Some(after) => Box::new(self.rows.range(..after).rev()),
            None => Box::new(self.rows.iter().rev()),
        };
        for (examined, (id, row)) in rows.enumerate() {
            if listed.tasks.len() == page.limit || examined == MAX_EXAMINED || bytes > MAX_CALL_BYTES {
                return listed;
            }
            listed.next = Some(*id);
            if filter.matches(&row.detail) {
                let detail = &row.detail;
                let output = detail.output.clone().filter(|_| filter.with_output);
                bytes += output.as_ref().map_or(0, Payload::len);
                let error = detail.last_error.clone();
                listed.tasks.push(TaskSummary::new(
                    detail.task.clone(),
                    error,
                    output,
                    detail.via_fallback,
                ));
            }
        }
        listed.next = None;
        listed
    }

    pub(super) fn count(&self, scope: &CountScope) -> Counts {
        let asked = |queue: &Queue| scope.queue.as_ref().is_none_or(|only| only == queue);
        let counts = self.counts.iter().filter(|((queue, _), _)| asked(queue));
        Counts {
            counts: counts.map(|(at, n)| (at.clone(), Count::Exact(*n))).collect(),
            complete: true,
            missing_parts: Vec::new(),
        }
    }

    pub(super) fn set_queue(&mut self, queue: &Queue, setting: QueueSetting) {
        match setting {
            QueueSetting::Pause => self.paused.insert(queue.clone()),
            QueueSetting::Resume => self.paused.remove(queue),
        };
    }

    pub(super) fn queues(&self) -> Vec<QueueInfo> {
        let mut left = MAX_LANES_REPORTED;
        let names: BTreeSet<&Queue> = self.ready.keys().chain(&self.paused).collect();
        let mut infos = Vec::new();
        for queue in names {
            let lanes = self.ready.get(queue).into_iter().flatten();
            let heads = lanes.filter_map(|(lane, entries)| Some((lane.clone(), entries.first()?.0)));
            let heads: Vec<_> = heads.take(left).collect();
            left -= heads.len();
            infos.push(QueueInfo::new(queue.clone(), self.paused.contains(queue), heads));
        }
        infos
    }
}
