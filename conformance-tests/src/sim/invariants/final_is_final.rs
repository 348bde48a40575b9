//! An ended task changes by rerun and delete only.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, _: &Facts) -> Result<(), String> {
    let Fact::Changed {
        before: Some(before),
        after: Some(after),
        ..
    } = fact
    else {
        return Ok(());
    };
    let (was, is) = (&before.task, &after.task);
    if !was.state.is_final() || is.state == was.state || is.reruns == was.reruns + 1 {
        return Ok(());
    }
    Err(format!(
        "{} was {} and became {}",
        name(was.id),
        was.state,
        is.state
    ))
}
