//! Successes that are not kept (law 6): most need no lock before their end, no look at a parent and at nothing but two tables.

use std::collections::HashSet;

use retry_core::id::TaskId;
use retry_core::task::{Action, Edit, State};

use crate::error::Outcome;
use crate::insert::altered;
use crate::record;
use crate::tx::Tx;
use crate::types::Id;

/// Forgets what can be forgotten so, and answers the tasks. The others are as they were.
pub(crate) async fn delete(tx: &mut Tx<'_>, edits: &[Edit]) -> Outcome<HashSet<TaskId>> {
    let mut deleted = HashSet::new();
    let is_candidate = |edit: &&Edit| {
        matches!(edit.action, Action::Delete { from } if from == State::Running) && edit.insert.is_empty()
    };
    if !edits.iter().any(|edit| is_candidate(&edit)) {
        return Ok(deleted);
    }
    // Edits of one task are applied one after another.
    let (mut seen, mut twice) = (HashSet::new(), HashSet::new());
    twice.extend(edits.iter().map(|edit| edit.id).filter(|id| !seen.insert(*id)));
    let candidates = edits.iter().filter(is_candidate);
    let (mut ids, mut versions, mut nonces) = (Vec::new(), Vec::new(), Vec::new());
    for edit in candidates.filter(|edit| !twice.contains(&edit.id)) {
        ids.push(Id::from(edit.id));
        versions.push(record::stored(edit.version));
        nonces.push(record::stored(edit.nonce.get()));
    }
    let statement = tx
        .query(&tx.sql.settle_delete)
        .bind(ids)
        .bind(versions)
        .bind(nonces);
    for row in tx.rows(statement).await? {
        deleted.insert(record::task_id(&row, 0).map_err(altered)?);
    }
    Ok(deleted)
}
