//! The rarely written fields of a task, gathered for one write: errors, outputs, checkpoints, completions.

use retry_core::task::{Cold, Completion, CompletionChange, Field};

use crate::args::Args;

/// Which columns a write means; the statement `write_note` names them.
mod bit {
    pub(super) const RERUNS: i64 = 1;
    pub(super) const VIA_FALLBACK: i64 = 2;
    pub(super) const LAST_ERROR: i64 = 4;
    pub(super) const CHECKPOINT: i64 = 8;
    pub(super) const OUTPUT: i64 = 16;
    pub(super) const COMPLETION: i64 = 32;
    pub(super) const EARLY: i64 = 64;
    pub(super) const DELIVER_EARLY: i64 = 128;
}

/// What one call changes in the note of one task.
#[derive(Debug, Default)]
pub(crate) struct Note {
    changed: i64,
    reruns: u32,
    via_fallback: bool,
    last_error: Option<String>,
    checkpoint: Option<String>,
    output: Option<String>,
    completion: Option<String>,
    early: Option<String>,
}

impl Note {
    /// Whether it must be written: it says something that a missing note does not, or there is one to change.
    pub(crate) const fn is_needed(&self, noted: bool) -> bool {
        if noted {
            return self.changed != 0;
        }
        self.reruns > 0
            || self.via_fallback
            || self.last_error.is_some()
            || self.checkpoint.is_some()
            || self.output.is_some()
            || self.completion.is_some()
            || self.early.is_some()
    }

    pub(crate) fn set_last_error(&mut self, error: Option<String>) {
        self.changed |= bit::LAST_ERROR;
        self.last_error = error;
    }

    pub(crate) fn set_early(&mut self, completion: Option<&Completion>) {
        self.changed |= bit::EARLY;
        self.early = completion.map(Completion::to_stored);
    }

    fn set_completion(&mut self, completion: Option<String>) {
        self.changed = self.changed & !bit::DELIVER_EARLY | bit::COMPLETION;
        self.completion = completion;
    }

    fn deliver_early(&mut self) {
        if self.changed & bit::EARLY != 0 {
            // It was stored by this very call.
            let early = self.early.take();
            self.set_completion(early);
        } else {
            self.changed = self.changed & !bit::COMPLETION | bit::DELIVER_EARLY;
        }
        self.set_early(None);
    }

    /// Takes over the changes of a target.
    pub(crate) fn take(&mut self, cold: &Cold) {
        if let Some(reruns) = cold.reruns {
            self.changed |= bit::RERUNS;
            self.reruns = reruns;
        }
        if let Some(via_fallback) = cold.via_fallback {
            self.changed |= bit::VIA_FALLBACK;
            self.via_fallback = via_fallback;
        }
        let mut field = |bit: i64, column: &mut Option<String>, change: Option<Option<&str>>| {
            if let Some(value) = change {
                self.changed |= bit;
                *column = value.map(str::to_owned);
            }
        };
        field(
            bit::LAST_ERROR,
            &mut self.last_error,
            change(&cold.last_error, |error| error.as_str()),
        );
        field(
            bit::CHECKPOINT,
            &mut self.checkpoint,
            change(&cold.checkpoint, |payload| payload.as_json()),
        );
        field(
            bit::OUTPUT,
            &mut self.output,
            change(&cold.output, |payload| payload.as_json()),
        );
        match &cold.completion {
            CompletionChange::Keep => {}
            CompletionChange::Deliver(completion) => {
                self.set_completion(Some(completion.to_stored()));
                self.set_early(None);
            }
            CompletionChange::DeliverEarly => self.deliver_early(),
            CompletionChange::Clear => {
                self.set_completion(None);
                self.set_early(None);
            }
        }
    }

    /// The arguments of `write_note`.
    pub(crate) fn bind(&self, args: Args, id: [u8; 16]) -> Args {
        args.with(id)
            .with(self.changed)
            .with(self.reruns)
            .with(self.via_fallback)
            .with(self.last_error.as_deref())
            .with(self.checkpoint.as_deref())
            .with(self.output.as_deref())
            .with(self.completion.as_deref())
            .with(self.early.as_deref())
    }
}

fn change<'a, T>(field: &'a Field<T>, text: impl FnOnce(&'a T) -> &'a str) -> Option<Option<&'a str>> {
    match field {
        Field::Keep => None,
        Field::Set(value) => Some(Some(text(value))),
        Field::Clear => Some(None),
    }
}
