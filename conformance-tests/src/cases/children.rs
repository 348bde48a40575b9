//! Parents and children: exact counters, one join, no orphan.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::store::{Applied, Inserted, Took};
use retry_core::task::{Children, Edit, State, Task};

use crate::fixture::{Fixture, failure, json};
use crate::verdict::{Verdict, equal};

pub(super) const fn counts(total: u32, open: u32, failed: u32) -> Children {
    Children { total, open, failed }
}

pub(super) async fn parent_is(
    f: &Fixture,
    parent: &Task,
    state: State,
    children: Children,
    what: &str,
) -> Verdict<Task> {
    let now = f.task_now(parent.id).await?;
    equal("L8", what, (now.state, now.children), (state, children))?;
    Ok(now)
}

/// L8: a parent's next step is due when its last child has ended, and its version is not raised by them.
pub async fn the_last_child_ends_the_wait(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, children) = f.joining(&new, 3).await?;
    equal(
        "L8",
        "the split parent",
        (parent.state, parent.step, parent.children),
        (State::Joining, 1, counts(3, 3, 0)),
    )?;
    for (ended, child) in (1..=3).zip(&children) {
        f.advance(Duration::from_secs(1));
        f.end(child, true).await?;
        let state = if ended < 3 { State::Joining } else { State::Pending };
        let now = parent_is(
            f,
            &parent,
            state,
            counts(3, 3 - ended, 0),
            "the parent after a child's end",
        )
        .await?;
        equal("L8", "its version", now.version, parent.version)?;
    }
    let joined = f.task_now(parent.id).await?;
    equal("L8", "when its next step is due", joined.run_at, f.now())?;
    let session = f.open().await?;
    let claimed = f.claim_task(session, &new).await?;
    equal(
        "L8",
        "its step and attempt",
        (claimed.step, claimed.attempt),
        (1, 1),
    )
}

/// L8: all children settled by one call end the wait once.
pub async fn children_settled_together_are_all_counted(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, children) = f.joining(&new, 20).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 100)).await?;
    equal("L8", "the claimed children", claimed.tasks.len(), children.len())?;
    let mut edits = Vec::new();
    for (index, child) in claimed.tasks.iter().enumerate() {
        let failure = failure(&child.task, "no", f.now());
        let event = if index % 3 == 0 {
            Event::Fail { failure }
        } else {
            Fixture::success()
        };
        edits.push(f.decide(&child.task, event));
    }
    let answer = f.exchange(&edits, &[]).await?;
    equal("L8", "20 settles", answer.applied, vec![Applied::DONE; 20])?;
    parent_is(
        f,
        &parent,
        State::Pending,
        counts(20, 0, 7),
        "the parent after them",
    )
    .await?;
    let again = f.exchange(&edits, &[]).await?;
    equal(
        "L10",
        "the same settles again",
        again.applied,
        vec![Applied::Repeated; 20],
    )?;
    parent_is(
        f,
        &parent,
        State::Pending,
        counts(20, 0, 7),
        "the parent after the repeat",
    )
    .await?;
    Ok(())
}

/// L8, L10: a split sent again, or its children in another edit, count once.
pub async fn a_child_is_counted_once(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let parent = f.running(&new).await?;
    let children = f.children(&parent, 0..4);
    let chunk = Edit {
        insert: children[..3].to_vec(),
        ..f.decide(
            &parent,
            Event::Checkpoint {
                checkpoint: json("3"),
            },
        )
    };
    let after_chunk = f.apply_done(&chunk).await?;
    equal(
        "L8",
        "the counters after a chunk",
        after_chunk.children,
        counts(3, 3, 0),
    )?;
    equal(
        "L10",
        "the chunk again",
        f.apply(&chunk).await?,
        Applied::Repeated,
    )?;
    let split = Edit {
        insert: children,
        ..f.decide(&after_chunk, Event::Split { checkpoint: None })
    };
    let mut inserted = vec![Inserted::Repeated; 3];
    inserted.push(Inserted::New { leased: false });
    equal(
        "L8",
        "a split with three old children and a new one",
        f.apply(&split).await?,
        Applied::Done {
            inserted,
            took: Took::Primary,
        },
    )?;
    parent_is(
        f,
        &parent,
        State::Joining,
        counts(4, 4, 0),
        "the parent after the split",
    )
    .await?;
    Ok(())
}

/// L8: children that end before their parent splits are counted, and a split with none open goes on at once.
pub async fn children_may_end_before_the_split(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let parent = f.running(&new).await?;
    let children = f.children(&parent, 0..2);
    let chunk = Event::Checkpoint {
        checkpoint: json("2"),
    };
    let chunk = Edit {
        insert: children.clone(),
        ..f.decide(&parent, chunk)
    };
    let parent = f.apply_done(&chunk).await?;
    let split = f.decide(&parent, Event::Split { checkpoint: None });
    f.end(&children[0], true).await?;
    f.end(&children[1], false).await?;
    parent_is(
        f,
        &parent,
        State::Running,
        counts(2, 0, 1),
        "a running parent whose children ended",
    )
    .await?;
    equal(
        "L8",
        "its split, decided before",
        f.apply(&split).await?,
        Applied::Done {
            inserted: vec![],
            took: Took::NoneOpen,
        },
    )?;
    parent_is(f, &parent, State::Pending, counts(2, 0, 1), "the parent after it").await?;
    Ok(())
}

/// L8: a child is not deleted while its parent has not ended.
pub async fn a_child_outlives_its_parents_life(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (_, children) = f.joining(&new, 1).await?;
    let child = f.end(&children[0], true).await?;
    equal(
        "L8",
        "a delete before the parent's end",
        f.settle(&child, Event::Delete).await?,
        Applied::Stale,
    )?;
    f.end(&new, true).await?;
    equal(
        "L8",
        "a delete after the parent's end",
        f.settle(&child, Event::Delete).await?,
        Applied::DONE,
    )
}

/// L8: an edit of a child and one of its parent in the same call answer as if one came after the other.
pub async fn child_and_parent_in_one_call(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, children) = f.joining(&new, 1).await?;
    let session = f.open().await?;
    let child = f.claim_task(session, &children[0]).await?;
    let edits = [
        f.decide(&child, Fixture::success()),
        f.decide(&parent, Event::Cancel),
    ];
    let answer = f.exchange(&edits, &[]).await?;
    // The child's end made the parent pending; the cancel was decided on a joining one.
    equal(
        "L8",
        "the last child's end, then the parent's cancel",
        answer.applied,
        vec![Applied::DONE, Applied::Stale],
    )?;
    parent_is(
        f,
        &parent,
        State::Pending,
        counts(1, 0, 0),
        "the parent after both",
    )
    .await?;
    Ok(())
}
