//! Sessions (law 9): open, renew, close, list.

use std::collections::HashSet;

use retry_core::id::SessionId;
use retry_core::limits::MAX_BATCH;
use retry_core::store::{Renewed, Session, SessionInfo, StoreError};
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::error::Outcome;
use crate::keys;
use crate::members;
use crate::record::{Damage, Read, SessionRow};
use crate::view::View;

/// Sessions that were in the files when they were opened, and have not been used since. One process has the files, so the
/// processes of these are gone.
pub(crate) type Orphans = HashSet<SessionId>;

fn load(view: &dyn View, id: SessionId) -> Outcome<Option<Read<SessionRow>>> {
    let stored = view.get_long(&keys::session(id))?;
    Ok(stored.map(|bytes| SessionRow::decode(id, &bytes)))
}

pub(crate) fn write(draft: &mut Draft<'_>, row: &SessionRow) -> Outcome<()> {
    draft.put_long(&keys::session(row.session.info.id), &row.encode())
}

/// All stored sessions by id. One that cannot be read is passed over: what it holds counts as held by a missing one.
pub(crate) fn all(view: &dyn View) -> Outcome<Vec<SessionRow>> {
    let mut ids = Vec::new();
    view.all(&[keys::SESSION], &mut |key, _| {
        let id = key.get(..17).and_then(keys::session_at_end);
        if ids.last() != id.as_ref() {
            ids.extend(id);
        }
        true
    })?;
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        match load(view, id)? {
            Some(Ok(row)) => rows.push(row),
            Some(Err(Damage(reason))) => {
                tracing::warn!(session = %id, reason, "a session that cannot be read is passed over");
            }
            None => {}
        }
    }
    Ok(rows)
}

pub(crate) fn is_live(view: &dyn View, id: SessionId) -> Outcome<bool> {
    Ok(load(view, id)?.is_some_and(|row| row.is_ok_and(|row| !row.session.lost)))
}

pub(crate) fn holds(view: &dyn View, id: SessionId) -> Outcome<bool> {
    let held = keys::held_by(id);
    Ok(view.first(&held, &keys::behind(&held))?.is_some())
}

pub(crate) fn open(
    draft: &mut Draft<'_>,
    orphans: &mut Orphans,
    info: &SessionInfo,
    until: Timestamp,
) -> Outcome<()> {
    if let Some(Ok(row)) = load(draft, info.id)? {
        if row.session.lost {
            return Err(StoreError::invalid("the session was lost; open a new one").into());
        }
        orphans.remove(&info.id);
        return Ok(());
    }
    let session = Session::new(info.clone(), until, false);
    write(draft, &SessionRow { session, dead: false })
}

pub(crate) fn renew(
    draft: &mut Draft<'_>,
    orphans: &mut Orphans,
    id: SessionId,
    until: Timestamp,
) -> Outcome<Renewed> {
    let Some(Ok(mut row)) = load(draft, id)? else {
        return Ok(Renewed::Lost);
    };
    if row.session.lost {
        return Ok(Renewed::Lost);
    }
    // A program that opened the files again goes on with a session of its own.
    orphans.remove(&id);
    if until > row.session.lease_until {
        row.session.lease_until = until;
        write(draft, &row)?;
    }
    let held = members::count(draft, &keys::held_by(id))?;
    let mut cancel = Vec::new();
    draft.all(&keys::flagged_by(id), &mut |key, _| {
        cancel.extend(keys::id_at_end(key));
        cancel.len() < MAX_BATCH
    })?;
    Ok(Renewed::Live { cancel, held })
}

pub(crate) fn close(draft: &mut Draft<'_>, orphans: &mut Orphans, id: SessionId) -> Outcome<()> {
    orphans.remove(&id);
    if !holds(draft, id)? {
        return draft.remove_long(&keys::session(id));
    }
    if let Some(Ok(mut row)) = load(draft, id)? {
        (row.session.lost, row.dead) = (true, true);
        write(draft, &row)?;
    }
    Ok(())
}

pub(crate) fn list(view: &dyn View) -> Outcome<Vec<Session>> {
    Ok(all(view)?.into_iter().map(|row| row.session).collect())
}
