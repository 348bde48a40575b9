//! One call with many edits: order, independence, atomicity with the tasks they insert.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::store::{Applied, Inserted, Took};
use retry_core::task::{Action, Children, Edit, State, Task};

use crate::fixture::{Fixture, failure, json, unique};
use crate::verdict::{Verdict, equal};

const NEW: Inserted = Inserted::New { leased: false };

fn done(inserted: Vec<Inserted>) -> Applied {
    Applied::Done {
        inserted,
        took: Took::Primary,
    }
}

/// L6: a stale, repeated or missing edit does not touch its neighbours, and answers keep the order of the input.
pub async fn edits_are_independent(f: &mut Fixture) -> Verdict {
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(f.running_task().await?);
    }
    let repeated = f.decide(&tasks[1], Fixture::success());
    f.apply_done(&repeated).await?;
    let fresh: Vec<Edit> = [3, 0]
        .iter()
        .map(|at| f.decide(&tasks[*at], Fixture::success()))
        .collect();
    let stale = Edit {
        version: 77,
        ..f.decide(&tasks[2], Fixture::success())
    };
    let missing = Edit {
        id: f.task().id,
        ..f.decide(&tasks[2], Fixture::success())
    };
    let edits = [fresh[0].clone(), stale, missing, repeated, fresh[1].clone()];
    let answer = f.exchange(&edits, &[]).await?;
    let wanted = vec![
        Applied::DONE,
        Applied::Stale,
        Applied::Missing,
        Applied::Repeated,
        Applied::DONE,
    ];
    equal("L6", "a mixed batch", answer.applied, wanted)?;
    for (at, state) in [
        State::Succeeded,
        State::Succeeded,
        State::Running,
        State::Succeeded,
    ]
    .iter()
    .enumerate()
    {
        equal(
            "L6",
            "a task after the batch",
            f.task_now(tasks[at].id).await?.state,
            *state,
        )?;
    }
    Ok(())
}

/// L6: edits of one task in one call answer as if they came one after another.
pub async fn edits_of_one_task_follow_each_other(f: &mut Fixture) -> Verdict {
    let running = f.running_task().await?;
    let at = f.after(60);
    let snooze = f.decide(&running, Event::Snooze { at });
    let Action::Set(change) = &snooze.action else {
        unreachable!("a snooze is a change")
    };
    let mut snoozed = f.detail(running.id).await?;
    change.to.write_to(&mut snoozed, f.now());
    let at = f.after(5);
    let reschedule = f.decide(&snoozed.task, Event::Reschedule { at });
    let late = f.decide(&snoozed.task, Event::Cancel);
    let edits = [snooze.clone(), reschedule.clone(), late, snooze];
    let answer = f.exchange(&edits, &[]).await?;
    let wanted = vec![Applied::DONE, Applied::DONE, Applied::Stale, Applied::Stale];
    equal("L6", "four edits of one task", answer.applied, wanted)?;
    let task = f.task_now(running.id).await?;
    equal(
        "L6",
        "its version and time",
        (task.version, task.run_at),
        (running.version + 2, at),
    )
}

/// L8: an edit's inserts come with it.
pub async fn inserts_come_with_their_edit(f: &mut Fixture) -> Verdict {
    let running = f.running_task().await?;
    let mut follow_ups = [(); 3].map(|()| f.brought_by(running.id));
    let header = follow_ups[1].headers.insert("trace", "a b");
    header.unwrap_or_else(|error| panic!("the case's header is wrong: {error}"));
    let edit = Edit {
        insert: follow_ups.to_vec(),
        ..f.decide(&running, Fixture::success())
    };
    equal(
        "L8",
        "an edit with three inserts",
        f.apply(&edit).await?,
        done(vec![NEW; 3]),
    )?;
    for new in follow_ups {
        equal(
            "L8",
            "an inserted task",
            f.task_now(new.id).await?,
            Task::pending(&new, f.now()),
        )?;
        let detail = f.detail(new.id).await?;
        equal(
            "L8",
            "its payload and headers",
            (detail.payload, detail.headers),
            (new.payload, new.headers),
        )?;
    }
    Ok(())
}

/// L8: an edit that is not written inserts nothing.
pub async fn a_stale_edit_inserts_nothing(f: &mut Fixture) -> Verdict {
    let running = f.running_task().await?;
    let follow_up = f.brought_by(running.id);
    let edit = Edit {
        insert: vec![follow_up.clone()],
        version: 99,
        ..f.decide(&running, Fixture::success())
    };
    equal(
        "L8",
        "a stale edit with an insert",
        f.apply(&edit).await?,
        Applied::Stale,
    )?;
    equal(
        "L8",
        "the task it would have inserted",
        f.get(follow_up.id).await?,
        None,
    )
}

/// L2, L8: a duplicate among an edit's inserts is an answer; the edit and its other inserts are written.
pub async fn a_duplicate_among_the_inserts_is_an_answer(f: &mut Fixture) -> Verdict {
    let holder = f.keyed(unique("k"));
    f.insert_new(&holder).await?;
    let new = f.brought_by(holder.id);
    let running = f.running(&new).await?;
    let (clash, plain) = (f.keyed(unique("k")), f.brought_by(holder.id));
    let insert = vec![clash.clone(), plain, holder.clone()];
    let edit = Edit {
        insert,
        ..f.decide(&running, Fixture::success())
    };
    let duplicate = Inserted::Duplicate {
        holder: holder.id,
        state: State::Pending,
    };
    let wanted = done(vec![duplicate, NEW, Inserted::Repeated]);
    equal(
        "L2",
        "an edit with a duplicate and a repeat",
        f.apply(&edit).await?,
        wanted,
    )?;
    equal("L2", "the duplicate", f.get(clash.id).await?, None)
}

/// L2, L8: a key that an edit frees is free for its own inserts, and the new holder keeps it.
pub async fn a_freed_key_goes_to_the_edits_own_insert(f: &mut Fixture) -> Verdict {
    let held = |f: &mut Fixture| f.keyed(unique("k"));
    let first = held(f);
    let running = f.running(&first).await?;
    let second = held(f);
    let edit = Edit {
        insert: vec![second.clone()],
        ..f.decide(&running, Fixture::success())
    };
    equal(
        "L2",
        "an end that inserts the next holder of its key",
        f.apply(&edit).await?,
        done(vec![NEW]),
    )?;
    let third = held(f);
    let answers = f.insert(&[third]).await?;
    let duplicate = Inserted::Duplicate {
        holder: second.id,
        state: State::Pending,
    };
    equal("L2", "a third task with the key", answers, vec![duplicate])
}

/// L8: the same task inserted by two edits of a call is stored once.
pub async fn one_insert_of_two_edits_is_one_task(f: &mut Fixture) -> Verdict {
    let a = f.running_task().await?;
    let new = f.brought_by(a.id);
    let b = f.running(&new).await?;
    let shared = f.brought_by(a.id);
    let edits = [a, b].map(|task| Edit {
        insert: vec![shared.clone()],
        ..f.decide(&task, Fixture::success())
    });
    let answer = f.exchange(&edits, &[]).await?;
    let wanted = vec![done(vec![NEW]), done(vec![Inserted::Repeated])];
    equal("L8", "two edits that insert one task", answer.applied, wanted)
}

/// L6, L8: edits of a task follow the edit of the same call that inserts it, and free its key for what comes after them.
pub async fn an_edit_follows_the_insert_of_its_task(f: &mut Fixture) -> Verdict {
    let [first, second] = [(); 2].map(|()| f.keyed(unique("k")));
    let [a, b] = [(); 2].map(|()| f.brought_by(first.id));
    let (a, b) = (f.running(&a).await?, f.running(&b).await?);
    let born = Task::pending(&first, f.now());
    let at = f.after(60);
    let moved = Task {
        version: born.version + 1,
        run_at: at,
        ..born.clone()
    };
    let insert_first = Edit {
        insert: vec![first.clone()],
        ..f.decide(&a, Fixture::success())
    };
    let insert_second = Edit {
        insert: vec![second.clone()],
        ..f.decide(&b, Fixture::success())
    };
    let edits = [
        insert_first,
        f.decide(&born, Event::Reschedule { at }),
        f.decide(&moved, Event::Cancel),
        f.decide(&born, Event::Cancel),
        insert_second,
    ];
    let answer = f.exchange(&edits, &[]).await?;
    let wanted = vec![
        done(vec![NEW]),
        Applied::DONE,
        Applied::DONE,
        Applied::Stale,
        done(vec![NEW]),
    ];
    equal(
        "L6",
        "an insert, three edits of its task, and an insert with its key",
        answer.applied,
        wanted,
    )?;
    let task = f.task_now(first.id).await?;
    equal(
        "L6",
        "the task after the edits",
        (task.state, task.version, task.holds_key),
        (State::Cancelled, born.version + 2, false),
    )?;
    let holds = f.task_now(second.id).await?.holds_key;
    equal("L6", "whether the second task holds the key", holds, true)
}

/// L8: a child that ends in the call that makes it is counted at its parent, which wakes if it was the last one.
pub async fn a_child_may_end_in_the_call_that_makes_it(f: &mut Fixture) -> Verdict {
    for (n, state) in [(2, State::Joining), (1, State::Pending)] {
        let new = f.task();
        let parent = f.running(&new).await?;
        let children = f.children(&parent, 0..n);
        let split = Edit {
            insert: children.clone(),
            ..f.decide(&parent, Event::Split { checkpoint: None })
        };
        let born = Task::pending(&children[0], f.now());
        let edits = [split, f.decide(&born, Event::Cancel)];
        let answer = f.exchange(&edits, &[]).await?;
        let made = done(vec![NEW; children.len()]);
        equal(
            "L8",
            "a split and the end of a child",
            answer.applied,
            vec![made, Applied::DONE],
        )?;
        let parent = f.task_now(parent.id).await?;
        let children = Children {
            total: n,
            open: n - 1,
            failed: 1,
        };
        equal(
            "L8",
            "the parent",
            (parent.state, parent.children),
            (state, children),
        )?;
    }
    Ok(())
}

/// L8, L13: a thousand settles with their inserts are one call.
pub async fn a_full_batch_of_edits_is_applied(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(1_000);
    f.insert(&tasks).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 1_000)).await?;
    equal("L13", "a claim of 1,000", claimed.tasks.len(), 1_000)?;
    let mut edits = Vec::new();
    for task in &claimed.tasks {
        let event = if edits.len() % 2 == 0 {
            Fixture::success()
        } else {
            let at = f.after(1);
            Event::Retry {
                at,
                failure: failure(&task.task, "no", f.now()),
            }
        };
        edits.push(Edit {
            insert: vec![f.brought_by(task.task.id)],
            ..f.decide(&task.task, event)
        });
    }
    let answer = f.exchange(&edits, &[f.request(session, 0)]).await?;
    equal("L8", "1,000 edits", answer.applied, vec![done(vec![NEW]); 1_000])?;
    let counts = f.count(&retry_core::store::CountScope::default()).await?;
    let given = [State::Pending, State::Running, State::Succeeded].map(|state| counts.of(state));
    equal(
        "L8",
        "pending, running and succeeded tasks after it",
        given,
        [1_500, 0, 500],
    )
}

/// L10: an exchange of nothing is Ok.
pub async fn an_empty_exchange_is_ok(f: &mut Fixture) -> Verdict {
    let answer = f.exchange(&[], &[]).await?;
    equal(
        "L10",
        "an empty exchange",
        (answer.applied.len(), answer.claimed.len()),
        (0, 0),
    )
}

/// L7: every change keeps what it does not name.
pub async fn a_change_keeps_what_it_does_not_name(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let at = f.now();
    f.settled(
        &task,
        Event::Continue {
            at,
            checkpoint: json("[1]"),
        },
    )
    .await?;
    let session = f.open().await?;
    f.advance(Duration::from_secs(1));
    let claimed = f.claim(&f.request(session, 1)).await?;
    let before = f.detail(task.id).await?;
    for claimed in claimed.tasks {
        let failure = failure(&claimed.task, "no", f.now());
        let at = f.now();
        f.settled(&claimed.task, Event::Retry { at, failure }).await?;
    }
    let after = f.detail(task.id).await?;
    equal(
        "L12",
        "the checkpoint after a retry",
        after.checkpoint,
        before.checkpoint,
    )?;
    equal("L12", "the payload after a retry", after.payload, before.payload)
}
