//! Rows and what belongs to them. Every write of a row goes through [`write`], so no index and no count can lag: the
//! entries of a row are a pure function of it, and two sets of them differ by exactly what is to be written.

use retry_core::id::TaskId;
use retry_core::limits::{MAX_FAILURES_KEPT, RESEND_WINDOW};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::task::{ClaimedTask, FailedAttempt, State, Task, TaskDetail};

use crate::draft::Draft;
use crate::error::Outcome;
use crate::keys::{self, Key};
use crate::members;
use crate::record::{self, Body, Damage, Note, Read, Row};
use crate::view::View;

/// What is stored under an id.
pub(crate) enum Found {
    Missing,
    Bad(Damage),
    Row(Box<Row>),
}

pub(crate) fn load(view: &dyn View, id: TaskId) -> Outcome<Found> {
    Ok(match view.get(&keys::row(id))? {
        None => Found::Missing,
        Some(bytes) => match Row::decode(id, &bytes) {
            Ok(row) => Found::Row(Box::new(row)),
            Err(damage) => Found::Bad(damage),
        },
    })
}

/// A row that can be read.
pub(crate) fn load_sound(view: &dyn View, id: TaskId) -> Outcome<Option<Box<Row>>> {
    Ok(match load(view, id)? {
        Found::Row(row) => Some(row),
        Found::Missing | Found::Bad(_) => None,
    })
}

pub(crate) fn load_body(view: &dyn View, row: &Row) -> Outcome<Read<Body>> {
    if let Some(body) = &row.body {
        return Ok(Ok(body.clone()));
    }
    let stored = view.get_long(&keys::body(row.task.id))?;
    Ok(stored.map_or(Err(Damage("the body is missing")), |bytes| Body::decode(&bytes)))
}

pub(crate) fn load_note(view: &dyn View, row: &Row) -> Outcome<Read<Note>> {
    if !row.noted {
        return Ok(Ok(Note::default()));
    }
    let stored = view.get_long(&keys::note(row.task.id))?;
    Ok(stored.map_or(Err(Damage("the note is missing")), |bytes| Note::decode(&bytes)))
}

/// All that a handler gets.
pub(crate) fn load_claimed(view: &dyn View, row: Row) -> Outcome<Read<ClaimedTask>> {
    let (body, note) = match (load_body(view, &row)?, load_note(view, &row)?) {
        (Ok(body), Ok(note)) => (body, note),
        (Err(damage), _) | (_, Err(damage)) => return Ok(Err(damage)),
    };
    Ok(Ok(ClaimedTask {
        task: row.task,
        payload: body.payload,
        headers: body.headers,
        checkpoint: note.checkpoint,
        completion: note.completion,
    }))
}

/// All that is kept, but for the failed attempts.
pub(crate) fn detail(task: Task, body: Body, note: Note) -> TaskDetail {
    let mut detail = TaskDetail::new(ClaimedTask {
        task,
        payload: body.payload,
        headers: body.headers,
        checkpoint: note.checkpoint,
        completion: note.completion,
    });
    detail.early_completion = note.early;
    detail.output = note.output;
    detail.last_error = note.last_error;
    detail.via_fallback = note.via_fallback;
    detail
}

/// Failed attempts, oldest first.
pub(crate) fn load_failures(view: &dyn View, id: TaskId, note: &Note) -> Outcome<Read<Vec<FailedAttempt>>> {
    let mut failures = Vec::new();
    for number in kept(note.failures) {
        let Some(bytes) = view.get_long(&keys::failure(id, number))? else {
            return Ok(Err(Damage("a failed attempt is missing")));
        };
        match record::decode_failure(&bytes) {
            Ok(failure) => failures.push(failure),
            Err(damage) => return Ok(Err(damage)),
        }
    }
    Ok(Ok(failures))
}

/// The numbers of the failed attempts that are kept, of so many ever.
pub(crate) fn kept(failures: u32) -> std::ops::Range<u32> {
    let most = u32::try_from(MAX_FAILURES_KEPT).unwrap_or(u32::MAX);
    failures.saturating_sub(most)..failures
}

/// Records one more failed attempt and forgets the oldest beyond the limit.
pub(crate) fn add_failure(
    draft: &mut Draft<'_>,
    id: TaskId,
    note: &mut Note,
    failure: &FailedAttempt,
) -> Outcome<()> {
    draft.put_long(
        &keys::failure(id, note.failures),
        &record::encode_failure(failure),
    )?;
    let before = kept(note.failures).start;
    note.failures = note.failures.saturating_add(1);
    if kept(note.failures).start > before {
        draft.remove_long(&keys::failure(id, before))?;
    }
    Ok(())
}

/// Gives a row its body: inside, or beside it when it is large.
pub(crate) fn set_body(draft: &mut Draft<'_>, row: &mut Row, body: Body) -> Outcome<()> {
    let prefix = keys::body(row.task.id);
    if body.is_small() {
        draft.remove_long(&prefix)?;
        row.body = Some(body);
    } else {
        draft.put_long(&prefix, &body.encode())?;
        row.body = None;
    }
    Ok(())
}

/// Gives a row its note.
pub(crate) fn set_note(draft: &mut Draft<'_>, row: &mut Row, note: &Note) -> Outcome<()> {
    let prefix = keys::note(row.task.id);
    let had = row.noted;
    row.noted = *note != Note::default();
    match (had, row.noted) {
        (_, true) => draft.put_long(&prefix, &note.encode()),
        (true, false) => draft.remove_long(&prefix),
        (false, false) => Ok(()),
    }
}

/// Writes a row in place of what is stored under its id, with its index entries, its key and its count.
pub(crate) fn write(draft: &mut Draft<'_>, old: Option<&Row>, new: &Row) -> Outcome<()> {
    write_over(draft, old.map(|row| &row.task), new)
}

/// The same, where only the task of the stored row is at hand.
pub(crate) fn write_over(draft: &mut Draft<'_>, old: Option<&Task>, new: &Row) -> Outcome<()> {
    reindex(draft, old, Some(&new.task))?;
    draft.put(keys::row(new.task.id), new.encode());
    Ok(())
}

/// Forgets a task with everything that is kept about it.
pub(crate) fn forget(draft: &mut Draft<'_>, row: &Row) -> Outcome<()> {
    let id = row.task.id;
    reindex(draft, Some(&row.task), None)?;
    draft.remove(keys::row(id));
    if row.body.is_none() {
        draft.remove_long(&keys::body(id))?;
    }
    if row.noted {
        draft.remove_long(&keys::note(id))?;
        let mut chunks = Vec::new();
        draft.all(&keys::failures(id), &mut |key, _| {
            chunks.push(key.to_vec());
            true
        })?;
        chunks.into_iter().for_each(|key| draft.remove(key));
    }
    Ok(())
}

fn reindex(draft: &mut Draft<'_>, old: Option<&Task>, new: Option<&Task>) -> Outcome<()> {
    let before = old.map(index).unwrap_or_default();
    let after = new.map(index).unwrap_or_default();
    for (key, _) in before
        .iter()
        .filter(|(key, _)| !after.iter().any(|(new, _)| new == key))
    {
        draft.remove(key.clone());
    }
    for (key, value) in after
        .into_iter()
        .filter(|(key, _)| !before.iter().any(|(old, _)| old == key))
    {
        draft.put(key, value);
    }
    let before = old.map(|task| (task.id, sets(task)));
    let after = new.map(|task| (task.id, sets(task)));
    let in_after = |set: &Key| after.as_ref().is_some_and(|(_, sets)| sets.contains(set));
    for (id, set) in before
        .iter()
        .flat_map(|(id, sets)| sets.iter().map(move |set| (*id, set)))
    {
        if !in_after(set) {
            members::remove(draft, set, id)?;
        }
    }
    let in_before = |set: &Key| before.as_ref().is_some_and(|(_, sets)| sets.contains(set));
    for (id, set) in after
        .iter()
        .flat_map(|(id, sets)| sets.iter().map(move |set| (*id, set)))
    {
        if !in_before(set) {
            members::add(draft, set, id)?;
        }
    }
    keep_key(draft, old, new)?;
    let place = |task: &Task| (task.queue.clone(), task.state);
    let (from, to) = (old.map(place), new.map(place));
    if from != to {
        if let Some((queue, state)) = from {
            count(draft, &queue, state, -1)?;
        }
        if let Some((queue, state)) = to {
            count(draft, &queue, state, 1)?;
        }
    }
    Ok(())
}

/// The sets that a task is in.
pub(crate) fn sets(task: &Task) -> Vec<Key> {
    let mut sets = Vec::with_capacity(1);
    sets.extend(task.session.map(keys::held_by));
    sets.extend(task.purge_at.map(|at| {
        // Not before a resend of its insert could still come.
        keys::purge(at.max(task.created_at.saturating_add(RESEND_WINDOW)))
    }));
    sets
}

/// Every index entry that a task owns, with its value; its sets, its unique key and its count, which it shares, apart.
pub(crate) fn index(task: &Task) -> Vec<(Key, sled::IVec)> {
    let id = task.id;
    let none = sled::IVec::default;
    let mut entries = Vec::with_capacity(4);
    match task.state {
        State::Pending => {
            let parent = task
                .parent
                .map_or_else(none, |parent| (&parent.to_bytes()).into());
            entries.push((keys::ready(task), parent));
        }
        State::Running => {
            if let (Some(session), true) = (task.session, task.cancel_requested) {
                entries.push((keys::flagged(session, id), none()));
            }
        }
        state if keys::is_listed(state) => entries.push((keys::listed(state, id), none())),
        _ => {}
    }
    entries.extend(task.alarm_at.map(|at| (keys::alarm(at, id), none())));
    entries.extend(task.parent.map(|parent| (keys::child(parent, id), none())));
    entries
}

fn keep_key(draft: &mut Draft<'_>, old: Option<&Task>, new: Option<&Task>) -> Outcome<()> {
    let held = old.is_some_and(|task| task.holds_key);
    let holds = new.is_some_and(|task| task.holds_key);
    match (held, holds) {
        (true, false) => free_key(draft, old),
        (false, true) => {
            if let Some((task, (key, _))) = new.and_then(|task| Some((task, task.unique.as_ref()?))) {
                draft.put(keys::slot(&task.kind, key), &task.id.to_bytes());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Frees the unique key that a task holds; one that went on to another task stays with that.
pub(crate) fn free_key(draft: &mut Draft<'_>, task: Option<&Task>) -> Outcome<()> {
    let Some((task, (key, _))) = task.and_then(|task| Some((task, task.unique.as_ref()?))) else {
        return Ok(());
    };
    if key_holder(draft, &task.kind, key)? == Some(task.id) {
        draft.remove(keys::slot(&task.kind, key));
    }
    Ok(())
}

/// The task that holds a unique key.
pub(crate) fn key_holder(view: &dyn View, kind: &Kind, key: &UniqueKey) -> Outcome<Option<TaskId>> {
    let stored = view.get(&keys::slot(kind, key))?;
    Ok(stored.and_then(|bytes| keys::id_at_end(&bytes)))
}

/// Changes the count of a queue's tasks in a state.
pub(crate) fn count(draft: &mut Draft<'_>, queue: &Queue, state: State, change: i64) -> Outcome<()> {
    let key = keys::count(queue, state);
    let before = draft.get(&key)?.map_or(0, |bytes| counted(&bytes));
    match before.saturating_add_signed(change) {
        0 => draft.remove(key),
        n => draft.put(key, &n.to_be_bytes()),
    }
    Ok(())
}

/// The number in a count; a damaged one counts as none.
pub(crate) fn counted(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}
