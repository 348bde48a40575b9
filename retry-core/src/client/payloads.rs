//! Samples the store: do the payloads that wait in it still decode?

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Client, Result};
use crate::draft::{DecodeError, InvalidTask, TaskPayload, decode};
use crate::id::TaskId;
use crate::limits::MAX_PAGE;
use crate::name::Kind;
use crate::store::{Page, TaskFilter, TaskStore};
use crate::task::State;

/// What a look at stored payloads found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PayloadCheck {
    /// Payloads that were decoded, or tried.
    pub checked: usize,
    /// Those that do not decode, or rows that cannot be read, newest first.
    pub undecodable: Vec<(TaskId, DecodeError)>,
    /// Whether these were all there are.
    pub complete: bool,
}

impl PayloadCheck {
    /// Whether all decode.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.undecodable.is_empty()
    }
}

impl<S: TaskStore + ?Sized> Client<S> {
    /// Decodes the payloads of up to `limit` stored tasks of `P`, newest first: those that have not ended, and failed ones,
    /// which may be rerun. Kinds are those of `P` and its aliases.
    ///
    /// Run it with the program that is to be deployed, on the store it will work on, before it works there. It reads each
    /// task by itself and writes nothing; a task that ended or was forgotten meanwhile is not counted.
    ///
    /// # Errors
    /// A kind of `P` is no valid name, or the store failed.
    pub async fn check_payloads<P: TaskPayload>(&self, limit: usize) -> Result<PayloadCheck> {
        let names = std::iter::once(P::KIND).chain(P::ALIASES.iter().copied());
        let kinds = names
            .map(|name| Kind::new(name).map_err(|error| InvalidTask::name("kind", name, error)))
            .collect::<Result<_, _>>()?;
        let mut states = State::ALL.to_vec();
        states.retain(|state| !state.is_final() || *state == State::Failed);
        let filter = TaskFilter {
            kinds,
            states,
            ..TaskFilter::default()
        };
        let mut check = PayloadCheck::default();
        let mut page = Page::first(limit.min(MAX_PAGE));
        while check.checked < limit {
            page.limit = page.limit.min(limit - check.checked);
            let listed = self.store.list(&filter, &page).await?;
            for bad in listed.bad {
                check.checked += 1;
                check
                    .undecodable
                    .push((bad.id, DecodeError::Undecodable(bad.reason)));
            }
            for summary in listed.tasks {
                let Some(detail) = self.store.get(summary.task.id).await? else {
                    continue;
                };
                check.checked += 1;
                if let Err(error) = surely(|| decode::<P>(&detail.payload, &detail.headers)) {
                    check.undecodable.push((detail.task.id, error));
                }
            }
            page.after = listed.next;
            if page.after.is_none() {
                check.complete = listed.missing_parts.is_empty();
                break;
            }
        }
        Ok(check)
    }
}

/// A migration is the user's code: its panic is one payload that does not decode.
fn surely<P>(
    decode: impl FnOnce() -> std::result::Result<P, DecodeError>,
) -> std::result::Result<(), DecodeError> {
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    let panicked = || Err(DecodeError::Undecodable("its migration panicked".to_owned()));
    decoded.unwrap_or_else(|_| panicked()).map(drop)
}
