//! Queues (law 15): the pause switch, and the lanes with their heads.

use std::collections::BTreeMap;

use retry_core::limits::MAX_LANES_REPORTED;
use retry_core::name::Queue;
use retry_core::store::{Lane, QueueInfo, QueueSetting};
use retry_core::time::Timestamp;
use rusqlite::{Connection, Row};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::memo::Memo;
use crate::queries;
use crate::record;

pub(crate) fn set(
    conn: &Connection,
    queue: &Queue,
    setting: QueueSetting,
    effects: &mut Effects,
) -> Outcome<()> {
    let statement = if setting == QueueSetting::Pause {
        queries::QUEUE_PAUSE
    } else {
        effects.woken.push(queue.clone());
        queries::QUEUE_RESUME
    };
    conn.prepare_cached(statement)?.execute([queue.as_str()])?;
    Ok(())
}

pub(crate) fn list(conn: &Connection, memo: &mut Memo) -> Outcome<Vec<QueueInfo>> {
    let mut infos: BTreeMap<Queue, QueueInfo> = BTreeMap::new();
    let mut paused = conn.prepare_cached(queries::PAUSED_LIST)?;
    let mut rows = paused.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(queue) = queue(row, memo) {
            infos.insert(queue.clone(), QueueInfo::new(queue, true, Vec::new()));
        }
    }
    drop(rows);
    if let Some(from) = lanes(conn, memo, &mut infos)? {
        queues_behind(conn, from, memo, &mut infos)?;
    }
    Ok(infos.into_values().collect())
}

/// Adds the lanes in the order of the index, up to the bound; answers where to go on if the bound was met.
fn lanes(conn: &Connection, memo: &mut Memo, infos: &mut BTreeMap<Queue, QueueInfo>) -> Outcome<Option<i64>> {
    let mut statement = conn.prepare_cached(queries::LANE_NEXT)?;
    let mut from = i64::MIN;
    for _ in 0..MAX_LANES_REPORTED {
        let mut rows = statement.query([from])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let number: i64 = row.get(2)?;
        from = number.saturating_add(1);
        // Names that no version of the store writes are passed over.
        let (Some(queue), Some(kind), Some((priority, suspect))) = (
            queue(row, memo),
            record::text(row, 1).ok().and_then(|name| memo.kind(name)),
            record::lane_of(number & 7),
        ) else {
            continue;
        };
        let lane = Lane {
            kind,
            priority,
            suspect,
        };
        info(infos, queue)
            .lanes
            .push((lane, Timestamp::from_millis(row.get(3)?)));
    }
    Ok(Some(from))
}

/// Adds the remaining queues without their lanes, with one seek for each of their kinds.
fn queues_behind(
    conn: &Connection,
    mut from: i64,
    memo: &mut Memo,
    infos: &mut BTreeMap<Queue, QueueInfo>,
) -> Outcome<()> {
    let mut statement = conn.prepare_cached(queries::LANE_NEXT)?;
    loop {
        let mut rows = statement.query([from])?;
        let Some(row) = rows.next()? else { return Ok(()) };
        from = (row.get::<_, i64>(2)? | 7).saturating_add(1);
        if let Some(queue) = queue(row, memo) {
            info(infos, queue);
        }
    }
}

fn info(infos: &mut BTreeMap<Queue, QueueInfo>, queue: Queue) -> &mut QueueInfo {
    infos
        .entry(queue.clone())
        .or_insert_with(|| QueueInfo::new(queue, false, Vec::new()))
}

fn queue(row: &Row<'_>, memo: &mut Memo) -> Option<Queue> {
    record::text(row, 0).ok().and_then(|name| memo.queue(name))
}
