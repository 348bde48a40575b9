//! Locking and reading what a call's edits and inserts are decided on, before its first write.

use std::collections::{BTreeSet, HashSet};

use retry_core::id::TaskId;
use retry_core::name::{Kind, UniqueKey};
use retry_core::task::{Action, Edit, Field, NewTask};
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlRow;

use crate::args::{Args, hex, ids};
use crate::calls::Tried;
use crate::db::Db;
use crate::error::Outcome;
use crate::leases;
use crate::record::{self, at};
use crate::rows::{Rows, Slot};

/// How closely new tasks are compared with what is stored, before they are inserted. What is not looked at is found out by an
/// insert that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Whether their unique keys are held.
    Keys,
    /// Whether their ids are there, too: hardly ever.
    Everything,
}

impl Look {
    /// A first try asks no more than is likely to matter.
    pub(crate) const fn of_try(tried: Tried) -> Self {
        if tried.times == 0 {
            Self::Keys
        } else {
            Self::Everything
        }
    }
}

/// Locks, in the order of their ids, the edited rows, then their parents, then the holders of the keys in question.
pub(crate) async fn load(
    db: &mut Db<'_>,
    edits: &[Edit],
    tasks: &[NewTask],
    now: Timestamp,
    look: Look,
) -> Outcome<Rows> {
    let mut rows = Rows::new(now);
    let inserts = || tasks.iter().chain(edits.iter().flat_map(|edit| &edit.insert));
    let mut wanted: BTreeSet<TaskId> = edits.iter().map(|edit| edit.id).collect();
    if look == Look::Everything {
        wanted.extend(inserts().map(|new| new.id));
    }
    lock(db, &mut rows, &wanted).await?;
    let parents = rows.slots.values().filter_map(|slot| slot.hot.as_ref()?.parent);
    let parents: BTreeSet<TaskId> = parents
        .filter(|parent| !rows.slots.contains_key(parent))
        .collect();
    lock(db, &mut rows, &parents).await?;
    let mut keys: BTreeSet<(Kind, UniqueKey)> = inserts()
        .filter_map(|new| {
            new.unique
                .as_ref()
                .map(|unique| (new.kind.clone(), unique.key.clone()))
        })
        .collect();
    keys.extend(keys_to_take(&rows, edits));
    lock_holders(db, &mut rows, &keys).await?;
    // They may be sent again: then the key does not matter.
    let is_held = |new: &NewTask| {
        new.unique
            .as_ref()
            .is_some_and(|unique| rows.holder(&new.kind, &unique.key).is_some())
    };
    let ids = inserts().filter(|new| is_held(new)).map(|new| new.id);
    let ids: BTreeSet<TaskId> = ids.filter(|id| !rows.looked.contains(id)).collect();
    lock(db, &mut rows, &ids).await?;
    read_settings(db, &mut rows, edits).await?;
    read_leases(db, &mut rows, tasks).await?;
    Ok(rows)
}

/// Reads whether tasks may be born leased.
pub(crate) async fn read_leases(db: &mut Db<'_>, rows: &mut Rows, tasks: &[NewTask]) -> Outcome<()> {
    let leased = tasks.iter().filter(|new| new.run_at <= rows.now);
    let asked = leased.filter_map(|new| Some((new.leased_by?, &new.queue)));
    rows.leases = leases::read(db, asked).await?;
    Ok(())
}

async fn lock(db: &mut Db<'_>, rows: &mut Rows, wanted: &BTreeSet<TaskId>) -> Outcome<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    rows.looked.extend(wanted);
    let list: Vec<[u8; 16]> = wanted.iter().map(|id| id.to_bytes()).collect();
    for row in db.rows(&db.q.lock_tasks, Args::new().with(ids(&list))).await? {
        take(rows, &row);
    }
    Ok(())
}

/// Takes a locked row in, and gives its id.
fn take(rows: &mut Rows, row: &MySqlRow) -> TaskId {
    let id = TaskId::from_bytes(record::id(row, at::ID).unwrap_or_default());
    rows.slots.entry(id).or_insert_with(|| {
        let hot = record::hot(row).ok();
        let is_parent = hot.as_ref().is_some_and(|hot| hot.children.total > 0);
        let mut slot = Slot::stored(hot);
        slot.settings = if is_parent {
            record::settings(row, at::COLD).ok()
        } else {
            None
        };
        slot
    });
    id
}

/// The keys that edits take again. One that ends stale takes none, and locks no holder: whether it does is seen here, unless an edit
/// before it changes its task.
fn keys_to_take(rows: &Rows, edits: &[Edit]) -> BTreeSet<(Kind, UniqueKey)> {
    let mut seen = HashSet::with_capacity(edits.len());
    let mut keys = BTreeSet::new();
    for edit in edits {
        let is_first = seen.insert(edit.id);
        let (Action::Set(change), Some(hot)) = (&edit.action, rows.hot(edit.id)) else {
            continue;
        };
        let fits = hot.version == edit.version && hot.state == change.from;
        if let (true, Some(key)) = (
            change.to.holds_key && !hot.holds_key && (fits || !is_first),
            &hot.key,
        ) {
            keys.insert((hot.kind.clone(), key.clone()));
        }
    }
    keys
}

/// Keys as the statements take them.
pub(crate) fn key_list(keys: &[&(Kind, UniqueKey)]) -> String {
    let pair = |(kind, key): &&(Kind, UniqueKey)| {
        let (kind, key) = (hex(kind.as_str().as_bytes()), hex(key.as_str().as_bytes()));
        format!("[\"{kind}\",\"{key}\"]")
    };
    let pairs: Vec<String> = keys.iter().map(pair).collect();
    format!("[{}]", pairs.join(","))
}

/// The key that a row is about: the statements number them from one.
pub(crate) fn asked<'k, K>(row: &MySqlRow, keys: &'k [K]) -> Option<&'k K> {
    let number = record::int(row, at::COLD + 1).ok()?;
    keys.get(usize::try_from(number - 1).ok()?)
}

pub(crate) async fn lock_holders(
    db: &mut Db<'_>,
    rows: &mut Rows,
    keys: &BTreeSet<(Kind, UniqueKey)>,
) -> Outcome<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = keys.iter().collect();
    let list = key_list(&keys);
    for (kind, key) in &keys {
        rows.keys.insert((kind.clone(), key.clone()), None);
    }
    for row in db.rows(&db.q.lock_holders, Args::new().with(list)).await? {
        let id = take(rows, &row);
        if let Some((kind, key)) = asked(&row, &keys) {
            rows.keys.insert((kind.clone(), key.clone()), Some(id));
        }
    }
    Ok(())
}

/// Reads the settings of rows that become parents, and of those whose limits are counted anew.
async fn read_settings(db: &mut Db<'_>, rows: &mut Rows, edits: &[Edit]) -> Outcome<()> {
    let needed = edits
        .iter()
        .filter(|edit| needs_settings(edit))
        .map(|edit| edit.id);
    let needed: BTreeSet<TaskId> = needed
        .filter(|id| {
            rows.slots
                .get(id)
                .is_some_and(|slot| slot.hot.is_some() && slot.settings.is_none())
        })
        .collect();
    if needed.is_empty() {
        return Ok(());
    }
    let list: Vec<[u8; 16]> = needed.iter().map(|id| id.to_bytes()).collect();
    for row in db.rows(&db.q.read_settings, Args::new().with(ids(&list))).await? {
        let id = TaskId::from_bytes(record::id(&row, 0).unwrap_or_default());
        if let Some(slot) = rows.slots.get_mut(&id) {
            // Unreadable ones stay as they are: the next claim reports the row.
            slot.settings = record::settings(&row, 1).ok();
        }
    }
    Ok(())
}

fn needs_settings(edit: &Edit) -> bool {
    let Action::Set(change) = &edit.action else {
        return false;
    };
    let alternatives = [&change.if_cancelled, &change.if_completed, &change.if_none_open];
    let mut targets = alternatives
        .into_iter()
        .flatten()
        .map(|target| &**target)
        .chain([&change.to]);
    edit.insert.iter().any(|new| new.parent.is_some())
        || targets.any(|target| {
            let cold = target.cold.as_ref();
            cold.is_some_and(|cold| cold.give_up_at != Field::Keep || cold.expires_at != Field::Keep)
        })
}

/// Locks one parent.
pub(crate) async fn parent(db: &mut Db<'_>, id: TaskId, now: Timestamp) -> Outcome<Rows> {
    let mut rows = Rows::new(now);
    lock(db, &mut rows, &BTreeSet::from([id])).await?;
    Ok(rows)
}
