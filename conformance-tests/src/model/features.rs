//! What happened in a history: proof that the generator reaches what it is meant to.

use retry_core::store::{Applied, Inserted};
use retry_core::task::State;

use super::call::Answer;
use super::history::Features;
use crate::invariants::Tasks;

/// The kinds of answers.
pub(super) fn of_answer(answer: &Answer, features: &mut Features) {
    match answer {
        Answer::Inserted(answers) => inserted(answers, features),
        Answer::Exchanged(answer) => {
            for applied in &answer.applied {
                let name = match applied {
                    Applied::Done {
                        took,
                        inserted: answers,
                    } => {
                        inserted(answers, features);
                        format!("done {took:?}")
                    }
                    Applied::KeyTaken(_) => "key taken".to_owned(),
                    other => format!("{other:?}").to_lowercase(),
                };
                features.insert(name);
            }
            for claimed in &answer.claimed {
                let suspects = claimed.tasks.iter().any(|claimed| claimed.task.crashes > 0);
                for (seen, name) in [
                    (!claimed.tasks.is_empty(), "claimed"),
                    (suspects, "claimed a suspect"),
                    (!claimed.marks.is_empty(), "claim with marks"),
                    (claimed.session_lost, "claim of a lost session"),
                ] {
                    if seen {
                        features.insert(name.to_owned());
                    }
                }
            }
        }
        Answer::Invalid => drop(features.insert("opening a lost session".to_owned())),
        Answer::Purged(n) if *n > 0 => drop(features.insert("purged".to_owned())),
        Answer::Reported(items) => {
            features.extend(
                items
                    .iter()
                    .map(|(task, cause)| format!("reported {} {cause:?}", task.state)),
            );
        }
        _ => {}
    }
}

fn inserted(answers: &[Inserted], features: &mut Features) {
    features.extend(answers.iter().map(|answer| {
        let name = match answer {
            Inserted::New { leased: true } => "born leased",
            Inserted::New { .. } => "new",
            Inserted::Repeated => "repeated",
            Inserted::Duplicate { .. } => "duplicate",
            Inserted::Replaced { .. } => "replaced",
            _ => "not tried",
        };
        name.to_owned()
    }));
}

/// The changes of state.
pub(super) fn of_change(before: &Tasks, after: &Tasks, features: &mut Features) {
    for (id, before) in before {
        match after.get(id) {
            Some(after) if after.state != before.state => {
                features.insert(format!("{} → {}", before.state, after.state));
                let comes_back = before.state == State::Running && after.state == State::Pending;
                let uncounted = after.attempt < before.attempt && after.step == before.step;
                if comes_back && uncounted && after.run_at == before.run_at {
                    features.insert("back in its place".to_owned());
                }
            }
            Some(after) if before.state == State::Running && after.attempt > before.attempt => {
                features.insert("the next attempt under the same lease".to_owned());
            }
            Some(after) if before.purge_at.is_some() && after.purge_at > before.purge_at => {
                features.insert("a child put off by purge".to_owned());
            }
            Some(_) => {}
            None => drop(features.insert(format!("{} → gone", before.state))),
        }
    }
}
