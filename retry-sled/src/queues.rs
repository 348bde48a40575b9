//! Queues (law 15): the pause switch, and the lanes with their heads.

use std::collections::BTreeMap;

use retry_core::limits::MAX_LANES_REPORTED;
use retry_core::name::Queue;
use retry_core::store::{Lane, QueueInfo, QueueSetting};

use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::keys;
use crate::view::View;

pub(crate) fn set(
    draft: &mut Draft<'_>,
    queue: &Queue,
    setting: QueueSetting,
    effects: &mut Effects,
) -> Outcome<()> {
    let key = keys::paused(queue);
    if setting == QueueSetting::Pause {
        draft.put(key, sled::IVec::default());
        return Ok(());
    }
    effects.wake(queue);
    draft.remove(key);
    Ok(())
}

/// The paused queues.
pub(crate) fn paused(view: &dyn View) -> Outcome<Vec<Queue>> {
    let mut queues = Vec::new();
    view.all(&[keys::PAUSED], &mut |key, _| {
        queues.extend(keys::paused_queue(key));
        true
    })?;
    Ok(queues)
}

pub(crate) fn list(view: &dyn View) -> Outcome<Vec<QueueInfo>> {
    let mut infos: BTreeMap<Queue, QueueInfo> = BTreeMap::new();
    for queue in paused(view)? {
        infos.insert(queue.clone(), QueueInfo::new(queue, true, Vec::new()));
    }
    let end = keys::behind(&[keys::LANE]);
    let (mut from, mut lanes) = (vec![keys::LANE], 0);
    // One seek for each lane; behind the bound, one for each queue.
    while let Some(first) = view.first(&from, &end)? {
        from = keys::behind(keys::lane_of(&first));
        let Some((queue, kind, level, run_at)) = keys::lane_parts(&first) else {
            continue;
        };
        let info = infos
            .entry(queue.clone())
            .or_insert_with(|| QueueInfo::new(queue.clone(), false, Vec::new()));
        if lanes == MAX_LANES_REPORTED {
            from = keys::behind(&keys::queue_lanes(&queue));
        } else if let Some((priority, suspect)) = keys::of_level(level) {
            let lane = Lane {
                kind,
                priority,
                suspect,
            };
            info.lanes.push((lane, run_at));
            lanes += 1;
        }
    }
    Ok(infos.into_values().collect())
}
