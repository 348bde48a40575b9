//! What a task's checkpoint holds: the handler's own progress, and beside it how far a split has come.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::payload::{InvalidPayload, Payload};
use crate::task::Children;
use crate::time::Timestamp;

/// Marks a checkpoint that holds a split. A handler's own progress stands behind it as it was written.
const MARK: &str = r#"{"task-retry:split":"#;
const OWN: &str = r#","own":"#;

/// How far a split has come. Kept until the task is rerun from its start: its children are known by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SplitState {
    /// The step that splits.
    pub(crate) step: u32,
    /// The reruns of the task when the split began. Its children's ids are made with it, also when the task is rerun
    /// half-way.
    pub(crate) reruns: u32,
    /// Shards that are inserted, and so the index of the next.
    pub(crate) next: u32,
    /// When it began, in epoch milliseconds.
    pub(crate) since: i64,
    /// Children that the task had before, of an earlier life, and how many of them failed.
    pub(crate) before: (u32, u32),
}

impl SplitState {
    pub(crate) fn begun(step: u32, reruns: u32, since: Timestamp, before: Children) -> Self {
        Self {
            step,
            reruns,
            next: 0,
            since: since.as_millis(),
            before: (before.total, before.failed),
        }
    }

    /// The ids of its children; none where the task `parent` never had others.
    pub(crate) fn children_of(&self, parent: TaskId) -> Option<HashSet<TaskId>> {
        let id = |index| TaskId::child(parent, self.reruns, self.step, index);
        (self.before.0 > 0).then(|| (0..self.next).map(id).collect())
    }

    /// The counters without the children of an earlier life.
    pub(crate) const fn own(&self, children: Children) -> Children {
        Children {
            total: children.total.saturating_sub(self.before.0),
            open: children.open,
            failed: children.failed.saturating_sub(self.before.1),
        }
    }
}

/// A checkpoint, taken apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    pub(crate) split: Option<SplitState>,
    /// The handler's own progress.
    pub(crate) own: Option<Payload>,
}

impl Stored {
    pub(crate) fn read(stored: Option<Payload>) -> Self {
        let Some(payload) = stored else {
            return Self::default();
        };
        taken_apart(payload.as_json()).unwrap_or(Self {
            split: None,
            own: Some(payload),
        })
    }

    /// The checkpoint to store.
    ///
    /// # Errors
    /// Both together are too large.
    pub(crate) fn write(&self) -> Result<Payload, InvalidPayload> {
        let own = self.own.as_ref().map_or("null", Payload::as_json);
        let Some(split) = &self.split else {
            return Ok(self.own.clone().unwrap_or_else(Payload::null));
        };
        let split = serde_json::to_string(split).map_err(InvalidPayload::Json)?;
        let own = match &self.own {
            Some(_) => format!("{OWN}{own}"),
            None => String::new(),
        };
        Payload::from_json(format!("{MARK}{split}{own}}}"))
    }
}

fn taken_apart(text: &str) -> Option<Stored> {
    let rest = text.strip_prefix(MARK)?;
    let mut read = serde_json::Deserializer::from_str(rest).into_iter::<SplitState>();
    let split = read.next()?.ok()?;
    let own = rest[read.byte_offset()..].strip_suffix('}')?;
    let own = match own.strip_prefix(OWN) {
        Some(own) => Some(Payload::from_json(own).ok()?),
        None if own.is_empty() => None,
        None => return None,
    };
    Some(Stored {
        split: Some(split),
        own,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> SplitState {
        let before = Children {
            total: 5,
            open: 0,
            failed: 2,
        };
        SplitState::begun(0, 3, Timestamp::from_millis(-7), before)
    }

    #[test]
    fn both_come_back_as_they_were() {
        for own in [
            None,
            Some(r#"{"a": [1 ,2.50], "b":"}"}"#),
            Some("null"),
            Some("7"),
        ] {
            let own = own.map(|own| Payload::from_json(own).unwrap());
            for split in [None, Some(split())] {
                let stored = Stored {
                    split,
                    own: own.clone(),
                };
                let read = Stored::read(Some(stored.write().unwrap()));
                assert_eq!(read.split, split);
                match (split, &own) {
                    (None, None) => assert_eq!(read.own, Some(Payload::null())),
                    _ => assert_eq!(read.own, own),
                }
            }
        }
        assert!(Stored::read(None).own.is_none());
    }

    #[test]
    fn what_only_looks_like_it_is_the_handlers_own() {
        for text in [
            r#"{"task-retry:split":1}"#,
            r#"{"task-retry:split":{"step":0}}"#,
            r#"{"task-retry:other":1}"#,
        ] {
            let read = Stored::read(Some(Payload::from_json(text).unwrap()));
            assert_eq!(read.split, None);
            assert_eq!(read.own.unwrap().as_json(), text);
        }
    }

    #[test]
    fn counters_leave_an_earlier_life_out() {
        let counted = Children {
            total: 9,
            open: 1,
            failed: 3,
        };
        let own = split().own(counted);
        assert_eq!((own.total, own.open, own.failed), (4, 1, 1));
    }
}
