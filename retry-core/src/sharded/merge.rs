//! Puts what the parts read together, and names those that did not answer.

use std::collections::BTreeMap;

use crate::id::TaskId;
use crate::limits::{MAX_CALL_BYTES, MAX_LANES_REPORTED};
use crate::name::Queue;
use crate::store::{Count, Counts, Listed, QueueInfo, Result, StoreError};

/// The answers of the parts, the others by number. None answered, or one was told that the request is invalid: its error.
pub(super) fn answered<T>(answers: Vec<Result<T>>) -> Result<(Vec<T>, Vec<usize>)> {
    let (mut good, mut missing, mut failure) = (Vec::new(), Vec::new(), None::<StoreError>);
    for (part, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(answer) => good.push(answer),
            Err(error) if !error.is_retryable() => return Err(error),
            Err(error) => {
                missing.push(part);
                failure.get_or_insert(error);
            }
        }
    }
    match failure {
        Some(error) if good.is_empty() => Err(error),
        _ => Ok((good, missing)),
    }
}

/// One page of several: newest first, down to where every part has looked.
pub(super) fn lists(pages: Vec<Listed>, missing_parts: Vec<usize>, limit: usize) -> Listed {
    // Behind the `next` of any part there may be rows that it has not shown yet.
    let seen_to = pages.iter().filter_map(|page| page.next).max();
    let is_seen = |id: TaskId| seen_to.is_none_or(|next| id >= next);
    let mut merged = Listed::default();
    for page in pages {
        let tasks = page.tasks.into_iter();
        merged.tasks.extend(tasks.filter(|row| is_seen(row.task.id)));
        merged
            .bad
            .extend(page.bad.into_iter().filter(|bad| is_seen(bad.id)));
    }
    merged.tasks.sort_by_key(|row| std::cmp::Reverse(row.task.id));
    merged.bad.sort_by_key(|bad| std::cmp::Reverse(bad.id));
    merged.next = seen_to;
    merged.missing_parts = missing_parts;
    let mut bytes = 0;
    let fits = merged.tasks.iter().take(limit).take_while(|row| {
        bytes += row.output.as_ref().map_or(0, crate::payload::Payload::len);
        bytes <= MAX_CALL_BYTES
    });
    let fits = fits.count();
    if fits < merged.tasks.len() {
        merged.tasks.truncate(fits);
        merged.next = merged.tasks.last().map(|row| row.task.id);
        let next = merged.next.unwrap_or(TaskId::MIN);
        merged.bad.retain(|bad| bad.id >= next);
    }
    merged
}

/// The sums. Where a part is missing there may be more of everything.
pub(super) fn counts(parts: Vec<Counts>, missing_parts: Vec<usize>) -> Counts {
    let whole = missing_parts.is_empty();
    let mut merged = Counts {
        complete: whole && parts.iter().all(|counts| counts.complete),
        ..Counts::default()
    };
    for counts in parts {
        for (at, count) in counts.counts {
            let sum = match merged.counts.get(&at) {
                Some(so_far) => add(*so_far, count),
                None => count,
            };
            merged.counts.insert(at, sum);
        }
    }
    if !whole {
        let least = |count: &mut Count| *count = Count::AtLeast(count.get());
        merged.counts.values_mut().for_each(least);
    }
    merged.missing_parts = missing_parts;
    merged
}

fn add(one: Count, other: Count) -> Count {
    let sum = one.get() + other.get();
    match (one, other) {
        (Count::Exact(_), Count::Exact(_)) => Count::Exact(sum),
        _ => Count::AtLeast(sum),
    }
}

/// Each queue once: paused where any part has it paused, its lanes with the first due time of all parts.
pub(super) fn queues(parts: Vec<Vec<QueueInfo>>, missing_parts: &[usize]) -> Vec<QueueInfo> {
    let mut merged: BTreeMap<Queue, (bool, BTreeMap<_, _>)> = BTreeMap::new();
    for info in parts.into_iter().flatten() {
        let (paused, lanes) = merged.entry(info.queue).or_default();
        *paused |= info.paused;
        for (lane, due) in info.lanes {
            lanes
                .entry(lane)
                .and_modify(|first| *first = due.min(*first))
                .or_insert(due);
        }
    }
    let mut left = MAX_LANES_REPORTED;
    let info = |(queue, (paused, lanes)): (Queue, (bool, BTreeMap<_, _>))| {
        let lanes: Vec<_> = lanes.into_iter().take(left).collect();
        left -= lanes.len();
        let mut info = QueueInfo::new(queue, paused, lanes);
        info.missing_parts = missing_parts.to_vec();
        info
    };
    merged.into_iter().map(info).collect()
}
