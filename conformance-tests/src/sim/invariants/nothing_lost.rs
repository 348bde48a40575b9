//! An acknowledged task stays until it is deleted or purged by right.

use retry_core::limits::RESEND_WINDOW;
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
                    let now = facts.store_now[before.part] + facts.ahead_ms;
                    let may_be_sent_again = task.created_at.saturating_add(RESEND_WINDOW).as_millis() > now;
                    let over = task.purge_at.is_some_and(|at| at.as_millis() <= now);
                    task.state.is_final() && over && !may_be_sent_again
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
