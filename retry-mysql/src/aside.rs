//! Rows that cannot be read (law 14): a claim puts them aside as failed, so that they block no lane.

use retry_core::id::TaskId;
use retry_core::limits::MAX_VERSION;
use retry_core::store::BadRecord;
use retry_core::task::State;
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::db::Db;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::load;
use crate::record;
use crate::write;

/// Moves a locked row to failed, which its parent, if it has one, counts; gives the report of it.
pub(crate) async fn write(
    db: &mut Db<'_>,
    mut report: BadRecord,
    parent: Option<TaskId>,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<BadRecord> {
    report.version = (report.version + 1).min(MAX_VERSION);
    let BadRecord { id, version, reason } = &report;
    tracing::warn!(%id, reason, "a task that cannot be read was moved to failed");
    let args = Args::new()
        .with(record::stored(*version))
        .with(now.as_millis())
        .with(id.to_bytes());
    db.run(&db.q.bad_write, args).await?;
    if let Some(parent) = parent {
        let mut rows = load::parent(db, parent, now).await?;
        rows.child_changed(Some(parent), State::Pending, State::Failed);
        write::write(db, &rows).await?;
        effects.woken.append(&mut rows.effects.woken);
    }
    Ok(report)
}
