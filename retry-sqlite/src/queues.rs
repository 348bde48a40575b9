//! Queues (law 15): the pause switch, and the lanes with their heads.

use std::collections::BTreeMap;

use retry_core::limits::MAX_LANES_REPORTED;
use retry_core::name::Queue;
use retry_core::store::{Lane, QueueInfo, QueueSetting};
use retry_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

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

/// A lane's place in the index.
struct Place {
    queue: String,
    kind: String,
    level: i64,
    run_at: i64,
}

pub(crate) fn list(conn: &Connection, memo: &mut Memo) -> Outcome<Vec<QueueInfo>> {
    let mut infos: BTreeMap<Queue, QueueInfo> = BTreeMap::new();
    let mut paused = conn.prepare_cached(queries::PAUSED_LIST)?;
    let mut rows = paused.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(queue) = record::text(row, 0).ok().and_then(|name| memo.queue(name)) {
            infos.insert(queue.clone(), QueueInfo::new(queue, true, Vec::new()));
        }
    }
    drop(rows);
    let last = lanes(conn, memo, &mut infos)?;
    if let Some(last) = last {
        queues_behind(conn, last, memo, &mut infos)?;
    }
    Ok(infos.into_values().collect())
}

/// Adds the lanes in the order of the index, up to the bound; answers the last queue if the bound was met.
fn lanes(
    conn: &Connection,
    memo: &mut Memo,
    infos: &mut BTreeMap<Queue, QueueInfo>,
) -> Outcome<Option<String>> {
    let mut statement = conn.prepare_cached(queries::LANE_NEXT)?;
    let mut place = Place {
        queue: String::new(),
        kind: String::new(),
        level: 0,
        run_at: 0,
    };
    for _ in 0..MAX_LANES_REPORTED {
        let next = statement.query_row(params![place.queue, place.kind, place.level], |row| {
            Ok(Place {
                queue: row.get(0)?,
                kind: row.get(1)?,
                level: row.get(2)?,
                run_at: row.get(3)?,
            })
        });
        let Some(next) = next.optional()? else {
            return Ok(None);
        };
        place = next;
        // Names and levels that no version of the store writes are passed over.
        let (Some(queue), Some(kind), Some((priority, suspect))) = (
            memo.queue(&place.queue),
            memo.kind(&place.kind),
            record::lane_of(place.level),
        ) else {
            continue;
        };
        let lane = Lane {
            kind,
            priority,
            suspect,
        };
        let info = infos
            .entry(queue.clone())
            .or_insert_with(|| QueueInfo::new(queue, false, Vec::new()));
        info.lanes.push((lane, Timestamp::from_millis(place.run_at)));
    }
    Ok(Some(place.queue))
}

/// Adds the remaining queues without their lanes.
fn queues_behind(
    conn: &Connection,
    mut last: String,
    memo: &mut Memo,
    infos: &mut BTreeMap<Queue, QueueInfo>,
) -> Outcome<()> {
    let mut statement = conn.prepare_cached(queries::QUEUE_NEXT)?;
    while let Some(next) = statement
        .query_row([&last], |row| row.get::<_, String>(0))
        .optional()?
    {
        if let Some(queue) = memo.queue(&next) {
            infos
                .entry(queue.clone())
                .or_insert_with(|| QueueInfo::new(queue, false, Vec::new()));
        }
        last = next;
    }
    Ok(())
}
