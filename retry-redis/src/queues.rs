//! Queues: their setting, lanes and counts (laws 13, 15).

use std::collections::BTreeMap;

use retry_core::limits::MAX_LANES_REPORTED;
use retry_core::name::{Kind, Queue};
use retry_core::priority::Priority;
use retry_core::store::{Count, CountScope, Counts, Lane, QueueInfo, QueueSetting, Result};
use retry_core::task::State;
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::codec;
use crate::record;
use crate::reply::Reply;
use crate::scripts;
use crate::server::Server;

pub(crate) async fn set(server: &Server, queue: &Queue, setting: QueueSetting) -> Result<()> {
    let mut args = Args::new();
    args.push(queue.as_str())
        .number(i64::from(setting == QueueSetting::Pause));
    server.run(&scripts::SET_QUEUE, &args).await.map(drop)
}

pub(crate) async fn list(server: &Server) -> Result<Vec<QueueInfo>> {
    let mut args = Args::new();
    args.number(i64::try_from(MAX_LANES_REPORTED).unwrap_or(i64::MAX));
    let answer = server.run(&scripts::QUEUES, &args).await?;
    let mut parts = Reply::new(answer, server.address()).array()?;
    let mut infos: BTreeMap<Queue, QueueInfo> = BTreeMap::new();
    for paused in parts.part()?.array()? {
        if let Some(queue) = name(&paused.bytes()?) {
            info(&mut infos, queue).paused = true;
        }
    }
    for head in parts.part()?.array()? {
        if let Some((queue, lane, due)) = lane(&head.bytes()?) {
            info(&mut infos, queue).lanes.push((lane, due));
        }
    }
    Ok(infos.into_values().collect())
}

fn info(infos: &mut BTreeMap<Queue, QueueInfo>, queue: Queue) -> &mut QueueInfo {
    infos
        .entry(queue.clone())
        .or_insert_with(|| QueueInfo::new(queue, false, Vec::new()))
}

fn name(bytes: &[u8]) -> Option<Queue> {
    Queue::new(codec::text(bytes).ok()?).ok()
}

/// A member of the ready index: queue 0 kind 0 level time id. None for one that no version of this library writes.
fn lane(member: &[u8]) -> Option<(Queue, Lane, Timestamp)> {
    let (rest, _id) = member.split_last_chunk::<16>()?;
    let (rest, due) = rest.split_last_chunk::<8>()?;
    let (level, rest) = rest.split_last()?;
    let mut names = rest.split(|byte| *byte == 0);
    let queue = name(names.next()?)?;
    let kind = Kind::new(codec::text(names.next()?).ok()?).ok()?;
    let lane = Lane {
        kind,
        priority: Priority::from_code(level / 2)?,
        suspect: level % 2 == 1,
    };
    Some((queue, lane, record::from_sortable(*due).ok()?))
}

pub(crate) async fn count(server: &Server, scope: &CountScope) -> Result<Counts> {
    let mut args = Args::new();
    if let Some(queue) = &scope.queue {
        args.push(queue.as_str());
    }
    let answer = server.run(&scripts::COUNT, &args).await?;
    let mut pairs = Reply::new(answer, server.address()).array()?;
    let mut counts = Counts::default();
    counts.complete = true;
    while pairs.left() > 0 {
        let (field, n) = (pairs.part()?.bytes()?, pairs.part()?.int());
        // What is no number is not counted: the next write takes it away.
        let n = n.ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        if let Some(at) = counted(&field).filter(|_| n > 0) {
            counts.counts.insert(at, Count::Exact(n));
        }
    }
    Ok(counts)
}

fn counted(field: &[u8]) -> Option<(Queue, State)> {
    let (rest, state) = field.split_last_chunk::<2>()?;
    let code = (state[0] == 0).then(|| state[1].checked_sub(b'0')).flatten()?;
    Some((name(rest)?, State::from_code(code)?))
}
