//! Which sessions may claim from which queues (laws 9, 15), asked once for a whole call.

use std::collections::{BTreeSet, HashMap};

use retry_core::id::SessionId;
use retry_core::name::Queue;

use crate::args::{Args, hex};
use crate::db::Db;
use crate::error::Outcome;
use crate::record;

/// Whether a queue that a live session asks for is open. Lost sessions are not in it.
pub(crate) type Leases = HashMap<(SessionId, Queue), bool>;

/// Asks for all pairs at one moment; the shared locks keep the sessions from being marked lost meanwhile. In a transaction of the
/// user's own there are none.
pub(crate) async fn read<'a>(
    db: &mut Db<'_>,
    asked: impl Iterator<Item = (SessionId, &'a Queue)>,
) -> Outcome<Leases> {
    // Whoever marks sessions lost locks them in this order.
    let asked: BTreeSet<([u8; 16], &Queue)> = asked
        .map(|(session, queue)| (session.to_bytes(), queue))
        .collect();
    if asked.is_empty() {
        return Ok(Leases::new());
    }
    let asked: Vec<_> = asked.into_iter().collect();
    let pairs: Vec<String> = asked
        .iter()
        .map(|(session, queue)| format!("[\"{}\",\"{}\"]", hex(session), hex(queue.as_str().as_bytes())))
        .collect();
    let list = format!("[{}]", pairs.join(","));
    let statement = if db.is_users() {
        &db.q.session_seen
    } else {
        &db.q.session_claims
    };
    let rows = db.rows(statement, Args::new().with(list)).await?;
    let found = rows.iter().filter_map(|row| {
        // The statement numbers the pairs from one.
        let number = usize::try_from(record::int(row, 0).ok()? - 1).ok()?;
        let (session, queue) = asked.get(number)?;
        let pair = (SessionId::from_bytes(*session), (*queue).clone());
        Some((pair, record::int(row, 1) == Ok(0)))
    });
    Ok(found.collect())
}
