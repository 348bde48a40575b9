//! Counts: kept beside the rows, in the same batch, so that they are exact and cost as much as there are queues.

use retry_core::store::{Count, CountScope, Counts};

use crate::error::Outcome;
use crate::keys;
use crate::rows::counted;
use crate::view::View;

pub(crate) fn count(view: &dyn View, scope: &CountScope) -> Outcome<Counts> {
    let mut counts = Counts::default();
    counts.complete = true;
    view.all(&[keys::COUNT], &mut |key, value| {
        if let Some((queue, state)) = keys::count_parts(key)
            && scope.queue.as_ref().is_none_or(|only| *only == queue)
        {
            counts.counts.insert((queue, state), Count::Exact(counted(value)));
        }
        true
    })?;
    Ok(counts)
}
