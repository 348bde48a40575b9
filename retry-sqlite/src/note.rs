//! The rarely written fields of a task: errors, outputs, checkpoints, completions, and its history.

use retry_core::limits::MAX_FAILURES_KEPT;
use retry_core::task::{Cold, Completion, CompletionChange, FailedAttempt, Field, Target};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Outcome;
use crate::memo::Memo;
use crate::queries;
use crate::record;

/// Where the rarely written fields of a task are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) number: i64,
    /// Whether there is a note.
    pub(crate) noted: bool,
}

/// What a target changes in a note. `None` keeps a field, `Some(None)` empties it.
#[derive(Default)]
struct Note<'a> {
    reruns: Option<u32>,
    via_fallback: Option<bool>,
    last_error: Option<Option<&'a str>>,
    checkpoint: Option<Option<&'a str>>,
    output: Option<Option<&'a str>>,
    completion: Completions<'a>,
}

#[derive(Default)]
enum Completions<'a> {
    #[default]
    Keep,
    Deliver(&'a Completion),
    DeliverEarly,
    Clear,
}

/// Writes what a target changes besides the hot fields, and answers whether the task has a note then.
pub(crate) fn write(conn: &Connection, place: Place, target: &Target, memo: &mut Memo) -> Outcome<bool> {
    let mut note = Note::default();
    if let Some(failure) = &target.failure {
        note.last_error = Some(Some(failure.error.as_str()));
        add_failure(conn, place.number, failure)?;
    }
    if let Some(cold) = &target.cold {
        note.take(cold);
        write_body(conn, place.number, cold, memo)?;
    }
    if !(note.fills() || place.noted && note.clears()) {
        return Ok(place.noted);
    }
    note.write(conn, place.number)?;
    Ok(true)
}

/// Whether an early completion is stored.
pub(crate) fn has_early(conn: &Connection, place: Place) -> Outcome<bool> {
    Ok(place.noted && conn.prepare_cached(queries::NOTE_EARLY)?.exists([place.number])?)
}

/// Stores an early completion; false: one was there already.
pub(crate) fn store_early(conn: &Connection, number: i64, completion: &Completion) -> Outcome<bool> {
    let mut statement = conn.prepare_cached(queries::NOTE_STORE_EARLY)?;
    Ok(statement.execute(params![number, completion.to_stored()])? == 1)
}

/// Forgets everything at a place.
pub(crate) fn delete(conn: &Connection, place: Place) -> Outcome<()> {
    conn.prepare_cached(queries::BODY_DELETE)?
        .execute([place.number])?;
    if place.noted {
        conn.prepare_cached(queries::NOTE_DELETE)?
            .execute([place.number])?;
        conn.prepare_cached(queries::FAILURE_DELETE)?
            .execute([place.number])?;
    }
    Ok(())
}

fn add_failure(conn: &Connection, number: i64, failure: &FailedAttempt) -> Outcome<()> {
    // Numbers, names and texts always serialize.
    let attempt = serde_json::to_string(failure).unwrap_or_default();
    let place: i64 = conn
        .prepare_cached(queries::FAILURE_ADD)?
        .query_row(params![number, attempt], |row| row.get(0))?;
    let forgotten = place - i64::try_from(MAX_FAILURES_KEPT).unwrap_or(i64::MAX);
    if forgotten > 0 {
        conn.prepare_cached(queries::FAILURE_TRIM)?
            .execute([number, forgotten])?;
    }
    Ok(())
}

/// Payload, headers, and the limits that a rerun moves.
fn write_body(conn: &Connection, number: i64, cold: &Cold, memo: &mut Memo) -> Outcome<()> {
    if cold.payload.is_some() || cold.headers.is_some() {
        conn.prepare_cached(queries::BODY_WRITE)?.execute(params![
            number,
            cold.payload.as_ref().map(|payload| payload.as_json()),
            cold.headers.is_some(),
            cold.headers.as_ref().and_then(record::headers_text),
        ])?;
    }
    if cold.give_up_at == Field::Keep && cold.expires_at == Field::Keep {
        return Ok(());
    }
    let mut read = conn.prepare_cached(queries::SETTINGS_READ)?;
    let stored = read.query_row([number], |row| {
        Ok(record::opt_text(row, 0).ok().and_then(|text| memo.settings(text)))
    });
    // Unreadable settings stay as they are: the next claim reports the row.
    if let Some(mut settings) = stored.optional()?.flatten() {
        cold.give_up_at.apply(&mut settings.give_up_at);
        cold.expires_at.apply(&mut settings.expires_at);
        let mut write = conn.prepare_cached(queries::SETTINGS_WRITE)?;
        write.execute(params![number, memo.settings_text(&settings)])?;
    }
    Ok(())
}

impl<'a> Note<'a> {
    fn take(&mut self, cold: &'a Cold) {
        fn field<'a, T>(field: &'a Field<T>, text: impl FnOnce(&'a T) -> &'a str) -> Option<Option<&'a str>> {
            match field {
                Field::Keep => None,
                Field::Set(value) => Some(Some(text(value))),
                Field::Clear => Some(None),
            }
        }
        self.reruns = cold.reruns;
        self.via_fallback = cold.via_fallback;
        self.last_error = field(&cold.last_error, |error| error.as_str()).or(self.last_error);
        self.checkpoint = field(&cold.checkpoint, |payload| payload.as_json());
        self.output = field(&cold.output, |payload| payload.as_json());
        self.completion = match &cold.completion {
            CompletionChange::Keep => Completions::Keep,
            CompletionChange::Deliver(completion) => Completions::Deliver(completion),
            CompletionChange::DeliverEarly => Completions::DeliverEarly,
            CompletionChange::Clear => Completions::Clear,
        };
    }

    /// Whether something is written that a missing note does not say already.
    fn fills(&self) -> bool {
        self.reruns.is_some_and(|reruns| reruns > 0)
            || self.via_fallback == Some(true)
            || matches!(self.last_error, Some(Some(_)))
            || matches!(self.checkpoint, Some(Some(_)))
            || matches!(self.output, Some(Some(_)))
            || matches!(self.completion, Completions::Deliver(_))
    }

    const fn clears(&self) -> bool {
        self.reruns.is_some()
            || self.via_fallback.is_some()
            || self.last_error.is_some()
            || self.checkpoint.is_some()
            || self.output.is_some()
            || !matches!(self.completion, Completions::Keep)
    }

    fn write(&self, conn: &Connection, number: i64) -> Outcome<()> {
        let (mode, delivered) = match &self.completion {
            Completions::Keep => (0, None),
            Completions::Deliver(completion) => (1, Some(completion.to_stored())),
            Completions::DeliverEarly => (2, None),
            Completions::Clear => (3, None),
        };
        conn.prepare_cached(queries::NOTE_WRITE)?.execute(params![
            number,
            self.reruns.is_some(),
            self.reruns.unwrap_or(0),
            self.via_fallback.is_some(),
            self.via_fallback.unwrap_or(false),
            self.last_error.is_some(),
            self.last_error.flatten(),
            self.checkpoint.is_some(),
            self.checkpoint.flatten(),
            self.output.is_some(),
            self.output.flatten(),
            mode,
            delivered,
        ])?;
        Ok(())
    }
}
