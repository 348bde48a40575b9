//! A parent waits for each of its shards, and for each once, in however many chunks and attempts they were stored.

use retry_core::id::TaskId;
use retry_core::task::Action;

use super::settle_after_end::is_rescue;
use crate::sim::fact::{By, Fact, How, name};
use crate::sim::facts::Facts;
use crate::sim::script::End;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Edit { edit, .. },
        before: Some(before),
        after: Some(after),
    } = fact
    else {
        return Ok(());
    };
    let (task, is) = (&before.task, &after.task);
    // What a power cut took along, a split does not know.
    let undone =
        facts.cut_at.is_some() || !facts.is_fenced(task.id) || facts.replaced_in_split.contains(&task.id);
    let set = matches!(edit.action, Action::Set(_));
    if undone || !set || is.step != task.step + 1 || is_rescue(edit, before, facts) {
        return Ok(());
    }
    let Some(claim) = before.claim else { return Ok(()) };
    let split = |run: &crate::sim::fact::Run| run.ended == Some(How::Splits);
    if !facts.runs_under(task.id, claim.version).any(split) {
        return Ok(());
    }
    let script = before.script.and_then(|number| facts.config.scripts.get(number));
    let Some(End::Split { children, .. }) = script
        .and_then(|script| script.step(task.step))
        .map(|step| &step.end)
    else {
        return Ok(());
    };
    let known = |id: &TaskId| {
        let brought = || edit.insert.iter().any(|new| new.id == *id);
        facts.rows.contains_key(id) || facts.gone.contains(id) || brought()
    };
    let given = u32::try_from(children.len()).unwrap_or(u32::MAX);
    let keyed = |index: u32| {
        let script = usize::try_from(index).ok().and_then(|index| children.get(index));
        script.is_some_and(|number| facts.config.scripts[*number].unique.is_some())
    };
    // A split that was rerun half-way goes on under the name of its first life.
    let complete = (0..=task.reruns).any(|reruns| {
        let id = |index| TaskId::child(task.id, reruns, task.step, index);
        (0..given).all(|index| keyed(index) || known(&id(index))) && !known(&id(given))
    });
    if complete {
        return Ok(());
    }
    Err(format!(
        "{} goes on behind its split into {given}, but these are not its shards",
        name(task.id)
    ))
}
