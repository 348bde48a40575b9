//! What an edit has made of its task, by the store's answer: the one place that says which of a change's targets counts.

use super::{Applied, Took};
use crate::task::{Action, Change, State, Target};

impl Took {
    /// All of them, in the order in which a store looks at them.
    pub(crate) const ALL: [Self; 4] = [Self::Cancelled, Self::Completed, Self::NoneOpen, Self::Primary];

    /// The target of `change` that was written.
    #[must_use]
    pub fn target(self, change: &Change) -> &Target {
        self.offered(change).unwrap_or(&change.to)
    }

    /// The target, if the change has one for this case.
    pub(crate) fn offered(self, change: &Change) -> Option<&Target> {
        match self {
            Self::Primary => Some(&change.to),
            Self::Cancelled => change.if_cancelled.as_deref(),
            Self::Completed => change.if_completed.as_deref(),
            Self::NoneOpen => change.if_none_open.as_deref(),
        }
    }
}

/// What was written of a task.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Written<'e> {
    /// A target of the change.
    Target {
        /// Which one.
        took: Took,
        /// The target.
        to: &'e Target,
    },
    /// A success that is not kept.
    Forgotten,
}

impl<'e> Written<'e> {
    /// None: nothing was written, or nothing that says what becomes of the task: a flag, a completion that came early, and
    /// whatever happens to a task that had ended before.
    pub(crate) fn of(action: &'e Action, applied: &Applied) -> Option<Self> {
        let took = match (applied, action) {
            (Applied::Done { took, .. }, _) => *took,
            // Written by an earlier sending, which did not get to say what it took.
            (Applied::Repeated, _) | (Applied::Missing, Action::Delete { .. }) => Took::Primary,
            _ => return None,
        };
        match action {
            Action::Set(change) if !change.from.is_final() => Some(Self::Target {
                took,
                to: took.target(change),
            }),
            Action::Delete { from: State::Running } => Some(Self::Forgotten),
            Action::Set(_) | Action::Delete { .. } | Action::RequestCancel | Action::StoreCompletion(_) => {
                None
            }
        }
    }

    /// The state that the task has come to by this.
    pub(crate) const fn state(&self) -> State {
        match self {
            Self::Target { to, .. } => to.state,
            Self::Forgotten => State::Succeeded,
        }
    }
}
