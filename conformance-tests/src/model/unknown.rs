//! Calls whose outcome stays unknown: the client makes them again (law 10), and what is stored is as if it had known.

use std::collections::BTreeSet;
use std::pin::pin;

use futures_util::FutureExt as _;
use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::store::ClaimRequest;
use retry_core::task::{Action, OnDuplicate, State};

use super::call::Call;
use super::history::History;
use super::op::Fate;
use super::reference::Reference;
use crate::verdict::{Verdict, equal};

impl History {
    /// Makes a call whose answer nobody hears, then does what a client does about it.
    pub(super) async fn unknown(&mut self, fate: Fate, call: &Call) -> Verdict {
        let fate = match fate {
            Fate::Dropped(_) if !may_be_late(call) => Fate::LostAnswer,
            other => other,
        };
        self.features.insert(format!("{} {}", name(fate), call.name()));
        match fate {
            Fate::LostRequest => {
                self.trail.push(format!("lost on the way: {}", call.describe()));
                match call.again() {
                    Some(again) => self.call(&again).await,
                    None => Ok(()),
                }
            }
            Fate::LostAnswer => self.lost_answer(call).await,
            Fate::Dropped(polls) => self.dropped(call, polls).await,
        }
    }

    async fn lost_answer(&mut self, call: &Call) -> Verdict {
        self.trail.push("the next answer is lost:".to_owned());
        self.call(call).await?;
        let once = self.world.model.clone();
        if let Some(again) = call.again() {
            self.call(&again).await?;
            if is_once_for_all(call) {
                let same = once == self.world.model;
                equal("L10", "whether a repeated call changed nothing", same, true)?;
            }
        }
        if let Call::Exchange(_, claims) = call {
            self.hand_back(claims).await?;
        }
        Ok(())
    }

    /// A worker that holds more than it knows of gives it back.
    async fn hand_back(&mut self, claims: &[ClaimRequest]) -> Verdict {
        let sessions: BTreeSet<_> = claims.iter().map(|claim| claim.session).collect();
        for session in sessions {
            let until = self.world.now();
            self.call(&Call::Renew(session, until)).await?;
            let held = self.world.model.held_by(session).into_iter().cloned();
            let held: Vec<_> = held.take(retry_core::limits::MAX_BATCH).collect();
            let mut edits = Vec::new();
            for task in held {
                edits.extend(self.world.decide(&task, Event::HandBack));
            }
            if !edits.is_empty() {
                let call = self.world.exchange(edits, Vec::new());
                self.call(&call).await?;
            }
        }
        Ok(())
    }

    /// The call may have been carried out before the repeat, or may yet be: both answers to the repeat are right, and what
    /// is stored is the same.
    async fn dropped(&mut self, call: &Call, polls: u8) -> Verdict {
        self.trail
            .push(format!("dropped after {polls} polls: {}", call.describe()));
        let now = self.world.now();
        let store = std::sync::Arc::clone(&self.store);
        {
            let mut dropped = pin!(call.perform(&*store, now));
            for _ in 0..polls {
                if dropped.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let mut repeated: Reference = self.world.model.clone();
        repeated.answer(call, now);
        let other = repeated.answer(call, now);
        self.call_or(call, Some(other)).await
    }
}

const fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::LostRequest => "lost request:",
        Fate::LostAnswer => "lost answer:",
        Fate::Dropped(_) => "dropped:",
    }
}

/// Whether the call, carried out after its own repeat and whatever follows, changes nothing: a dropped call may come so
/// late. Not one that claims, flags or completes, nor an insert that meets a key or a task that was forgotten.
fn may_be_late(call: &Call) -> bool {
    let plain_inserts = call.inserts().iter().all(|task| {
        let retention = task.settings.retention.succeeded;
        task.unique.is_none() && retention.is_none_or(|kept| !kept.is_zero())
    });
    let guarded = |action: &Action| matches!(action, Action::Set(_));
    let plain_call = match call {
        Call::Insert(_) => true,
        Call::Exchange(edits, claims) => claims.is_empty() && edits.iter().all(|edit| guarded(&edit.action)),
        _ => false,
    };
    plain_inserts && plain_call && edits_once(call)
}

/// Whether a repeat of the call must change nothing. A replace counts again; a flag or a completion may meet a later
/// attempt of a task that the same call moved on; a purge goes on.
fn is_once_for_all(call: &Call) -> bool {
    let replaces = call.inserts().iter().any(|task| {
        let unique = task.unique.as_ref();
        unique.is_some_and(|unique| matches!(unique.on_duplicate, OnDuplicate::Replace { .. }))
    });
    let forgets = call.inserts().iter().any(|task| {
        task.settings
            .retention
            .succeeded
            .is_some_and(|kept| kept.is_zero())
    });
    !replaces && !forgets && edits_once(call) && !matches!(call, Call::Purge)
}

fn edits_once(call: &Call) -> bool {
    let ids: BTreeSet<TaskId> = call.edits().iter().map(|edit| edit.id).collect();
    ids.len() == call.edits().len()
}

/// Whether a history may damage this task: one that nothing else depends on.
pub(super) fn stands_alone(task: &retry_core::task::Task) -> bool {
    let waits = matches!(task.state, State::Waiting | State::Joining);
    task.unique.is_none() && task.parent.is_none() && task.children.total == 0 && !waits
}
