//! The rarely written fields of tasks: errors, outputs, checkpoints, completions, and their history. Gathered edit by edit,
//! written together.

use retry_core::id::TaskId;
use retry_core::limits::MAX_FAILURES_KEPT;
use retry_core::task::{Cold, Completion, CompletionChange, Field, Target};

use crate::board::Row;
use crate::error::Outcome;
use crate::memo::Memo;
use crate::record::{self, Read};
use crate::tx::Tx;
use crate::types::{Id, ids};

/// The completion that stands for the early one.
const EARLY: &str = "early";

/// What is still to be written, of each task once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    notes: Columns,
    cleared_errors: Vec<Id>,
    early: (Vec<Id>, Vec<String>),
    failures: (Vec<Id>, Vec<String>),
    bodies: Vec<Body>,
    settings: Vec<(TaskId, Field<i64>, Field<i64>)>,
}

/// Notes as the arrays of the statement that writes them.
#[derive(Debug, Default)]
struct Columns {
    id: Vec<Id>,
    reruns: Vec<Option<i32>>,
    via_fallback: Vec<Option<bool>>,
    last_error: Vec<Option<String>>,
    checkpoint: Vec<Option<String>>,
    output: Vec<Option<String>>,
    completion: Vec<Option<String>>,
}

/// Another payload or other headers.
#[derive(Debug)]
struct Body {
    id: TaskId,
    payload: Option<String>,
    headers: Option<Option<String>>,
}

/// One note: none keeps a field, an empty text empties it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Note {
    reruns: Option<i32>,
    via_fallback: Option<bool>,
    last_error: Option<String>,
    checkpoint: Option<String>,
    output: Option<String>,
    completion: Option<String>,
}

impl Notes {
    /// Takes what a target changes besides the hot fields, and tells the row whether it has a note then.
    pub(crate) fn take(&mut self, row: &mut Row, target: &Target) {
        let mut note = Note::default();
        if let Some(failure) = &target.failure {
            note.last_error = Some(failure.error.as_str().to_owned());
            self.failures.0.push(row.id.into());
            // Numbers, names and texts always serialize.
            self.failures
                .1
                .push(serde_json::to_string(failure).unwrap_or_default());
        }
        if let Some(cold) = &target.cold {
            note.take(cold);
            if matches!(cold.last_error, Field::Clear) {
                note.last_error = None;
                self.cleared_errors.extend(row.noted.then(|| Id::from(row.id)));
            }
            self.take_body(row.id, cold);
        }
        if !row.noted {
            note.drop_empty();
        }
        if note != Note::default() {
            row.noted = true;
            self.notes.push(row.id, note);
        }
    }

    fn take_body(&mut self, id: TaskId, cold: &Cold) {
        if cold.payload.is_some() || cold.headers.is_some() {
            self.bodies.push(Body {
                id,
                payload: cold.payload.as_ref().map(|payload| payload.as_json().to_owned()),
                headers: cold.headers.as_ref().map(record::headers_text),
            });
        }
        let millis = |field: &Field<retry_core::time::Timestamp>| match field {
            Field::Keep => Field::Keep,
            Field::Set(time) => Field::Set(time.as_millis()),
            Field::Clear => Field::Clear,
        };
        let (give_up_at, expires_at) = (millis(&cold.give_up_at), millis(&cold.expires_at));
        if give_up_at != Field::Keep || expires_at != Field::Keep {
            self.settings.push((id, give_up_at, expires_at));
        }
    }

    /// Takes an early completion of a task that has none.
    pub(crate) fn store_early(&mut self, row: &mut Row, completion: &Completion) {
        self.early.0.push(row.id.into());
        self.early.1.push(completion.to_stored());
        (row.noted, row.dirty) = (true, true);
    }

    /// Writes everything, with one statement for each table. `resized` gets the sizes of bodies that were written.
    pub(crate) async fn write(
        &mut self,
        tx: &mut Tx<'_>,
        memo: &mut Memo,
        mut resized: impl FnMut(TaskId, i32),
    ) -> Outcome<()> {
        let Self {
            notes,
            cleared_errors,
            early,
            failures,
            bodies,
            settings,
        } = std::mem::take(self);
        if !notes.id.is_empty() {
            tx.execute(notes.bind(tx)).await?;
        }
        if !cleared_errors.is_empty() {
            let statement = tx.query(&tx.sql.note_clear_error).bind(cleared_errors);
            tx.execute(statement).await?;
        }
        if !early.0.is_empty() {
            let statement = tx.query(&tx.sql.note_store_early).bind(early.0).bind(early.1);
            tx.execute(statement).await?;
        }
        if !failures.0.is_empty() {
            let kept = i32::try_from(MAX_FAILURES_KEPT).unwrap_or(i32::MAX);
            let statement = tx
                .query(&tx.sql.failure_add)
                .bind(failures.0)
                .bind(failures.1)
                .bind(kept);
            tx.execute(statement).await?;
        }
        for body in bodies {
            let id = body.id;
            if let Ok(Some(bytes)) = write_body(tx, body).await? {
                resized(id, bytes);
            }
        }
        write_settings(tx, settings, memo).await
    }
}

/// Answers the size of the body, or none if it is not there.
async fn write_body(tx: &mut Tx<'_>, body: Body) -> Outcome<Read<Option<i32>>> {
    let statement = tx
        .query(&tx.sql.body_write)
        .bind(Id::from(body.id))
        .bind(body.payload)
        .bind(body.headers.is_some())
        .bind(body.headers.flatten());
    let row = tx.row(statement).await?;
    Ok(row.map(|row| record::value(&row, 0)).transpose())
}

/// The limits that a rerun moves.
async fn write_settings(
    tx: &mut Tx<'_>,
    changes: Vec<(TaskId, Field<i64>, Field<i64>)>,
    memo: &mut Memo,
) -> Outcome<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let asked = ids(changes.iter().map(|(id, ..)| *id));
    let statement = tx.query(&tx.sql.settings_read).bind(asked);
    let mut written = (Vec::new(), Vec::new());
    for row in tx.rows(statement).await? {
        let stored = record::value(&row, 1).ok().and_then(|text| memo.settings(text));
        // Damaged settings stay as they are: the next claim reports the row.
        let (Ok(id), Some(mut settings)) = (record::task_id(&row, 0), stored) else {
            continue;
        };
        for (changed, give_up_at, expires_at) in &changes {
            if *changed == id {
                moved(*give_up_at).apply(&mut settings.give_up_at);
                moved(*expires_at).apply(&mut settings.expires_at);
            }
        }
        written.0.push(Id::from(id));
        written.1.push(memo.settings_text(&settings));
    }
    let statement = tx.query(&tx.sql.settings_write).bind(written.0).bind(written.1);
    tx.execute(statement).await?;
    Ok(())
}

fn moved(field: Field<i64>) -> Field<retry_core::time::Timestamp> {
    match field {
        Field::Keep => Field::Keep,
        Field::Set(millis) => Field::Set(retry_core::time::Timestamp::from_millis(millis)),
        Field::Clear => Field::Clear,
    }
}

impl Note {
    fn take(&mut self, cold: &Cold) {
        fn field<T>(field: &Field<T>, text: impl FnOnce(&T) -> &str) -> Option<String> {
            match field {
                Field::Keep => None,
                Field::Set(value) => Some(text(value).to_owned()),
                Field::Clear => Some(String::new()),
            }
        }
        self.reruns = cold.reruns.map(record::stored_count);
        self.via_fallback = cold.via_fallback;
        if let Field::Set(error) = &cold.last_error {
            self.last_error = Some(error.as_str().to_owned());
        }
        self.checkpoint = field(&cold.checkpoint, |payload| payload.as_json());
        self.output = field(&cold.output, |payload| payload.as_json());
        self.completion = match &cold.completion {
            CompletionChange::Keep => None,
            CompletionChange::Deliver(completion) => Some(completion.to_stored()),
            CompletionChange::DeliverEarly => Some(EARLY.to_owned()),
            CompletionChange::Clear => Some(String::new()),
        };
    }

    /// Leaves out what a missing note says already.
    fn drop_empty(&mut self) {
        let filled = |text: &String| !text.is_empty() && text != EARLY;
        self.reruns = self.reruns.filter(|reruns| *reruns > 0);
        self.via_fallback = self.via_fallback.filter(|via_fallback| *via_fallback);
        self.checkpoint = self.checkpoint.take().filter(filled);
        self.output = self.output.take().filter(filled);
        self.completion = self.completion.take().filter(filled);
    }
}

impl Columns {
    fn push(&mut self, id: TaskId, note: Note) {
        self.id.push(id.into());
        self.reruns.push(note.reruns);
        self.via_fallback.push(note.via_fallback);
        self.last_error.push(note.last_error);
        self.checkpoint.push(note.checkpoint);
        self.output.push(note.output);
        self.completion.push(note.completion);
    }

    fn bind(self, tx: &Tx<'_>) -> crate::tx::Statement {
        tx.query(&tx.sql.note_write)
            .bind(self.id)
            .bind(self.reruns)
            .bind(self.via_fallback)
            .bind(self.last_error)
            .bind(self.checkpoint)
            .bind(self.output)
            .bind(self.completion)
    }
}
