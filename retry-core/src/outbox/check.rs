//! The bounds of a table's calls, checked before anything is written. Every table calls these first.

use super::table::{NewRow, Room, RowId};
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES, MAX_OUTBOX_BODY_BYTES};
use crate::store::{Result, StoreError};

/// Checks rows to write.
///
/// # Errors
/// Too many, one too large, or all together.
pub fn write(rows: &[NewRow]) -> Result<()> {
    count("rows", rows.len())?;
    if let Some(row) = rows.iter().find(|row| row.body.len() > MAX_OUTBOX_BODY_BYTES) {
        let bytes = row.body.len();
        return Err(StoreError::invalid(format!(
            "a task of {bytes} bytes, at most {MAX_OUTBOX_BODY_BYTES} are allowed in an outbox"
        )));
    }
    let bytes: usize = rows.iter().map(|row| row.body.len()).sum();
    if bytes > MAX_CALL_BYTES {
        return Err(StoreError::invalid(format!(
            "{bytes} bytes in one call, at most {MAX_CALL_BYTES} are allowed; split it"
        )));
    }
    Ok(())
}

/// Checks a call of [`next`](super::OutboxTable::next).
///
/// # Errors
/// Too many rows handed over or asked for, or none asked for.
pub fn next(handed: &[RowId], room: Room) -> Result<()> {
    count("rows handed over", handed.len())?;
    count("rows asked for", room.rows)?;
    if room.rows == 0 {
        return Err(StoreError::invalid("no rows asked for"));
    }
    Ok(())
}

fn count(what: &str, n: usize) -> Result<()> {
    if n > MAX_BATCH {
        return Err(StoreError::invalid(format!(
            "{n} {what} in one call, at most {MAX_BATCH} are allowed"
        )));
    }
    Ok(())
}
