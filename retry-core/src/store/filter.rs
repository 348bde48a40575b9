//! A filter applied to a record in memory.

use super::TaskFilter;
use crate::task::TaskDetail;

impl TaskFilter {
    /// Whether a task passes.
    #[must_use]
    pub fn matches(&self, detail: &TaskDetail) -> bool {
        let task = &detail.task;
        let key = || task.unique.as_ref().map(|(key, _)| key.as_str());
        let error = || detail.last_error.as_ref().map_or("", |error| error.as_str());
        any_of(&self.states, &task.state)
            && any_of(&self.queues, &task.queue)
            && any_of(&self.kinds, &task.kind)
            && self.key.as_deref().is_none_or(|wanted| key() == Some(wanted))
            && self.parent.is_none_or(|wanted| task.parent == Some(wanted))
            && self.session.is_none_or(|wanted| task.session == Some(wanted))
            && self.created_from.is_none_or(|from| task.created_at >= from)
            && self.created_before.is_none_or(|before| task.created_at < before)
            && self.due_from.is_none_or(|from| task.run_at >= from)
            && self.due_before.is_none_or(|before| task.run_at < before)
            && self
                .header
                .as_ref()
                .is_none_or(|(key, value)| detail.headers.get(key) == Some(value))
            && self
                .error_contains
                .as_deref()
                .is_none_or(|text| error().contains(text))
            && self
                .payload_contains
                .as_deref()
                .is_none_or(|text| detail.payload.as_json().contains(text))
    }
}

fn any_of<T: PartialEq>(wanted: &[T], value: &T) -> bool {
    wanted.is_empty() || wanted.contains(value)
}
