//! Queues (law 15): the pause switch, and the lanes with their heads.

use std::collections::BTreeMap;

use retry_core::limits::MAX_LANES_REPORTED;
use retry_core::name::Queue;
use retry_core::store::{Lane, QueueInfo, QueueSetting};

use crate::args::Args;
use crate::db::Db;
use crate::error::Outcome;
use crate::record;

pub(crate) async fn set(db: &mut Db<'_>, queue: &Queue, setting: QueueSetting) -> Outcome<()> {
    let sql = if setting == QueueSetting::Pause {
        &db.q.queue_pause
    } else {
        &db.q.queue_resume
    };
    db.run(sql, Args::new().with(queue.as_str().as_bytes())).await?;
    Ok(())
}

pub(crate) async fn list(db: &mut Db<'_>) -> Outcome<Vec<QueueInfo>> {
    let mut infos: BTreeMap<Queue, QueueInfo> = BTreeMap::new();
    for row in db.rows(&db.q.paused_list, Args::new()).await? {
        if let Ok(queue) = record::queue(&row, 0) {
            infos.insert(queue.clone(), QueueInfo::new(queue, true, Vec::new()));
        }
    }
    let rows = db
        .rows(&db.q.lanes, Args::new().with(record::length(MAX_LANES_REPORTED)))
        .await?;
    for row in &rows {
        // Names that no version of the store writes are passed over.
        let (Ok(queue), Ok(kind), Some((priority, suspect)), Ok(due)) = (
            record::queue(row, 0),
            record::kind(row, 1),
            record::int(row, 2).ok().and_then(record::lane_of),
            record::time(row, 3),
        ) else {
            continue;
        };
        info(&mut infos, queue).lanes.push((
            Lane {
                kind,
                priority,
                suspect,
            },
            due,
        ));
    }
    if let Some(last) = rows.last().filter(|_| rows.len() == MAX_LANES_REPORTED) {
        let last = record::opt_bytes(last, 0).ok().flatten().unwrap_or_default();
        for row in db.rows(&db.q.queues_behind, Args::new().with(last)).await? {
            if let Ok(queue) = record::queue(&row, 0) {
                info(&mut infos, queue);
            }
        }
    }
    Ok(infos.into_values().collect())
}

fn info(infos: &mut BTreeMap<Queue, QueueInfo>, queue: Queue) -> &mut QueueInfo {
    infos
        .entry(queue.clone())
        .or_insert_with(|| QueueInfo::new(queue, false, Vec::new()))
}
