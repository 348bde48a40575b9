//! What a change makes of a row and of its note.

use retry_core::id::Nonce;
use retry_core::payload::Payload;
use retry_core::task::{Target, TaskDetail};
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::error::Outcome;
use crate::record::{Body, Damage, Note, Row};
use crate::rows;
use crate::view::View;

/// The note of a row that is to be written. One that cannot be read is begun anew: the task can still end.
pub(crate) fn note(view: &dyn View, row: &Row) -> Outcome<Note> {
    Ok(rows::load_note(view, row)?.unwrap_or_else(|Damage(reason)| {
        tracing::warn!(id = %row.task.id, reason, "what was noted about a task is given up");
        Note::default()
    }))
}

/// The row with the new values; what is beside it is written here, the row by the caller.
pub(crate) fn changed(
    draft: &mut Draft<'_>,
    mut row: Row,
    target: &Target,
    now: Timestamp,
    nonce: Nonce,
) -> Outcome<Row> {
    let is_plain = target.failure.is_none() && target.cold.is_none();
    let note = if is_plain {
        Note::default()
    } else {
        note(draft, &row)?
    };
    let failures = note.failures;
    let body = match (&target.cold, is_plain) {
        (Some(cold), false) if cold.payload.is_some() || cold.headers.is_some() => {
            rows::load_body(draft, &row)?.ok()
        }
        _ => None,
    };
    let edits_body = body.is_some();
    // A body that does not change is not read: what stands in its place is not written.
    let body = body.unwrap_or_else(|| Body {
        payload: Payload::null(),
        headers: Default::default(),
    });
    let mut detail = rows::detail(row.task.clone(), body, note);
    target.write_to(&mut detail, now);
    if !is_plain {
        write_note(draft, &mut row, failures, &detail)?;
    }
    if edits_body {
        let body = Body {
            payload: detail.payload,
            headers: detail.headers,
        };
        rows::set_body(draft, &mut row, body)?;
    }
    row.task = detail.task;
    row.nonce = nonce.get();
    Ok(row)
}

fn write_note(draft: &mut Draft<'_>, row: &mut Row, failures: u32, detail: &TaskDetail) -> Outcome<()> {
    let mut note = Note {
        checkpoint: detail.checkpoint.clone(),
        completion: detail.completion.clone(),
        early: detail.early_completion.clone(),
        output: detail.output.clone(),
        last_error: detail.last_error.clone(),
        via_fallback: detail.via_fallback,
        failures,
    };
    for failure in &detail.failures {
        rows::add_failure(draft, row.task.id, &mut note, failure)?;
    }
    rows::set_note(draft, row, &note)
}
