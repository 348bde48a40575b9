//! The bounds of a call, checked before anything is written. Every store calls these first.

use super::{ClaimRequest, ExpiredRequest, Page, Result, StoreError};
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES, MAX_CLAIM_KINDS, MAX_PAGE};
use crate::task::{Action, Edit, NewTask, State};

/// Checks the tasks of an insert.
///
/// # Errors
/// Too many, too large, or a task with a parent: only an edit of its parent may insert it.
pub fn insert(tasks: &[NewTask]) -> Result<()> {
    batch("tasks", tasks.len())?;
    bytes(tasks.iter().map(NewTask::bytes).sum())?;
    if tasks.iter().any(|task| task.parent.is_some()) {
        return Err(StoreError::invalid(
            "a task with a parent is inserted by an edit of its parent only",
        ));
    }
    Ok(())
}

/// Checks the edits and claims of an exchange.
///
/// # Errors
/// Too many, too large, an insert with a foreign parent, a change that no state machine makes.
pub fn exchange(edits: &[Edit], claims: &[ClaimRequest]) -> Result<()> {
    batch("edits", edits.len())?;
    batch(
        "tasks inserted by edits",
        edits.iter().map(|edit| edit.insert.len()).sum(),
    )?;
    bytes(edits.iter().map(Edit::bytes).sum())?;
    edits.iter().try_for_each(edit)?;
    batch(
        "claimed tasks",
        claims
            .iter()
            .fold(0, |sum: usize, claim| sum.saturating_add(claim.limit)),
    )?;
    claims.iter().try_for_each(claim)
}

fn edit(edit: &Edit) -> Result<()> {
    if edit
        .insert
        .iter()
        .any(|task| task.parent.is_some_and(|parent| parent != edit.id))
    {
        return Err(StoreError::invalid(
            "an edit inserts children of its own task or tasks without a parent",
        ));
    }
    if edit.insert.iter().any(|task| task.leased_by.is_some()) {
        return Err(StoreError::invalid(
            "only an insert makes a task that is born leased",
        ));
    }
    match &edit.action {
        Action::RequestCancel | Action::StoreCompletion(_) if !edit.insert.is_empty() => Err(
            StoreError::invalid("a cancel request and an early completion insert nothing"),
        ),
        Action::Delete { from } if !from.is_final() && *from != State::Running => Err(StoreError::invalid(
            "only an ended task, or a running one that succeeds, is deleted",
        )),
        Action::Set(change) if (change.to.state == State::Running) != change.to.session.is_some() => {
            Err(StoreError::invalid("exactly the running tasks have a session"))
        }
        _ => Ok(()),
    }
}

fn claim(claim: &ClaimRequest) -> Result<()> {
    if claim.kinds.len() > MAX_CLAIM_KINDS {
        let kinds = claim.kinds.len();
        return Err(StoreError::invalid(format!(
            "{kinds} kinds in one claim, at most {MAX_CLAIM_KINDS} are allowed"
        )));
    }
    batch("ids in a claim", claim.ids.as_ref().map_or(0, Vec::len))
}

/// Checks a request for expired tasks.
///
/// # Errors
/// Its limit is too large.
pub fn expired(request: &ExpiredRequest) -> Result<()> {
    batch("expired items", request.limit)
}

/// Checks the limit of a purge.
///
/// # Errors
/// It is too large.
pub fn purge(limit: usize) -> Result<()> {
    batch("tasks to purge", limit)
}

/// Checks a page.
///
/// # Errors
/// Its limit is too large.
pub fn page(page: &Page) -> Result<()> {
    if page.limit > MAX_PAGE {
        return Err(StoreError::invalid(format!(
            "{} rows on a page, at most {MAX_PAGE} are allowed",
            page.limit
        )));
    }
    Ok(())
}

fn batch(what: &str, n: usize) -> Result<()> {
    if n > MAX_BATCH {
        return Err(StoreError::invalid(format!(
            "{n} {what} in one call, at most {MAX_BATCH} are allowed; split it"
        )));
    }
    Ok(())
}

fn bytes(n: usize) -> Result<()> {
    if n > MAX_CALL_BYTES {
        return Err(StoreError::invalid(format!(
            "{n} bytes in one call, at most {MAX_CALL_BYTES} are allowed; split it"
        )));
    }
    Ok(())
}
