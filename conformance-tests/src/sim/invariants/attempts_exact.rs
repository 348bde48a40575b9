//! Attempts are the claims less those given back, and never more than allowed.

use retry_core::task::{Action, State};

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    match fact {
        Fact::Started { run } => {
            let max = facts
                .rows
                .get(&run.id)
                .and_then(|row| row.task.settings.max_attempts);
            match max {
                Some(max) if run.attempt > max => Err(format!(
                    "{} starts attempt {} of {max}",
                    name(run.id),
                    run.attempt
                )),
                _ => Ok(()),
            }
        }
        Fact::Changed {
            by,
            before: Some(before),
            after: Some(after),
        } => {
            let (was, is) = (&before.task, &after.task);
            let right = match by {
                By::Claim => is.attempt == was.attempt + 1,
                By::Edit { edit, .. } if matches!(edit.action, Action::Set(_)) => match (was.state, is.state)
                {
                    _ if is.reruns > was.reruns || is.step > was.step => is.attempt == 0,
                    // An early completion ended the step before, whose attempts are not known any more.
                    _ if is.step < was.step => is.attempt <= was.attempt,
                    (State::Running, State::Pending) => {
                        is.attempt == was.attempt || is.attempt + 1 == was.attempt
                    }
                    _ => is.attempt == was.attempt,
                },
                _ => is.attempt == was.attempt,
            };
            // After a power cut a version may exist twice, and an older attempt's outcome fits the later one.
            if right || !facts.is_fenced(was.id) {
                return Ok(());
            }
            Err(format!(
                "{}: attempt {} became {}",
                name(was.id),
                was.attempt,
                is.attempt
            ))
        }
        _ => Ok(()),
    }
}
