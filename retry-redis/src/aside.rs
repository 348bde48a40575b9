//! Rows that cannot be read (law 14). The scripts put aside what they cannot read themselves; this is for texts that only this
//! program looks into.

use retry_core::limits::MAX_VERSION;
use retry_core::store::BadRecord;
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::scripts;
use crate::server::Server;

/// Moves rows to failed, unless they went on meanwhile, and reports them with the version they have then.
pub(crate) async fn put_aside(server: &Server, rows: Vec<BadRecord>, now: Timestamp) -> Vec<BadRecord> {
    if rows.is_empty() {
        return rows;
    }
    let mut args = Args::new();
    args.number(now.as_millis());
    for bad in &rows {
        tracing::warn!(id = %bad.id, reason = bad.reason, "a task that cannot be read is moved to failed");
        args.build(|out| {
            out.extend(bad.id.to_bytes());
            out.extend(bad.version.to_be_bytes());
        });
    }
    if let Err(error) = server.run(&scripts::ASIDE, &args).await {
        // They are where they were, and reported again.
        tracing::warn!(%error, "tasks that cannot be read were not moved to failed");
        return rows;
    }
    let moved = |bad: BadRecord| BadRecord {
        version: (bad.version + 1).min(MAX_VERSION),
        ..bad
    };
    rows.into_iter().map(moved).collect()
}
