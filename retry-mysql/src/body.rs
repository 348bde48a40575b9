//! A task's body, its headers and its payload, as it is stored: in the row of its task while it is small, else apart.

use std::borrow::Cow;

use retry_core::headers::Headers;
use retry_core::id::TaskId;
use retry_core::payload::Payload;
use retry_core::task::NewTask;

use crate::args::Args;
use crate::db::Db;
use crate::error::Outcome;
use crate::record;
use crate::rows::Slot;

/// Bytes of a body that stands in the row of its task, at most: a dozen of such rows fit into a page, and a change that moves a row
/// copies no more.
const IN_ROW: usize = 1024;

/// Both texts, as they are in the columns.
pub(crate) struct Body<'b> {
    headers: Option<Cow<'b, [u8]>>,
    payload: Cow<'b, [u8]>,
}

impl<'b> Body<'b> {
    pub(crate) fn of(headers: &Headers, payload: &'b Payload) -> Self {
        Self {
            headers: stored_headers(headers),
            payload: Cow::Borrowed(payload.as_json().as_bytes()),
        }
    }

    fn bytes(&self) -> usize {
        self.payload.len() + self.headers.as_ref().map_or(0, |headers| headers.len())
    }

    pub(crate) fn is_apart(&self) -> bool {
        self.bytes() > IN_ROW
    }

    /// The columns of the task's row: bytes, headers, payload.
    pub(crate) fn bind_in_row(&self, args: Args) -> Args {
        let (headers, payload) = match self.is_apart() {
            true => (None, None),
            false => (self.headers.as_deref(), Some(&*self.payload)),
        };
        args.with(record::length(self.bytes()))
            .with(headers)
            .with(payload)
    }

    /// The columns of a row of its own: id, headers, payload.
    pub(crate) fn bind_apart(&self, args: Args, id: TaskId) -> Args {
        args.with(id.to_bytes())
            .with(self.headers.as_deref())
            .with(&*self.payload)
    }
}

fn stored_headers<'b>(headers: &Headers) -> Option<Cow<'b, [u8]>> {
    record::headers_text(headers).map(|text| Cow::Owned(text.into_bytes()))
}

/// Whether a new task is one row.
pub(crate) fn fits_in_row(new: &NewTask) -> bool {
    !Body::of(&new.headers, &new.payload).is_apart()
}

/// Puts the new body of a stored task in the place of the old one, wherever either belongs. What stays of it is read first; a payload
/// that is missing stays so, for the next claim to report.
pub(crate) async fn rewrite(db: &mut Db<'_>, task: TaskId, slot: &Slot) -> Outcome<()> {
    let (q, id) = (db.q, task.to_bytes());
    let is_whole = slot.payload.is_some() && slot.headers.is_some();
    let stored = match is_whole {
        true => None,
        false => db.row(&q.read_body, Args::new().with(id)).await?,
    };
    let kept = |column| {
        let bytes = record::opt_bytes(stored.as_ref()?, column).ok().flatten();
        bytes.map(Cow::Borrowed)
    };
    let new_payload = slot.payload.as_ref();
    let payload = new_payload.map(|new| Cow::Borrowed(new.as_json().as_bytes()));
    let Some(payload) = payload.or_else(|| kept(0)) else {
        return Ok(());
    };
    let headers = match &slot.headers {
        Some(new) => stored_headers(new),
        None => kept(1),
    };
    let body = Body { headers, payload };
    if slot.was.as_ref().is_some_and(|was| was.apart) {
        db.run(&q.delete_body, Args::new().with(id)).await?;
    }
    let args = body.bind_in_row(Args::new());
    db.run(&q.write_body, args.with(id)).await?;
    if body.is_apart() {
        let args = body.bind_apart(Args::new(), task);
        db.run(q.insert_body.one(), args).await?;
    }
    Ok(())
}
