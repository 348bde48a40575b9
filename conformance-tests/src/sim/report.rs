//! What the store tells the world: each task that changed, and hints of those that are due.

use std::collections::BTreeSet;

use retry_core::id::TaskId;
use retry_core::name::Queue;
use retry_core::store::{Inserted, MemoryStore, TaskStore as _, Took};
use retry_core::task::{Edit, State};

use super::cover::Sometimes;
use super::fact::{By, Claim, Fact, Row};
use super::server::{Server, done, is_owner};
use super::shared::Shared;

impl Server {
    pub(super) fn report_edit(
        &self,
        shared: &Shared,
        store: &MemoryStore,
        edit: &Edit,
        by: By<'_>,
        inserted: &[Inserted],
        queues: &mut BTreeSet<Queue>,
    ) {
        for (task, inserted) in edit.insert.iter().zip(inserted) {
            match inserted {
                Inserted::New { .. } => self.report(shared, store, task.id, By::Insert, queues),
                Inserted::Replaced { holder } => self.report(shared, store, *holder, By::Effect, queues),
                _ => {}
            }
        }
        let parent = shared.facts(|facts| facts.rows.get(&edit.id).and_then(|row| row.task.parent));
        let took = if let By::Edit { took, .. } = by {
            took
        } else {
            Took::Primary
        };
        debug_assert!(
            took != Took::Cancelled || inserted.is_empty(),
            "a cancelled edit inserts nothing"
        );
        self.report(shared, store, edit.id, by, queues);
        if let Some(parent) = parent {
            self.report(shared, store, parent, By::Effect, queues);
        }
    }

    /// Tells the difference between what was known of a task and what the store has now.
    pub(super) fn report(
        &self,
        shared: &Shared,
        store: &MemoryStore,
        id: TaskId,
        by: By<'_>,
        queues: &mut BTreeSet<Queue>,
    ) {
        let before = shared.facts(|facts| facts.rows.get(&id).cloned());
        let detail = done(store.get(id)).ok().flatten();
        if let Some(detail) = detail.as_ref().filter(|detail| is_owner(&detail.task)) {
            queues.insert(detail.task.queue.clone());
            return;
        }
        let after = detail.map(|detail| {
            let mut claim = before.as_ref().and_then(|row| row.claim);
            let held = matches!(by, By::Claim) || before.is_none();
            if let Some(session) = detail.task.session.filter(|_| held) {
                let who = shared.facts(|facts| facts.sessions.get(&session).map(|session| session.who));
                let (version, flagged) = (detail.task.version, detail.task.cancel_requested);
                claim = Some(Claim {
                    who,
                    session,
                    version,
                    flagged,
                });
            }
            Row {
                part: self.part,
                script: detail.payload.decode().ok(),
                flagged_at: before
                    .as_ref()
                    .and_then(|row| row.flagged_at)
                    .filter(|_| detail.task.cancel_requested),
                claim,
                task: detail.task,
            }
        });
        if let Some(row) = after.as_ref().filter(|row| row.is(State::Pending)) {
            queues.insert(row.task.queue.clone());
        }
        shared.tell(Fact::Changed {
            by,
            before: before.as_ref(),
            after: after.as_ref(),
        });
    }

    pub(super) fn hint(&self, shared: &Shared, queues: &BTreeSet<Queue>) {
        for queue in queues {
            let (lose, double) = {
                let mut state = self.state();
                let rate = state.lose_hints;
                (state.rng.chance(rate), state.rng.chance(rate))
            };
            if lose {
                shared.hit(Sometimes::HintLost);
                continue;
            }
            self.waker.wake(queue);
            if double {
                shared.hit(Sometimes::HintDoubled);
                self.waker.wake_all();
            }
        }
    }
}
