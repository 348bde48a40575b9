//! The rows that one call has locked, in memory. Edits and inserts change them here, exactly and one after another; what
//! changed is written at the end in a few statements.

use std::collections::{BTreeMap, HashMap, HashSet};

use retry_core::headers::Headers;
use retry_core::id::TaskId;
use retry_core::name::{Kind, UniqueKey};
use retry_core::payload::Payload;
use retry_core::task::{KeyScope, NewTask, Settings};
use retry_core::time::Timestamp;

use crate::effects::Effects;
use crate::hot::Hot;
use crate::leases::Leases;
use crate::note::Note;

/// One row and what is to be written about it.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The row as it is now; none: there is none, or it cannot be read.
    pub(crate) hot: Option<Hot>,
    /// A stored row that cannot be read: it is there, but nothing is decided on it.
    pub(crate) unreadable: bool,
    /// The row as it is stored; none: it is not.
    pub(crate) was: Option<Was>,
    /// Whether it was made by this call, also in place of one that this call removed.
    pub(crate) born: bool,
    /// Whether the hot row must be written.
    pub(crate) dirty: bool,
    /// The settings, of parents and of what was made by this call.
    pub(crate) settings: Option<Settings>,
    /// The body to insert.
    pub(crate) body: Option<NewBody>,
    /// New content for a stored body.
    pub(crate) payload: Option<Payload>,
    pub(crate) headers: Option<Headers>,
    /// The settings were changed.
    pub(crate) resettled: bool,
    pub(crate) note: Note,
    /// Failed attempts to add: number and text.
    pub(crate) failures: Vec<(u32, String)>,
}

/// What a stored row has that its removal or change must know.
#[derive(Debug, Clone)]
pub(crate) struct Was {
    /// The hot row; none: it cannot be read.
    pub(crate) hot: Option<Hot>,
    pub(crate) apart: bool,
    pub(crate) noted: bool,
    pub(crate) failures: u32,
    pub(crate) holds_key: bool,
}

/// The body of a new task, beside its settings.
#[derive(Debug)]
pub(crate) struct NewBody {
    pub(crate) scope: Option<KeyScope>,
    pub(crate) wait_secret: u64,
    pub(crate) headers: Headers,
    pub(crate) payload: Payload,
}

/// All rows of one call.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) now: Timestamp,
    pub(crate) slots: BTreeMap<TaskId, Slot>,
    /// The ids that were looked for, whether they were found or not.
    pub(crate) looked: HashSet<TaskId>,
    /// An answer depends on an id that was not looked for: look closer and start anew.
    pub(crate) is_unsure: bool,
    /// Who holds the keys that the call asks about.
    pub(crate) keys: HashMap<(Kind, UniqueKey), Option<TaskId>>,
    /// Whether tasks may be born leased.
    pub(crate) leases: Leases,
    pub(crate) effects: Effects,
}

impl Slot {
    /// A row that was read, or one that cannot be.
    pub(crate) fn stored(hot: Option<Hot>) -> Self {
        let was = Was {
            apart: hot.as_ref().is_none_or(|hot| hot.apart),
            noted: hot.as_ref().is_none_or(|hot| hot.noted),
            failures: hot.as_ref().map_or(1, |hot| hot.failures),
            holds_key: hot.as_ref().is_none_or(|hot| hot.holds_key),
            hot: hot.clone(),
        };
        Self {
            unreadable: hot.is_none(),
            hot,
            was: Some(was),
            ..Self::default()
        }
    }

    /// The row of a new task, in place of what was here.
    pub(crate) fn born(was: Option<Was>, new: &NewTask, hot: Hot) -> Self {
        Self {
            hot: Some(hot),
            was,
            born: true,
            settings: Some(new.settings.clone()),
            body: Some(NewBody {
                scope: new.unique.as_ref().map(|unique| unique.scope),
                wait_secret: new.wait_secret,
                headers: new.headers.clone(),
                payload: new.payload.clone(),
            }),
            ..Self::default()
        }
    }

    /// Sets the payload, in the new body or for the stored one.
    pub(crate) fn set_payload(&mut self, payload: &Payload) {
        match &mut self.body {
            Some(body) => body.payload = payload.clone(),
            None => self.payload = Some(payload.clone()),
        }
    }

    /// Sets the headers, in the new body or for the stored one.
    pub(crate) fn set_headers(&mut self, headers: &Headers) {
        match &mut self.body {
            Some(body) => body.headers = headers.clone(),
            None => self.headers = Some(headers.clone()),
        }
    }
}

impl Rows {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            now,
            slots: BTreeMap::new(),
            looked: HashSet::new(),
            is_unsure: false,
            keys: HashMap::new(),
            leases: Leases::new(),
            effects: Effects::default(),
        }
    }

    /// A row that can be read.
    pub(crate) fn hot(&self, id: TaskId) -> Option<&Hot> {
        self.slots.get(&id)?.hot.as_ref()
    }

    /// Whether there is a row, readable or not.
    pub(crate) fn exists(&self, id: TaskId) -> bool {
        self.slots
            .get(&id)
            .is_some_and(|slot| slot.hot.is_some() || slot.unreadable)
    }

    /// Who holds a key.
    pub(crate) fn holder(&self, kind: &Kind, key: &UniqueKey) -> Option<TaskId> {
        self.keys.get(&(kind.clone(), key.clone())).copied().flatten()
    }

    /// The key of `hot` is taken by it, or is free if it is the one that held it.
    pub(crate) fn note_key(&mut self, hot: &Hot) {
        let Some(key) = &hot.key else { return };
        let at = (hot.kind.clone(), key.clone());
        if hot.holds_key {
            self.keys.insert(at, Some(hot.id));
        } else if self.keys.get(&at) == Some(&Some(hot.id)) {
            self.keys.insert(at, None);
        }
    }

    /// Replaces a row by its new version.
    pub(crate) fn put(&mut self, hot: Hot) {
        self.note_key(&hot);
        if hot.state == retry_core::task::State::Pending {
            self.effects.pending(&hot.queue, hot.run_at, self.now);
        }
        let slot = self.slots.entry(hot.id).or_default();
        slot.hot = Some(hot);
        slot.dirty = true;
    }
}
