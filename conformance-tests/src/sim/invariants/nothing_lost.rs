//! An acknowledged task stays until it is deleted or purged by right.

use retry_core::task::{Action, State};

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    match fact {
        Fact::Enqueued { id, .. } if !facts.rows.contains_key(id) && !facts.gone.contains(id) => {
            Err(format!("{} was acknowledged and is not stored", name(*id)))
        }
        Fact::Changed {
            by,
            before: Some(before),
            after: None,
        } => {
            let task = &before.task;
            let right = match by {
                By::Purge => {
                    task.state.is_final()
                        && task
                            .purge_at
                            .is_some_and(|at| at.as_millis() <= facts.store_now + facts.ahead_ms)
                }
                By::Edit { edit, .. } => match edit.action {
                    Action::Delete { from: State::Running } => task
                        .settings
                        .retention
                        .succeeded
                        .is_some_and(|kept| kept.is_zero()),
                    Action::Delete { .. } => task.state.is_final(),
                    _ => false,
                },
                _ => false,
            };
            if right {
                Ok(())
            } else {
                Err(format!(
                    "{} disappeared while {}, by {by:?}",
                    name(task.id),
                    task.state
                ))
            }
        }
        _ => Ok(()),
    }
}
