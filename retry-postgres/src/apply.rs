//! Edits (laws 6, 8): wave by wave, each decided in memory on locked rows and written with a few statements.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use retry_core::id::TaskId;
use retry_core::name::{Kind, UniqueKey};
use retry_core::store::{Applied, Inserted, Took, waves};
use retry_core::task::{Action, Change, Completion, Edit, NewTask, State, Target};
use retry_core::time::Timestamp;

use crate::board::{Board, Place, Row, Waiting};
use crate::ended;
use crate::error::Outcome;
use crate::insert::{self, Newcomer, altered};
use crate::memo::Memo;
use crate::note::Notes;
use crate::parents::{self, JoinSettings};
use crate::record;
use crate::tx::Tx;
use crate::types::ids;

/// The edits of one call at work.
struct Editor<'e> {
    edits: &'e [Edit],
    now: Timestamp,
    board: Board,
    waiting: Waiting,
    settings: JoinSettings,
    notes: Notes,
    memo: Memo,
    /// The edited tasks that edits of the call insert.
    own: HashMap<TaskId, &'e NewTask>,
    deleted: Vec<TaskId>,
    applied: Vec<Applied>,
}

/// What a wave needs to know besides the locked rows.
#[derive(Default)]
struct Looked {
    /// Tasks with an early completion.
    early: HashSet<TaskId>,
    /// Who holds the keys that reruns want to take.
    holders: HashMap<TaskId, TaskId>,
    /// How the inserts of an edit ended.
    inserted: HashMap<usize, Vec<Inserted>>,
}

/// Applies edits and answers in input order.
pub(crate) async fn apply(tx: &mut Tx<'_>, edits: &[Edit], now: Timestamp) -> Outcome<Vec<Applied>> {
    if edits.is_empty() {
        return Ok(Vec::new());
    }
    // Those ended first are locked before the others, in whatever order of ids: then nobody is waited for, and whoever finds
    // somebody in its way begins anew with all locks in one order.
    let ended = if tx.is_again {
        HashSet::new()
    } else {
        ended::delete(tx, edits).await?
    };
    if ended.len() == edits.len() {
        return Ok(vec![Applied::DONE; edits.len()]);
    }
    let waiting = if ended.is_empty() {
        Waiting::Allowed
    } else {
        Waiting::Refused
    };
    let mut memo = Memo::default();
    let edited = || edits.iter().map(|edit| edit.id).filter(|id| !ended.contains(id));
    let board = Board::lock(tx, edited(), waiting, &mut memo).await?;
    let settings = parents::join_settings(tx, &board, edited(), &mut memo).await?;
    let ids: HashSet<TaskId> = edited().collect();
    let inserts = edits.iter().flat_map(|edit| &edit.insert);
    let mut editor = Editor {
        edits,
        now,
        board,
        waiting,
        settings,
        notes: Notes::default(),
        memo,
        own: inserts
            .filter(|new| ids.contains(&new.id))
            .map(|new| (new.id, new))
            .collect(),
        deleted: Vec::new(),
        applied: Vec::with_capacity(edits.len()),
    };
    for wave in editor.waves() {
        editor.wave(tx, wave).await?;
    }
    let Editor { mut applied, .. } = editor;
    // They were gone when the others were looked at, and each has one edit.
    for (applied, edit) in applied.iter_mut().zip(edits) {
        if ended.contains(&edit.id) {
            *applied = Applied::DONE;
        }
    }
    Ok(applied)
}

/// What an edit comes to before its inserts: an answer, or the right to write.
enum Guarded<'r> {
    Answer(Applied),
    Write(&'r Row),
}

impl Editor<'_> {
    /// The waves of the contract, and those with inserts that depend on another edit of the call cut out: an edit of a
    /// parent beside its children, and the reverse.
    fn waves(&self) -> Vec<Range<usize>> {
        let edited: HashSet<TaskId> = self.edits.iter().map(|edit| edit.id).collect();
        let parents: HashSet<TaskId> = edited.iter().filter_map(|id| self.parent_of(*id)).collect();
        let entangled = |index: &usize| {
            let edit = &self.edits[*index];
            let parent = self.parent_of(edit.id);
            let related = parents.contains(&edit.id) || parent.is_some_and(|parent| edited.contains(&parent));
            related && !edit.insert.is_empty()
        };
        let mut cut = Vec::new();
        for wave in waves(self.edits, |id| self.key_of(id)) {
            let mut start = wave.start;
            for index in wave.clone().filter(entangled) {
                cut.extend([start..index, index..index + 1]);
                start = index + 1;
            }
            cut.push(start..wave.end);
        }
        cut.retain(|wave| !wave.is_empty());
        cut
    }

    fn parent_of(&self, id: TaskId) -> Option<TaskId> {
        match self.board.row(id) {
            Some(row) => row.parent,
            None => self.own.get(&id)?.parent,
        }
    }

    fn key_of(&self, id: TaskId) -> Option<(Kind, UniqueKey)> {
        if let Some(row) = self.board.row(id) {
            return row.key.clone();
        }
        let new = self.own.get(&id)?;
        Some((new.kind.clone(), new.unique.as_ref()?.key.clone()))
    }

    /// Reads the rows that earlier waves have inserted and this one edits.
    async fn adopt(&mut self, tx: &mut Tx<'_>, wave: Range<usize>) -> Outcome<()> {
        let is_new = |id: &TaskId| self.own.contains_key(id) && !self.board.places.contains_key(id);
        let new: Vec<TaskId> = self.edits[wave]
            .iter()
            .map(|edit| edit.id)
            .filter(is_new)
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let found = Board::lock(tx, new.iter().copied(), self.waiting, &mut self.memo).await?;
        for (id, place) in found.places {
            // Their parents, which are there already, are as they were written.
            self.board.places.entry(id).or_insert(place);
        }
        let parents: HashSet<TaskId> = new.iter().filter_map(|id| self.board.row(*id)?.parent).collect();
        let parents: Vec<TaskId> = parents.into_iter().collect();
        let settings = parents::settings_of(tx, &parents, &mut self.memo).await?;
        self.settings.extend(settings);
        Ok(())
    }

    async fn wave(&mut self, tx: &mut Tx<'_>, wave: Range<usize>) -> Outcome<()> {
        self.adopt(tx, wave.clone()).await?;
        let mut looked = self.look(tx, wave.clone()).await?;
        self.insert(tx, wave.clone(), &mut looked).await?;
        for index in wave {
            let answer = self.decide(tx, index, &mut looked);
            self.applied.push(answer);
        }
        self.write(tx).await
    }

    /// Reads what only some edits need.
    async fn look(&self, tx: &mut Tx<'_>, wave: Range<usize>) -> Outcome<Looked> {
        let mut looked = Looked::default();
        let mut early = Vec::new();
        let mut wanted = (Vec::new(), Vec::new(), Vec::new());
        for edit in &self.edits[wave] {
            let Some(row) = self.board.row(edit.id) else {
                continue;
            };
            match &edit.action {
                Action::StoreCompletion(_) if row.noted => early.push(edit.id),
                Action::Set(change) => {
                    if row.noted && change.if_completed.is_some() {
                        early.push(edit.id);
                    }
                    if let (false, true, Some((kind, key))) = (row.holds_key, change.to.holds_key, &row.key) {
                        wanted.0.push(edit.id);
                        wanted.1.push(kind.as_str());
                        wanted.2.push(key.as_str());
                    }
                }
                _ => {}
            }
        }
        if !early.is_empty() {
            let statement = tx.query(&tx.sql.note_early).bind(ids(early));
            for row in tx.rows(statement).await? {
                looked.early.insert(record::task_id(&row, 0).map_err(altered)?);
            }
        }
        let (tasks, kinds, keys) = wanted;
        if !tasks.is_empty() {
            let statement = tx.query(&tx.sql.key_holder).bind(kinds).bind(keys);
            for row in tx.rows(statement).await? {
                let place: i64 = record::value(&row, 0).map_err(altered)?;
                let holder = record::task_id(&row, 1).map_err(altered)?;
                let task = usize::try_from(place - 1).ok().and_then(|place| tasks.get(place));
                looked.holders.extend(task.map(|task| (*task, holder)));
            }
        }
        Ok(looked)
    }

    /// Makes the inserts of those edits that will be written.
    async fn insert(&mut self, tx: &mut Tx<'_>, wave: Range<usize>, looked: &mut Looked) -> Outcome<()> {
        let edits = self.edits;
        let (mut newcomers, mut counts) = (Vec::new(), Vec::new());
        let (mut freed, mut deleted) = (Vec::new(), Vec::new());
        for index in wave {
            let edit = &edits[index];
            if edit.insert.is_empty() {
                continue;
            }
            let Guarded::Write(row) = self.guard(edit, looked) else {
                continue;
            };
            match &edit.action {
                Action::Set(change) if row.cancel_requested && change.if_cancelled.is_some() => continue,
                Action::Set(change) if row.holds_key && !change.to.holds_key => freed.push(edit.id),
                Action::Delete { .. } => deleted.push(edit.id),
                _ => {}
            }
            let edited = Some(edit.id);
            newcomers.extend(edit.insert.iter().map(|new| Newcomer { new, edited }));
            counts.push((index, edit.insert.len()));
        }
        if newcomers.is_empty() {
            return Ok(());
        }
        if !freed.is_empty() {
            let statement = tx.query(&tx.sql.edit_free_key).bind(ids(freed));
            tx.execute(statement).await?;
        }
        if !deleted.is_empty() {
            let statement = tx.query(&tx.sql.task_delete).bind(ids(deleted));
            tx.execute(statement).await?;
        }
        let inserts = insert::insert(tx, &newcomers, self.now).await?;
        for held in inserts.replaced {
            if let Some(row) = self.board.row_mut(held.id) {
                (row.version, row.run_at, row.updated_at) = (held.version, held.run_at, self.now);
            }
        }
        let mut answers = inserts.answers.into_iter();
        for (index, n) in counts {
            looked.inserted.insert(index, answers.by_ref().take(n).collect());
        }
        Ok(())
    }

    /// Whether an edit may write its row.
    fn guard(&self, edit: &Edit, looked: &Looked) -> Guarded<'_> {
        let row = match self.board.places.get(&edit.id) {
            None => return Guarded::Answer(Applied::Missing),
            // What cannot be read is not what the edit was decided on.
            Some(Place::Unreadable) => return Guarded::Answer(Applied::Stale),
            Some(Place::Row(row)) => &**row,
        };
        if row.last_nonce == record::stored(edit.nonce.get()) {
            return Guarded::Answer(Applied::Repeated);
        }
        let fits = match &edit.action {
            Action::RequestCancel => row.state == State::Running,
            Action::StoreCompletion(completion) => {
                matches!(row.state, State::Pending | State::Running) && row.step == completion.step
            }
            Action::Delete { from } => {
                row.version == edit.version && row.state == *from && !parents::is_awaited(&self.board, row)
            }
            Action::Set(change) => {
                let is_rerun = row.state.is_final() && !change.to.state.is_final();
                row.version == edit.version
                    && row.state == change.from
                    && (!is_rerun || parents::may_rerun(&self.board, row))
            }
        };
        if !fits {
            return Guarded::Answer(Applied::Stale);
        }
        match looked.holders.get(&edit.id) {
            Some(holder) => Guarded::Answer(Applied::KeyTaken(*holder)),
            None => Guarded::Write(row),
        }
    }

    /// Applies an edit to the locked rows.
    fn decide(&mut self, tx: &mut Tx<'_>, index: usize, looked: &mut Looked) -> Applied {
        let edit = &self.edits[index];
        if let Guarded::Answer(answer) = self.guard(edit, looked) {
            return answer;
        }
        let inserted = looked.inserted.remove(&index).unwrap_or_default();
        match &edit.action {
            Action::RequestCancel => {
                if let Some(row) = self.board.row_mut(edit.id) {
                    (row.cancel_requested, row.dirty) = (true, true);
                }
                Applied::DONE
            }
            Action::StoreCompletion(completion) => self.store_completion(edit.id, completion, looked),
            Action::Delete { .. } => {
                self.board.places.remove(&edit.id);
                self.deleted.push(edit.id);
                Applied::Done {
                    inserted,
                    took: Took::Primary,
                }
            }
            Action::Set(change) => self.set(tx, change, edit, inserted, looked),
        }
    }

    fn store_completion(&mut self, id: TaskId, completion: &Completion, looked: &Looked) -> Applied {
        if looked.early.contains(&id) {
            return Applied::Repeated;
        }
        if let Some(row) = self.board.row_mut(id) {
            self.notes.store_early(row, completion);
        }
        Applied::DONE
    }

    fn set(
        &mut self,
        tx: &mut Tx<'_>,
        change: &Change,
        edit: &Edit,
        inserted: Vec<Inserted>,
        looked: &Looked,
    ) -> Applied {
        let Some(row) = self.board.row_mut(edit.id) else {
            return Applied::Missing;
        };
        let is_new = |answer: &Inserted| matches!(answer, Inserted::New { .. });
        let children = edit
            .insert
            .iter()
            .zip(&inserted)
            .filter(|(new, answer)| new.parent.is_some() && is_new(answer))
            .count();
        let children = u32::try_from(children).unwrap_or(u32::MAX);
        (row.total, row.open) = (row.total + children, row.open + children);
        let (target, took) = pick(row, change, looked.early.contains(&edit.id));
        let before = row.state;
        row.set(target, record::stored(edit.nonce.get()), self.now);
        self.notes.take(row, target);
        if let (State::Pending, Some(queue)) = (row.state, &row.queue) {
            tx.effects.pending(queue, row.run_at, self.now);
        }
        let (parent, states) = (row.parent, (before, row.state));
        parents::child_changed(
            &mut self.board,
            parent,
            states,
            &self.settings,
            self.now,
            &mut tx.effects,
        );
        Applied::Done { inserted, took }
    }

    /// Writes what the wave has changed.
    async fn write(&mut self, tx: &mut Tx<'_>) -> Outcome<()> {
        let Self {
            board,
            notes,
            memo,
            deleted,
            ..
        } = self;
        if !deleted.is_empty() {
            let statement = tx.query(&tx.sql.task_delete).bind(ids(deleted.drain(..)));
            tx.execute(statement).await?;
        }
        notes
            .write(tx, memo, |id, bytes| {
                if let Some(row) = board.row_mut(id) {
                    (row.bytes, row.dirty) = (bytes, true);
                }
            })
            .await?;
        board.write(tx).await
    }
}

/// The first target that fits the locked row.
fn pick<'c>(row: &Row, change: &'c Change, has_early: bool) -> (&'c Target, Took) {
    if let (true, Some(target)) = (row.cancel_requested, &change.if_cancelled) {
        return (target, Took::Cancelled);
    }
    match (&change.if_completed, &change.if_none_open) {
        (Some(target), _) if has_early => (target, Took::Completed),
        (_, Some(target)) if row.open == 0 => (target, Took::NoneOpen),
        _ => (&change.to, Took::Primary),
    }
}
