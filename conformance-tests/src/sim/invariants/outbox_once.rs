//! What is committed in the outbox is handed over once; what is not, never. A task that has come and gone does not come again.

use crate::sim::fact::{Fact, RowStep, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    match fact {
        Fact::Outbox {
            id,
            step: RowStep::HandedOver(inserted),
        } => {
            let row = facts.outbox.get(id);
            let Some(row) = row.filter(|row| row.committed.is_some()) else {
                return Err(format!("{} is handed over and was not committed", name(*id)));
            };
            if row.handed_over {
                return Err(format!("{} is handed over again: {inserted:?}", name(*id)));
            }
            Ok(())
        }
        // Whoever inserts it.
        Fact::Changed {
            before: None,
            after: Some(row),
            ..
        } if facts.outbox.contains_key(&row.task.id) && facts.gone.contains(&row.task.id) => {
            Err(format!("{} is created again behind its end", name(row.task.id)))
        }
        _ => Ok(()),
    }
}
