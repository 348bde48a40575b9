//! Splits in chunks: children that are inserted while their parent runs, and parents that wait for them again.

use std::time::Duration;

use retry_core::machine::{Event, Restart};
use retry_core::payload::Payload;
use retry_core::store::{Applied, Cause, Inserted, Took};
use retry_core::task::{Edit, FailedChildren, NewTask, Settings, State, Task};

use super::children::{counts, parent_is};
use super::expired::LOOK;
use crate::fixture::{Fixture, failure, json};
use crate::verdict::{Verdict, equal};

/// The edit by which a running parent stores `text` and inserts children.
fn chunk(f: &mut Fixture, parent: &Task, text: &str, children: &[NewTask]) -> Edit {
    let checkpoint = json(text);
    Edit {
        insert: children.to_vec(),
        ..f.decide(parent, Event::Checkpoint { checkpoint })
    }
}

fn done(children: usize, took: Took) -> Applied {
    Applied::Done {
        inserted: vec![Inserted::New { leased: false }; children],
        took,
    }
}

/// L8: chunks and the ends of earlier children in the same calls leave exact counters, and wake the parent once, behind its
/// split.
pub async fn chunks_while_children_end(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let parent = f.running(&new).await?;
    let children = f.children(&parent, 0..6);
    let first = chunk(f, &parent, "2", &children[..2]);
    let parent = f.apply_done(&first).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 100)).await?;
    equal("L8", "the claimed children", claimed.tasks.len(), 2)?;
    let [one, two] = [&claimed.tasks[0].task, &claimed.tasks[1].task];
    let bad = Event::Fail {
        failure: failure(two, "no", f.now()),
    };
    let edits = [
        f.decide(one, Fixture::success()),
        chunk(f, &parent, "4", &children[2..4]),
        f.decide(two, bad),
    ];
    let answer = f.exchange(&edits, &[]).await?;
    equal(
        "L8",
        "an end, a chunk, an end",
        answer.applied,
        vec![Applied::DONE, done(2, Took::Primary), Applied::DONE],
    )?;
    let what = "the parent, which still splits";
    let parent = parent_is(f, &parent, State::Running, counts(4, 2, 1), what).await?;
    for child in &children[2..4] {
        f.end(child, true).await?;
    }
    let what = "a parent none of whose children is open";
    parent_is(f, &parent, State::Running, counts(4, 0, 1), what).await?;
    let split = Edit {
        insert: children[4..].to_vec(),
        ..f.decide(&parent, Event::Split { checkpoint: None })
    };
    let answer = f.exchange(&[split], &[]).await?;
    equal("L8", "the split", answer.applied, vec![done(2, Took::Primary)])?;
    let what = "the parent behind its split";
    let parent = parent_is(f, &parent, State::Joining, counts(6, 2, 1), what).await?;
    f.end(&children[4], true).await?;
    f.advance(Duration::from_secs(1));
    f.end(&children[5], true).await?;
    let what = "the parent behind its last child";
    let joined = parent_is(f, &parent, State::Pending, counts(6, 0, 1), what).await?;
    equal("L8", "its version", joined.version, parent.version)?;
    equal("L8", "its step", joined.step, 1)
}

/// L8, L10: a chunk sent again, after its children ended and another followed, changes nothing.
pub async fn an_old_chunk_changes_nothing(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let parent = f.running(&new).await?;
    let children = f.children(&parent, 0..3);
    let first = chunk(f, &parent, "2", &children[..2]);
    let parent = f.apply_done(&first).await?;
    f.end(&children[0], true).await?;
    f.end(&children[1], false).await?;
    let again = f.apply(&first).await?;
    equal("L10", "the chunk again", again, Applied::Repeated)?;
    let what = "the parent after it";
    let parent = parent_is(f, &parent, State::Running, counts(2, 0, 1), what).await?;
    let second = chunk(f, &parent, "3", &children[2..]);
    f.apply_done(&second).await?;
    let late = f.apply(&first).await?;
    equal("L10", "the chunk behind its successor", late, Applied::Stale)?;
    let what = "the parent after that";
    parent_is(f, &parent, State::Running, counts(3, 1, 1), what).await?;
    let stored = f.detail(parent.id).await?.checkpoint;
    equal("L8", "its checkpoint", stored, Some(json("3")))
}

/// L8, L12: a split keeps what it is told to, whether its parent waits or goes on at once.
pub async fn a_split_keeps_its_checkpoint(f: &mut Fixture) -> Verdict {
    for children in [0, 1] {
        let new = f.task();
        let parent = f.running(&new).await?;
        let insert = f.children(&parent, 0..children);
        let checkpoint = Some(json("{\"next\": 1 }"));
        let split = Edit {
            insert,
            ..f.decide(
                &parent,
                Event::Split {
                    checkpoint: checkpoint.clone(),
                },
            )
        };
        let after = f.apply_done(&split).await?;
        let state = if children == 0 {
            State::Pending
        } else {
            State::Joining
        };
        equal("L8", "the parent's state", after.state, state)?;
        let stored = f.detail(parent.id).await?.checkpoint;
        equal("L12", "the parent's checkpoint", stored, checkpoint)?;
    }
    Ok(())
}

/// L8: a split that ends behind the end of its last child rings the parent's alarm where its policy asks how they ended.
pub async fn a_split_behind_the_last_end_rings(f: &mut Fixture) -> Verdict {
    for (rule, failed, after) in [
        (FailedChildren::Reduce, true, State::Pending),
        (FailedChildren::Fail, false, State::Pending),
        (FailedChildren::Fail, true, State::Failed),
        (FailedChildren::Hold, false, State::Pending),
        (FailedChildren::Hold, true, State::Joining),
    ] {
        let settings = Settings {
            on_failed_children: rule,
            ..Settings::default()
        };
        let new = NewTask { settings, ..f.task() };
        let parent = f.running(&new).await?;
        let children = f.children(&parent, 0..2);
        let all = chunk(f, &parent, "2", &children);
        let parent = f.apply_done(&all).await?;
        // Decided before the children end, as by a worker that has not heard of it.
        let split = f.decide(&parent, Event::Split { checkpoint: None });
        f.end(&children[0], true).await?;
        f.end(&children[1], !failed).await?;
        f.advance(Duration::from_secs(1));
        let answer = f.apply(&split).await?;
        equal("L8", "the split", answer, done(0, Took::NoneOpen))?;
        let what = format!("a parent with the policy {rule:?}, a child failed: {failed}");
        let mut now = f.task_now(parent.id).await?;
        if rule != FailedChildren::Reduce {
            equal(
                "L8",
                &what,
                (now.state, now.alarm_at.is_some()),
                (State::Joining, true),
            )?;
            let items = f.expired(&LOOK).await?.items;
            equal("L8", "what is reported", items, vec![(now.clone(), Cause::Alarm)])?;
            now = f.settled(&now, Event::ChildrenEnded).await?;
        }
        equal("L8", &what, (now.state, now.alarm_at), (after, None))?;
        equal(
            "L8",
            "what is reported then",
            f.expired(&LOOK).await?.items,
            vec![],
        )?;
        if after == State::Pending {
            f.end(&new, true).await?;
        }
    }
    Ok(())
}

/// L8: a thousand children that end in one call are all counted, and end the wait.
pub async fn a_thousand_ends_in_one_call(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, _) = f.joining(&new, 1_000).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 1_000)).await?;
    equal("L8", "the claimed children", claimed.tasks.len(), 1_000)?;
    let mut edits = Vec::new();
    for (index, child) in claimed.tasks.iter().enumerate() {
        let failure = failure(&child.task, "no", f.now());
        let event = if index % 4 == 0 {
            Event::Fail { failure }
        } else {
            Fixture::success()
        };
        edits.push(f.decide(&child.task, event));
    }
    let answer = f.exchange(&edits, &[]).await?;
    equal("L8", "their ends", answer.applied, vec![Applied::DONE; 1_000])?;
    let what = "the parent after them";
    parent_is(f, &parent, State::Pending, counts(1_000, 0, 250), what).await?;
    Ok(())
}

/// L8: of a failed child's rerun and the end of the last open one, in one call in either order, the parent goes on waiting
/// when the rerun comes first, and refuses it when it comes last.
pub async fn a_rerun_races_with_the_last_end(f: &mut Fixture) -> Verdict {
    for rerun_first in [true, false] {
        let new = f.task();
        let (parent, children) = f.joining(&new, 2).await?;
        let failed = f.end(&children[0], false).await?;
        let session = f.open().await?;
        let last = f.claim_task(session, &children[1]).await?;
        let at = f.now();
        let rerun = f.decide(
            &failed,
            Event::Rerun {
                at,
                from_start: false,
            },
        );
        let end = f.decide(&last, Fixture::success());
        let mut edits = [rerun, end];
        let (wanted, state, counted) = if rerun_first {
            ([Applied::DONE, Applied::DONE], State::Joining, counts(2, 1, 0))
        } else {
            edits.reverse();
            ([Applied::DONE, Applied::Stale], State::Pending, counts(2, 0, 1))
        };
        let answer = f.exchange(&edits, &[]).await?;
        equal("L8", "both in one call", answer.applied, wanted.to_vec())?;
        parent_is(f, &parent, state, counted, "the parent after both").await?;
    }
    Ok(())
}

/// A reopening into the step behind the split, with this checkpoint.
fn anew(checkpoint: Option<Payload>) -> Event {
    let restart = Some(Restart { step: 1, checkpoint });
    Event::Reopen { restart }
}

/// L8: an ended parent that is reopened waits until its rerun children have ended, in the same step, with nothing left of
/// its end; without a rerun it waits for an operator.
pub async fn a_reopened_parent_waits_again(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        on_failed_children: FailedChildren::Reduce,
        ..Settings::default()
    };
    let new = NewTask { settings, ..f.task() };
    let (parent, children) = f.joining(&new, 2).await?;
    let failed = f.end(&children[0], false).await?;
    f.end(&children[1], true).await?;
    let session = f.open().await?;
    let reducing = f.claim_task(session, &new).await?;
    let checkpoint = json("[\"place\", \"its own\"]");
    let reducing = f.settled(&reducing, Event::Checkpoint { checkpoint }).await?;
    let event = Event::Succeed {
        output: Some(json("1")),
        via_fallback: true,
    };
    let ended = f.settled(&reducing, event).await?;
    let reopened = f.settled(&ended, anew(Some(json("\"place\"")))).await?;
    equal(
        "L8",
        "the reopened parent",
        (reopened.state, reopened.step, reopened.attempt, reopened.reruns),
        (State::Joining, 1, 0, 1),
    )?;
    equal(
        "L8",
        "its alarm and purge",
        (reopened.alarm_at, reopened.purge_at),
        (None, None),
    )?;
    let detail = f.detail(parent.id).await?;
    equal(
        "L8",
        "what is left of its end",
        (detail.output, detail.via_fallback, detail.checkpoint),
        (None, false, Some(json("\"place\""))),
    )?;
    let what = "a reopened parent without a rerun";
    parent_is(f, &parent, State::Joining, counts(2, 0, 1), what).await?;
    let at = f.now();
    f.settled(
        &failed,
        Event::Rerun {
            at,
            from_start: false,
        },
    )
    .await?;
    let what = "a reopened parent with a rerun";
    parent_is(f, &parent, State::Joining, counts(2, 1, 0), what).await?;
    f.end(&children[0], true).await?;
    let what = "a reopened parent behind the rerun";
    parent_is(f, &parent, State::Pending, counts(2, 0, 0), what).await?;
    let again = f.end(&new, true).await?;
    equal(
        "L8",
        "its second end",
        (again.state, again.step),
        (State::Succeeded, 1),
    )
}

/// L8: a reopened parent that is itself a child counts as open at its own parent, which must wait for it.
pub async fn a_reopened_child_is_open_again(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        on_failed_children: FailedChildren::Hold,
        ..Settings::default()
    };
    let new = NewTask { settings, ..f.task() };
    let (root, children) = f.joining(&new, 1).await?;
    let session = f.open().await?;
    let child = f.claim_task(session, &children[0]).await?;
    let grandchildren = f.children(&child, 0..1);
    let split = Edit {
        insert: grandchildren.clone(),
        ..f.decide(&child, Event::Split { checkpoint: None })
    };
    f.apply_done(&split).await?;
    f.end(&grandchildren[0], false).await?;
    let failed = f.end(&children[0], false).await?;
    parent_is(f, &root, State::Joining, counts(1, 0, 1), "a root on hold").await?;
    f.settled(&failed, anew(None)).await?;
    let what = "the root of a reopened child";
    parent_is(f, &root, State::Joining, counts(1, 1, 0), what).await?;
    let reopened = f.task_now(failed.id).await?;
    f.settled(&reopened, Event::Release).await?;
    let ended = f.end(&children[0], true).await?;
    let what = "the root behind it";
    parent_is(f, &root, State::Pending, counts(1, 0, 0), what).await?;
    let late = f.settle(&ended, Event::Reopen { restart: None }).await?;
    equal(
        "L8",
        "a reopening when the root does not wait",
        late,
        Applied::Stale,
    )
}
