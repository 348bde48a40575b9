//! A glance at the unique keys of tasks before they are inserted in a transaction of the user's: without a lock, on a connection of
//! the store's.
//!
//! An insert that fails on a key takes locks, which stay until the user ends the transaction: at REPEATABLE READ, which is the
//! server's default, also of the gap before the key's holder, into which every task of the kind without a key belongs.
//! So what is a duplicate is found out before. Who takes the key between the glance and the insert is met as ever.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use retry_core::id::TaskId;
use retry_core::name::{Kind, UniqueKey};
use retry_core::store::Result;
use retry_core::task::{NewTask, OnDuplicate, State};

use crate::args::{Args, ids};
use crate::db::Db;
use crate::error::Outcome;
use crate::hot::Hot;
use crate::load;
use crate::record::{self, at};
use crate::rows::{Rows, Slot};
use crate::store::MySqlStore;

/// What was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Glance {
    /// The holders of keys; their rows, where they can be read.
    holders: HashMap<Key, (TaskId, Option<Hot>)>,
    /// Which of the tasks are stored themselves: known of those whose keys are held or come more than once.
    stored: HashMap<TaskId, bool>,
}

type Key = (Kind, UniqueKey);

fn key_of(new: &NewTask) -> Option<Key> {
    Some((new.kind.clone(), new.unique.as_ref()?.key.clone()))
}

impl MySqlStore {
    /// Looks at the keys of `tasks`; a call without keys costs nothing.
    pub(crate) async fn glance(&self, tasks: &[NewTask]) -> Result<Glance> {
        let mut keys: HashMap<Key, usize> = HashMap::new();
        for key in tasks.iter().filter_map(key_of) {
            *keys.entry(key).or_default() += 1;
        }
        if keys.is_empty() {
            return Ok(Glance::default());
        }
        let tasks: Arc<[NewTask]> = tasks.into();
        let keys: Arc<[(Key, usize)]> = keys.into_iter().collect();
        self.read(move |mut db, _| {
            let (tasks, keys) = (Arc::clone(&tasks), Arc::clone(&keys));
            Box::pin(async move { look(&mut db, &tasks, &keys).await })
        })
        .await
    }
}

async fn look(db: &mut Db<'_>, tasks: &[NewTask], keys: &[(Key, usize)]) -> Outcome<Glance> {
    let mut seen = Glance::default();
    let list = load::key_list(&keys.iter().map(|(key, _)| key).collect::<Vec<_>>());
    for row in db.rows(&db.q.look_holders, Args::new().with(list)).await? {
        let id = TaskId::from_bytes(record::id(&row, at::ID).unwrap_or_default());
        if let Some((key, _)) = load::asked(&row, keys) {
            seen.holders.insert(key.clone(), (id, record::hot(&row).ok()));
        }
    }
    let repeated: HashSet<&Key> = keys.iter().filter(|(_, n)| *n > 1).map(|(key, _)| key).collect();
    let matters = |key: &Key| seen.holders.contains_key(key) || repeated.contains(key);
    let matters = tasks
        .iter()
        .filter(|new| key_of(new).is_some_and(|key| matters(&key)));
    seen.stored = matters.map(|new| (new.id, false)).collect();
    if !seen.stored.is_empty() {
        let list: Vec<[u8; 16]> = seen.stored.keys().map(|id| id.to_bytes()).collect();
        for row in db.rows(&db.q.parent_states, Args::new().with(ids(&list))).await? {
            let id = TaskId::from_bytes(record::id(&row, 0).unwrap_or_default());
            seen.stored.insert(id, true);
        }
    }
    Ok(seen)
}

impl Glance {
    /// Takes in what needs no lock, and answers the keys whose holders are to be locked: those that a task is to replace. Nothing that
    /// was only glanced at is ever written.
    pub(crate) fn tell(&self, rows: &mut Rows, tasks: &[NewTask]) -> BTreeSet<Key> {
        let is_stored = |id: &TaskId| self.stored.get(id) == Some(&true);
        let replaces = |new: &&NewTask| {
            let on_duplicate = new.unique.as_ref().map(|unique| unique.on_duplicate);
            matches!(on_duplicate, Some(OnDuplicate::Replace { .. })) && !is_stored(&new.id)
        };
        let is_pending = |key: &Key| {
            let hot = self.holders.get(key).and_then(|(_, hot)| hot.as_ref());
            hot.is_some_and(|hot| hot.state == State::Pending)
        };
        let replaced = tasks
            .iter()
            .filter(replaces)
            .filter_map(key_of)
            .filter(is_pending);
        let replaced: BTreeSet<Key> = replaced.collect();
        for (key, (holder, hot)) in &self.holders {
            // One that is to be locked may be another by then.
            if !replaced.contains(key) {
                rows.slots.insert(*holder, Slot::stored(hot.clone()));
                rows.keys.insert(key.clone(), Some(*holder));
            }
        }
        for id in self.stored.keys() {
            rows.looked.insert(*id);
        }
        let to_lock: HashSet<TaskId> = replaced.iter().map(|key| self.holders[key].0).collect();
        for id in self
            .stored
            .keys()
            .filter(|id| is_stored(id) && !to_lock.contains(id))
        {
            rows.slots.entry(*id).or_insert_with(|| Slot::stored(None));
        }
        replaced
    }
}
