//! A claim and every set raise the version by exactly one; nothing else touches it.

use retry_core::task::Action;

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, _: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by,
        before: Some(before),
        after: Some(after),
    } = fact
    else {
        return Ok(());
    };
    let by_one = match by {
        By::Claim => true,
        By::Edit { edit, .. } => matches!(edit.action, Action::Set(_)),
        // A replacing duplicate raises it, a child's end does not.
        By::Insert | By::Effect | By::Purge => return Ok(()),
    };
    let (was, is) = (before.task.version, after.task.version);
    if is == was + u64::from(by_one) {
        return Ok(());
    }
    Err(format!("{}: version {was} became {is}", name(before.task.id)))
}
