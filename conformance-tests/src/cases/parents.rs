//! What the end of children makes of their parent: by its policy, by a cancel, up the tree.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::store::{Applied, Cause, Took};
use retry_core::task::{Edit, FailedChildren, NewTask, Settings, State, Task};

use super::children::{counts, parent_is};
use super::expired::LOOK;
use crate::fixture::{Fixture, failure, json};
use crate::verdict::{Verdict, equal};

fn policy(f: &mut Fixture, on_failed_children: FailedChildren) -> NewTask {
    let settings = Settings {
        on_failed_children,
        ..Settings::default()
    };
    NewTask { settings, ..f.task() }
}

/// Whether the parent's alarm rings now, which sends a rescuer to end it.
async fn rings(f: &Fixture, parent: &Task, what: &str) -> Verdict<Task> {
    let now = f.task_now(parent.id).await?;
    equal(
        "L8",
        what,
        (now.state, now.alarm_at),
        (State::Joining, Some(f.now())),
    )?;
    equal("L8", "its version", now.version, parent.version)?;
    let expired = f.expired(&LOOK).await?;
    let given = expired
        .items
        .iter()
        .any(|(task, cause)| (task.id, *cause) == (parent.id, Cause::Alarm));
    equal("L8", "whether the rescuer is told", given, true)?;
    Ok(now)
}

/// L8: failed children make the parent go on, or ring its alarm to be failed or held, by its policy.
pub async fn failed_children_follow_the_policy(f: &mut Fixture) -> Verdict {
    for rule in [FailedChildren::Reduce, FailedChildren::Fail, FailedChildren::Hold] {
        let new = policy(f, rule);
        let (parent, children) = f.joining(&new, 2).await?;
        f.end(&children[0], false).await?;
        parent_is(
            f,
            &parent,
            State::Joining,
            counts(2, 1, 1),
            "a parent with one failed child",
        )
        .await?;
        f.advance(Duration::from_secs(1));
        f.end(&children[1], true).await?;
        let state = if rule == FailedChildren::Reduce {
            State::Pending
        } else {
            State::Joining
        };
        let what = format!("a parent with the policy {rule:?}");
        let now = parent_is(f, &parent, state, counts(2, 0, 1), &what).await?;
        equal("L8", "its version", now.version, parent.version)?;
        if rule == FailedChildren::Reduce {
            equal("L8", "its alarm", now.alarm_at, None)?;
            continue;
        }
        let ringing = rings(f, &parent, &what).await?;
        let after = f.settled(&ringing, Event::ChildrenEnded).await?;
        let state = if rule == FailedChildren::Fail {
            State::Failed
        } else {
            State::Joining
        };
        equal("L8", "the parent after the rescuer", after.state, state)?;
        equal("L8", "its alarm", after.alarm_at, None)?;
        equal(
            "L8",
            "what is reported then",
            f.expired(&LOOK).await?.items,
            vec![],
        )?;
    }
    Ok(())
}

/// L8: a child may itself be a parent; each end is counted one level up, and only there.
pub async fn an_end_goes_one_level_up(f: &mut Fixture) -> Verdict {
    let new = policy(f, FailedChildren::Fail);
    let (root, children) = f.joining(&new, 1).await?;
    let session = f.open().await?;
    let child = f.claim_task(session, &children[0]).await?;
    let grandchildren = f.children(&child, 0..1);
    let edit = Edit {
        insert: grandchildren.clone(),
        ..f.decide(&child, Event::Split { checkpoint: None })
    };
    f.apply_done(&edit).await?;
    f.end(&grandchildren[0], true).await?;
    let child = parent_is(
        f,
        &child,
        State::Pending,
        counts(1, 0, 0),
        "the child after its own child",
    )
    .await?;
    parent_is(
        f,
        &root,
        State::Joining,
        counts(1, 1, 0),
        "the root, whose child goes on",
    )
    .await?;
    f.settled(&child, Event::Cancel).await?;
    parent_is(
        f,
        &root,
        State::Joining,
        counts(1, 0, 1),
        "the root after its child was cancelled",
    )
    .await?;
    let ringing = rings(f, &root, "the root, which fails by its policy").await?;
    f.settled(&ringing, Event::ChildrenEnded).await?;
    parent_is(
        f,
        &root,
        State::Failed,
        counts(1, 0, 1),
        "the root after the rescuer",
    )
    .await?;
    Ok(())
}

/// L8: when a child is rerun before the rescuer's edit, decided before the rerun or behind it, the parent goes on waiting.
pub async fn a_rerun_before_the_rescuer_wins(f: &mut Fixture) -> Verdict {
    for look_first in [true, false] {
        rerun_and_look(f, look_first).await?;
    }
    rings_on(f).await
}

async fn rerun_and_look(f: &mut Fixture, look_first: bool) -> Verdict {
    let new = policy(f, FailedChildren::Fail);
    let (parent, children) = f.joining(&new, 1).await?;
    let child = f.end(&children[0], false).await?;
    let ringing = rings(f, &parent, "a parent whose child failed").await?;
    let early = look_first.then(|| f.decide(&ringing, Event::ChildrenEnded));
    let at = f.now();
    f.settled(
        &child,
        Event::Rerun {
            at,
            from_start: false,
        },
    )
    .await?;
    let edit = match early {
        Some(edit) => edit,
        None => {
            let ringing = f.task_now(parent.id).await?;
            f.decide(&ringing, Event::ChildrenEnded)
        }
    };
    equal(
        "L8",
        "the rescuer's edit after the rerun",
        f.apply(&edit).await?,
        Applied::DONE,
    )?;
    let waiting = parent_is(
        f,
        &parent,
        State::Joining,
        counts(1, 1, 0),
        "the parent after both",
    )
    .await?;
    equal("L8", "its alarm", waiting.alarm_at, None)?;
    f.end(&children[0], true).await?;
    parent_is(
        f,
        &parent,
        State::Pending,
        counts(1, 0, 0),
        "the parent after the child's success",
    )
    .await?;
    f.end(&new, true).await?;
    Ok(())
}

/// L8: a rescuer's edit that found a rerun child open, and comes when it has failed again, leaves the alarm ringing.
async fn rings_on(f: &mut Fixture) -> Verdict {
    let new = policy(f, FailedChildren::Fail);
    let (parent, children) = f.joining(&new, 1).await?;
    let child = f.end(&children[0], false).await?;
    let at = f.now();
    let rerun = Event::Rerun {
        at,
        from_start: false,
    };
    f.settled(&child, rerun).await?;
    let waiting = f.task_now(parent.id).await?;
    let late = f.decide(&waiting, Event::ChildrenEnded);
    f.end(&children[0], false).await?;
    let none_open = Applied::Done {
        inserted: Vec::new(),
        took: Took::NoneOpen,
    };
    let done = f.apply(&late).await?;
    equal("L8", "the rescuer's edit after the second end", done, none_open)?;
    let parent = f.task_now(parent.id).await?;
    let ringing = rings(f, &parent, "a parent whose rerun child failed").await?;
    let failed = f.settled(&ringing, Event::ChildrenEnded).await?;
    equal("L8", "the parent by its policy", failed.state, State::Failed)
}

/// L8: a child is rerun only while its parent waits for its children; the counters follow.
pub async fn a_child_is_rerun_while_its_parent_waits(f: &mut Fixture) -> Verdict {
    let new = policy(f, FailedChildren::Hold);
    let (parent, children) = f.joining(&new, 1).await?;
    let child = f.end(&children[0], false).await?;
    parent_is(f, &parent, State::Joining, counts(1, 0, 1), "a parent on hold").await?;
    let at = f.now();
    f.settled(
        &child,
        Event::Rerun {
            at,
            from_start: false,
        },
    )
    .await?;
    parent_is(
        f,
        &parent,
        State::Joining,
        counts(1, 1, 0),
        "the parent after the rerun",
    )
    .await?;
    let child = f.end(&children[0], true).await?;
    parent_is(
        f,
        &parent,
        State::Pending,
        counts(1, 0, 0),
        "the parent after the child's success",
    )
    .await?;
    let rerun = f
        .settle(
            &child,
            Event::Rerun {
                at,
                from_start: false,
            },
        )
        .await?;
    equal(
        "L8",
        "a rerun while the parent does not wait",
        rerun,
        Applied::Stale,
    )?;
    parent_is(f, &parent, State::Pending, counts(1, 0, 0), "the parent after it").await?;
    Ok(())
}

/// L8: a flagged parent's alarm rings until its children are cancelled and again when the last has ended.
pub async fn a_cancelled_parent_waits_for_its_children(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, children) = f.joining(&new, 2).await?;
    let flagged = f.settled(&parent, Event::Cancel).await?;
    equal(
        "L8",
        "the flag of a cancelled parent with open children",
        flagged.cancel_requested,
        true,
    )?;
    rings(f, &flagged, "a cancelled parent with open children").await?;
    for (left, child) in [(1, &children[0]), (0, &children[1])] {
        f.advance(Duration::from_secs(1));
        let child = f.task_now(child.id).await?;
        f.settled(&child, Event::Cancel).await?;
        parent_is(
            f,
            &parent,
            State::Joining,
            counts(2, left, 2 - left),
            "the parent after a child's cancel",
        )
        .await?;
    }
    let ringing = rings(f, &flagged, "the parent after the last child's cancel").await?;
    f.settled(&ringing, Event::ChildrenEnded).await?;
    parent_is(
        f,
        &parent,
        State::Cancelled,
        counts(2, 0, 2),
        "the parent after the rescuer",
    )
    .await?;
    Ok(())
}

/// L8: a cancel decided while a child was open, applied after its end, sees that none is open.
pub async fn a_late_cancel_sees_the_last_end(f: &mut Fixture) -> Verdict {
    let new = policy(f, FailedChildren::Hold);
    let (parent, children) = f.joining(&new, 1).await?;
    let cancel = f.decide(&parent, Event::Cancel);
    f.end(&children[0], false).await?;
    let wanted = Applied::Done {
        inserted: vec![],
        took: Took::NoneOpen,
    };
    equal(
        "L8",
        "the cancel of a parent on hold",
        f.apply(&cancel).await?,
        wanted,
    )?;
    parent_is(
        f,
        &parent,
        State::Cancelled,
        counts(1, 0, 1),
        "the parent after it",
    )
    .await?;
    Ok(())
}

/// L8: a parent that ends with open children is reported until they are final, and its alarm can be silenced.
pub async fn an_ended_parent_is_reported_for_its_children(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let parent = f.running(&new).await?;
    let children = f.children(&parent, 0..1);
    let chunk = Event::Checkpoint {
        checkpoint: json("1"),
    };
    let chunk = Edit {
        insert: children.clone(),
        ..f.decide(&parent, chunk)
    };
    let parent = f.apply_done(&chunk).await?;
    let failure = failure(&parent, "stop", f.now());
    let parent = f.settled(&parent, Event::Fail { failure }).await?;
    let items = f.expired(&LOOK).await?.items;
    equal(
        "L8",
        "what is reported",
        items,
        vec![(parent.clone(), Cause::Alarm)],
    )?;
    let child = f.task_now(children[0].id).await?;
    f.settled(&child, Event::Cancel).await?;
    let parent = parent_is(f, &parent, State::Failed, counts(1, 0, 1), "the parent").await?;
    let quiet = f.settled(&parent, Event::AlarmDone).await?;
    equal(
        "L8",
        "its alarm and state",
        (quiet.alarm_at, quiet.state),
        (None, State::Failed),
    )?;
    equal(
        "L8",
        "what is reported then",
        f.expired(&LOOK).await?.items,
        vec![],
    )
}
