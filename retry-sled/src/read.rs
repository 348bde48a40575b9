//! Reads (laws 11, 12, 14): one task, and listings.

use retry_core::headers::Headers;
use retry_core::id::TaskId;
use retry_core::limits::{MAX_CALL_BYTES, MAX_EXAMINED};
use retry_core::payload::Payload;
use retry_core::store::{BadRecord, Listed, Page, StoreError, StoreErrorKind, TaskFilter};
use retry_core::task::{TaskDetail, TaskSummary};

use crate::candidates::Candidates;
use crate::disk::Disk;
use crate::error::Outcome;
use crate::record::{Body, Damage, Read, Row};
use crate::rows::{self, Found};
use crate::view::View;

pub(crate) fn get(view: &dyn View, id: TaskId) -> Outcome<Option<TaskDetail>> {
    let read = match rows::load(view, id)? {
        Found::Missing => return Ok(None),
        Found::Bad(damage) => Err(damage),
        Found::Row(row) => load_detail(view, *row)?,
    };
    read.map(Some).map_err(|Damage(reason)| {
        let message = format!(
            "the stored task {id} cannot be read: {reason}; export the store, which passes the task over, and import it \
             into a new one"
        );
        StoreError::rejected(StoreErrorKind::Corrupt, message).into()
    })
}

/// Everything that is kept about a task.
pub(crate) fn load_detail(view: &dyn View, row: Row) -> Outcome<Read<TaskDetail>> {
    let (body, note) = match (rows::load_body(view, &row)?, rows::load_note(view, &row)?) {
        (Ok(body), Ok(note)) => (body, note),
        (Err(damage), _) | (_, Err(damage)) => return Ok(Err(damage)),
    };
    let failures = rows::load_failures(view, row.task.id, &note)?;
    Ok(failures.map(|failures| {
        let mut detail = rows::detail(row.task, body, note);
        detail.failures = failures;
        detail
    }))
}

/// A listing on its way: it may be left between two records, so that writes need not wait for all of it.
pub(crate) struct Listing {
    filter: TaskFilter,
    page: Page,
    candidates: Option<Candidates>,
    examined: usize,
    bytes: usize,
    listed: Listed,
}

impl Listing {
    pub(crate) fn new(filter: TaskFilter, page: Page) -> Self {
        Self {
            candidates: None,
            filter,
            page,
            examined: 0,
            bytes: 0,
            listed: Listed::default(),
        }
    }

    /// Goes on while ids are at hand. True: it is complete.
    pub(crate) fn go_on(&mut self, disk: &Disk) -> Outcome<bool> {
        if self.page.limit == 0 {
            return Ok(true);
        }
        let mut candidates = match (self.candidates.take(), self.filter.session) {
            (Some(candidates), _) => candidates,
            (None, Some(session)) => Candidates::held(disk, session, self.page.after)?,
            (None, None) => Candidates::new(&self.filter, self.page.after),
        };
        loop {
            let Some(id) = candidates.next(disk)? else {
                self.listed.next = None;
                return Ok(true);
            };
            let full = self.listed.tasks.len() + self.listed.bad.len() == self.page.limit;
            if full || self.examined == MAX_EXAMINED || self.bytes > MAX_CALL_BYTES {
                return Ok(true);
            }
            self.examined += 1;
            self.listed.next = Some(id);
            self.examine(disk, id)?;
            if !candidates.is_filled() {
                self.candidates = Some(candidates);
                return Ok(false);
            }
        }
    }

    pub(crate) fn into_listed(self) -> Listed {
        self.listed
    }

    fn examine(&mut self, disk: &Disk, id: TaskId) -> Outcome<()> {
        let read = match rows::load(disk, id)? {
            // Forgotten since its id was read, or an entry without a row, which `audit` tells.
            Found::Missing => return Ok(()),
            Found::Bad(damage) => Err(damage),
            Found::Row(row) => summary(disk, *row, &self.filter)?,
        };
        match read {
            Ok(Some(summary)) => {
                self.bytes += summary.output.as_ref().map_or(0, Payload::len);
                self.listed.tasks.push(summary);
            }
            Ok(None) => {}
            Err(Damage(reason)) => self.listed.bad.push(BadRecord {
                id,
                version: 0,
                reason: reason.to_owned(),
            }),
        }
        Ok(())
    }
}

/// The row of a listing, if the whole filter lets it pass. The body is read only for a filter that needs it.
fn summary(view: &dyn View, row: Row, filter: &TaskFilter) -> Outcome<Read<Option<TaskSummary>>> {
    let needs_body = filter.header.is_some() || filter.payload_contains.is_some();
    let body = if needs_body {
        rows::load_body(view, &row)?
    } else {
        Ok(Body {
            payload: Payload::null(),
            headers: Headers::new(),
        })
    };
    let (body, note) = match (body, rows::load_note(view, &row)?) {
        (Ok(body), Ok(note)) => (body, note),
        (Err(damage), _) | (_, Err(damage)) => return Ok(Err(damage)),
    };
    let detail = rows::detail(row.task, body, note);
    if !filter.matches(&detail) {
        return Ok(Ok(None));
    }
    let output = detail.output.filter(|_| filter.with_output);
    Ok(Ok(Some(TaskSummary::new(
        detail.task,
        detail.last_error,
        output,
        detail.via_fallback,
    ))))
}
