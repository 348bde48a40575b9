//! Unique keys: one winner, exact answers, free when they ought to be.

use retry_core::machine::Event;
use retry_core::store::{Applied, Inserted};
use retry_core::task::{KeyScope, NewTask, OnDuplicate, State, Task, Unique};
use std::time::Duration;

use crate::fixture::{Fixture, json, unique};
use crate::verdict::{Verdict, equal};

const NEW: Inserted = Inserted::New { leased: false };

fn keyed(f: &mut Fixture, key: &str) -> NewTask {
    f.keyed(unique(key))
}

fn replacing(f: &mut Fixture, payload: bool, run_at: bool) -> NewTask {
    let on_duplicate = OnDuplicate::Replace { payload, run_at };
    f.keyed(Unique {
        on_duplicate,
        ..unique("k")
    })
}

async fn answer(f: &Fixture, new: &NewTask) -> Verdict<Inserted> {
    let answers = f.insert(std::slice::from_ref(new)).await?;
    Ok(answers[0])
}

/// L2: a duplicate names the holder and its state, and is not stored.
pub async fn a_duplicate_names_the_holder(f: &mut Fixture) -> Verdict {
    let first = keyed(f, "k");
    f.insert_new(&first).await?;
    let second = keyed(f, "k");
    let wanted = Inserted::Duplicate {
        holder: first.id,
        state: State::Pending,
    };
    equal(
        "L2",
        "a second task with the key",
        answer(f, &second).await?,
        wanted,
    )?;
    equal("L2", "the second task", f.get(second.id).await?, None)?;
    let session = f.open().await?;
    let task = f.claim_task(session, &first).await?;
    let deadline = f.after(60);
    let wanted = Inserted::Duplicate {
        holder: first.id,
        state: State::Running,
    };
    equal(
        "L2",
        "a duplicate of a running task",
        answer(f, &second).await?,
        wanted,
    )?;
    f.settled(&task, Event::Wait { deadline }).await?;
    let wanted = Inserted::Duplicate {
        holder: first.id,
        state: State::Waiting,
    };
    equal(
        "L2",
        "a duplicate of a waiting task",
        answer(f, &second).await?,
        wanted,
    )
}

/// L2: a duplicate does not stop its neighbours, and the first of a batch wins.
pub async fn the_first_of_a_batch_wins(f: &mut Fixture) -> Verdict {
    let (a, b, c) = (keyed(f, "k"), keyed(f, "k"), keyed(f, "other"));
    let plain = f.task();
    let answers = f.insert(&[b.clone(), a, c, plain]).await?;
    let duplicate = Inserted::Duplicate {
        holder: b.id,
        state: State::Pending,
    };
    equal(
        "L2",
        "a batch with one key twice",
        answers,
        vec![NEW, duplicate, NEW, NEW],
    )
}

/// L2, L12: keys are unique by kind and compared byte for byte.
pub async fn keys_are_compared_byte_for_byte(f: &mut Fixture) -> Verdict {
    let long = "é".repeat(127);
    let keys = ["k", "K", "k ", " k", "ḱ", "k\u{301}", "%", "_", "k\\", "'", &long];
    let mut tasks: Vec<NewTask> = keys.iter().map(|key| keyed(f, key)).collect();
    tasks.push(f.keyed_of("other", unique("k")));
    let answers = f.insert(&tasks).await?;
    equal(
        "L12",
        "keys that differ a little",
        answers,
        vec![NEW; tasks.len()],
    )?;
    for (key, holder) in keys.iter().zip(&tasks) {
        let again = keyed(f, key);
        let wanted = Inserted::Duplicate {
            holder: holder.id,
            state: State::Pending,
        };
        equal(
            "L2",
            &format!("the key {key:?} again"),
            answer(f, &again).await?,
            wanted,
        )?;
    }
    Ok(())
}

/// L1, L2: an id that is stored is repeated, also when its key is held by another task by now.
pub async fn a_repeat_comes_before_the_key(f: &mut Fixture) -> Verdict {
    let first = keyed(f, "k");
    f.succeeded(&first).await?;
    let second = keyed(f, "k");
    f.insert_new(&second).await?;
    equal(
        "L1",
        "the first insert again",
        answer(f, &first).await?,
        Inserted::Repeated,
    )?;
    equal(
        "L1",
        "the second insert again",
        answer(f, &second).await?,
        Inserted::Repeated,
    )
}

/// L2: a key of scope `Active` is free in every final state.
pub async fn an_active_key_is_free_at_the_end(f: &mut Fixture) -> Verdict {
    let new = keyed(f, "k");
    f.succeeded(&new).await?;
    let new = keyed(f, "k");
    f.failed(&new).await?;
    let new = keyed(f, "k");
    let task = f.insert_new(&new).await?;
    f.settled(&task, Event::Cancel).await?;
    let new = keyed(f, "k");
    equal("L2", "the key after three ends", answer(f, &new).await?, NEW)
}

/// L2: a key of scope `UntilPurged` is held until its holder is purged or deleted.
pub async fn a_lasting_key_is_held_until_the_purge(f: &mut Fixture) -> Verdict {
    let lasting = |f: &mut Fixture| {
        f.keyed(Unique {
            scope: KeyScope::UntilPurged,
            ..unique("k")
        })
    };
    let new = lasting(f);
    f.succeeded(&new).await?;
    let second = lasting(f);
    let wanted = Inserted::Duplicate {
        holder: new.id,
        state: State::Succeeded,
    };
    equal(
        "L2",
        "a lasting key after its holder's end",
        answer(f, &second).await?,
        wanted,
    )?;
    f.advance(Duration::from_hours(24));
    equal("L2", "the purged tasks", f.purge(10).await?, 1)?;
    equal(
        "L2",
        "a lasting key after the purge",
        answer(f, &second).await?,
        NEW,
    )?;
    let task = f.end(&second, true).await?;
    f.settle(&task, Event::Delete).await?;
    let third = lasting(f);
    equal(
        "L2",
        "a lasting key after a delete",
        answer(f, &third).await?,
        NEW,
    )
}

/// L2: `Replace` moves payload, headers and time into the pending holder, each only if asked.
pub async fn a_replace_updates_a_pending_holder(f: &mut Fixture) -> Verdict {
    let first = keyed(f, "k");
    let mut wanted = f.insert_new(&first).await?;
    let mut payload = first.payload.clone();
    for (with_payload, with_time) in [(false, false), (true, false), (false, true), (true, true)] {
        f.advance(Duration::from_secs(1));
        let new = NewTask {
            payload: json(&format!("[{with_payload}, {with_time}]")),
            run_at: f.after(50),
            ..replacing(f, with_payload, with_time)
        };
        let replaced = Inserted::Replaced { holder: first.id };
        equal("L2", "an insert that replaces", answer(f, &new).await?, replaced)?;
        if with_payload {
            payload = new.payload;
        }
        let run_at = if with_time { new.run_at } else { wanted.run_at };
        wanted = Task {
            run_at,
            version: wanted.version + 1,
            updated_at: f.now(),
            ..wanted
        };
        let detail = f.detail(first.id).await?;
        equal("L2", "the holder's record", &detail.task, &wanted)?;
        equal(
            "L12",
            "the holder's payload",
            detail.payload.as_json(),
            payload.as_json(),
        )?;
        equal("L2", "the replacing task", f.get(new.id).await?, None)?;
    }
    Ok(())
}

/// L2, L6: an edit decided before a replace is stale.
pub async fn a_replace_makes_older_edits_stale(f: &mut Fixture) -> Verdict {
    let first = keyed(f, "k");
    let task = f.insert_new(&first).await?;
    let cancel = f.decide(&task, Event::Cancel);
    let new = replacing(f, true, true);
    f.insert(&[new]).await?;
    equal(
        "L6",
        "an edit decided before the replace",
        f.apply(&cancel).await?,
        Applied::Stale,
    )
}

/// L2: `Replace` leaves a holder that is not pending as it is.
pub async fn a_replace_leaves_a_running_holder(f: &mut Fixture) -> Verdict {
    let first = keyed(f, "k");
    let running = f.running(&first).await?;
    let new = replacing(f, true, true);
    let wanted = Inserted::Duplicate {
        holder: first.id,
        state: State::Running,
    };
    equal(
        "L2",
        "a replace of a running holder",
        answer(f, &new).await?,
        wanted,
    )?;
    let detail = f.detail(first.id).await?;
    equal(
        "L2",
        "the holder",
        (detail.task, detail.payload),
        (running, first.payload),
    )
}

/// L2: a rerun retakes its key, or names who has it and changes nothing.
pub async fn a_rerun_retakes_its_key(f: &mut Fixture) -> Verdict {
    let first = keyed(f, "k");
    let ended = f.failed(&first).await?;
    let second = keyed(f, "k");
    f.insert_new(&second).await?;
    let at = f.now();
    let rerun = Event::Rerun {
        at,
        from_start: false,
    };
    let taken = f.settle(&ended, rerun.clone()).await?;
    equal(
        "L2",
        "a rerun while another task has the key",
        taken,
        Applied::KeyTaken(second.id),
    )?;
    equal("L2", "the ended task", f.task_now(first.id).await?, ended.clone())?;
    let session = f.open().await?;
    let task = f.claim_task(session, &second).await?;
    f.settled(&task, Fixture::success()).await?;
    f.settled(&ended, rerun).await?;
    let third = keyed(f, "k");
    let wanted = Inserted::Duplicate {
        holder: first.id,
        state: State::Pending,
    };
    equal("L2", "the key after the rerun", answer(f, &third).await?, wanted)
}
