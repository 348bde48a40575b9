//! Making locked rows running (laws 3, 7): rows that get the same values by one list of ids, the others row by row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use retry_core::id::SessionId;
use retry_core::task::{ClaimedTask, Task};
use retry_core::time::Timestamp;

use crate::args::{Args, hex, millis};
use crate::db::Db;
use crate::error::{Fault, Outcome};
use crate::queries::SIZES;
use crate::record;

/// Rows that one list names. Fewer are written with the others, because each statement costs a round trip.
const ALIKE: usize = SIZES[0];

/// What a claim writes into a row, besides the session and the time: attempt, version, alarm.
type Values = (u32, u64, Option<Timestamp>);

/// Writes claimed tasks, whose rows this transaction has locked. It finds each as it was read, or the claim starts anew.
pub(crate) async fn write(
    db: &mut Db<'_>,
    claimed: &[ClaimedTask],
    session: SessionId,
    now: Timestamp,
) -> Outcome<()> {
    let mut groups: BTreeMap<Values, Vec<&Task>> = BTreeMap::new();
    for ClaimedTask { task, .. } in claimed {
        let values = (task.attempt, task.version, task.alarm_at);
        groups.entry(values).or_default().push(task);
    }
    let (mut found, mut others) = (0, Vec::new());
    for (values, tasks) in groups {
        let (full, rest) = tasks.split_at(tasks.len() - tasks.len() % ALIKE);
        found += write_alike(db, values, full, session, now).await?;
        others.extend_from_slice(rest);
    }
    found += write_list(db, &others, session, now).await?;
    // The driver counts rows found, and each of them is changed.
    if usize::try_from(found) == Ok(claimed.len()) {
        Ok(())
    } else {
        Err(Fault::Collision)
    }
}

async fn write_alike(
    db: &mut Db<'_>,
    (attempt, version, alarm): Values,
    tasks: &[&Task],
    session: SessionId,
    now: Timestamp,
) -> Outcome<u64> {
    let version = record::stored(version);
    let mut found = 0;
    for (sql, chunk) in db.q.claim_alike.chunks(tasks) {
        let args = Args::new()
            .with(attempt)
            .with(version)
            .with(alarm.map(Timestamp::as_millis))
            .with(session.to_bytes())
            .with(now.as_millis())
            .with(version - 1);
        let args = chunk
            .iter()
            .fold(args, |args, task| args.with(task.id.to_bytes()));
        found += db.run(sql, args).await?;
    }
    Ok(found)
}

async fn write_list(db: &mut Db<'_>, tasks: &[&Task], session: SessionId, now: Timestamp) -> Outcome<u64> {
    if tasks.is_empty() {
        return Ok(0);
    }
    let mut list = String::with_capacity(tasks.len() * 48);
    for task in tasks {
        list.push(if list.is_empty() { '[' } else { ',' });
        let (id, alarm) = (hex(&task.id.to_bytes()), millis(task.alarm_at));
        // Writing to a string cannot fail.
        let _ = write!(list, "[\"{id}\",{},{},{alarm}]", task.attempt, task.version);
    }
    list.push(']');
    let args = Args::new()
        .with(list)
        .with(session.to_bytes())
        .with(now.as_millis());
    db.run(&db.q.claim_write, args).await
}
