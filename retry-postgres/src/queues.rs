//! Queues (law 15): the pause switch, and the lanes with their heads.

use std::collections::BTreeMap;

use retry_core::limits::MAX_LANES_REPORTED;
use retry_core::name::Queue;
use retry_core::store::{Lane, QueueInfo, QueueSetting};
use sqlx::postgres::PgRow;

use crate::error::Outcome;
use crate::memo::Memo;
use crate::record::{self, Damage, Read};
use crate::tx::Tx;

pub(crate) async fn set(tx: &mut Tx<'_>, queue: &Queue, setting: QueueSetting) -> Outcome<()> {
    let statement = if setting == QueueSetting::Pause {
        tx.query(&tx.sql.queue_pause)
    } else {
        tx.effects.woken.insert(queue.clone());
        tx.query(&tx.sql.queue_resume)
    };
    tx.execute(statement.bind(queue.as_str().to_owned())).await?;
    Ok(())
}

pub(crate) async fn list(tx: &mut Tx<'_>) -> Outcome<Vec<QueueInfo>> {
    let mut memo = Memo::default();
    let mut infos: BTreeMap<Queue, QueueInfo> = BTreeMap::new();
    let statement = tx.query(&tx.sql.paused_list);
    for row in tx.rows(statement).await? {
        if let Ok(queue) = queue(&row, &mut memo) {
            infos.insert(queue.clone(), QueueInfo::new(queue, true, Vec::new()));
        }
    }
    let statement = tx
        .query(&tx.sql.lane_list)
        .bind(record::limit(MAX_LANES_REPORTED));
    let rows = tx.rows(statement).await?;
    for row in &rows {
        // Names that no version of the store writes are passed over.
        if let Ok((queue, lane, head)) = lane(row, &mut memo) {
            info(&mut infos, queue).lanes.push((lane, head));
        }
    }
    if rows.len() == MAX_LANES_REPORTED {
        let statement = tx.query(&tx.sql.queue_list);
        for row in tx.rows(statement).await? {
            if let Ok(queue) = queue(&row, &mut memo) {
                info(&mut infos, queue);
            }
        }
    }
    // The index has the lanes of a queue in the order of their kinds' names, and in each by level.
    for info in infos.values_mut() {
        info.lanes.sort();
    }
    Ok(infos.into_values().collect())
}

fn lane(row: &PgRow, memo: &mut Memo) -> Read<(Queue, Lane, retry_core::time::Timestamp)> {
    let (priority, suspect) =
        record::lane_of(record::value(row, 2)?).ok_or(Damage("there is no such level"))?;
    let kind = memo
        .kind(record::value(row, 1)?)
        .ok_or(Damage("the kind is no name"))?;
    let lane = Lane {
        kind,
        priority,
        suspect,
    };
    Ok((queue(row, memo)?, lane, record::time(row, 3)?))
}

fn info(infos: &mut BTreeMap<Queue, QueueInfo>, queue: Queue) -> &mut QueueInfo {
    infos
        .entry(queue.clone())
        .or_insert_with(|| QueueInfo::new(queue, false, Vec::new()))
}

fn queue(row: &PgRow, memo: &mut Memo) -> Read<Queue> {
    memo.queue(record::value(row, 0)?)
        .ok_or(Damage("the queue is no name"))
}
