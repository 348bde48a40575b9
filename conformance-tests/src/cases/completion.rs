//! Completions from outside: early, late, twice, for another step.

use retry_core::machine::Event;
use retry_core::store::{Applied, Took};
use retry_core::task::{Completion, CompletionOutcome, Edit, ErrorText, State, Task};

use crate::fixture::{Fixture, completion_edit, json};
use crate::verdict::{Verdict, equal};

fn resume(step: u32, text: &str) -> Completion {
    Completion {
        step,
        outcome: CompletionOutcome::Resume(json(text)),
    }
}

fn early(f: &mut Fixture, task: &Task, completion: Completion) -> Edit {
    let nonce = f.nonce();
    completion_edit(task, nonce, completion)
}

/// L6, L12: a completion reaches the next step's handler byte for byte.
pub async fn a_completion_is_delivered(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let task = f.running(&new).await?;
    let deadline = f.after(60);
    let waiting = f.settled(&task, Event::Wait { deadline }).await?;
    let outcome = CompletionOutcome::Resume(json("{ \"b\": [1.0,\t\"\\u00e9\"] }"));
    f.settled(
        &waiting,
        Event::Complete {
            outcome: outcome.clone(),
        },
    )
    .await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 1)).await?;
    let given = claimed
        .tasks
        .into_iter()
        .next()
        .map(|claimed| (claimed.task.step, claimed.completion));
    let wanted = Some((1, Some(Completion { step: 0, outcome })));
    equal("L12", "the step and completion of the next claim", given, wanted)
}

/// L6: a completion that comes before the wait is stored without raising the version, and the wait finds it.
pub async fn an_early_completion_is_found_by_the_wait(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let deadline = f.after(60);
    let wait = f.decide(&task, Event::Wait { deadline });
    let completion = resume(0, " 5 ");
    let store = early(f, &task, completion.clone());
    equal(
        "L6",
        "a completion before the wait",
        f.apply(&store).await?,
        Applied::DONE,
    )?;
    let stored = f.detail(task.id).await?;
    equal("L6", "the record with it", &stored.task, &task)?;
    equal(
        "L12",
        "the stored completion",
        stored.early_completion,
        Some(completion.clone()),
    )?;
    equal(
        "L6",
        "the wait",
        f.apply(&wait).await?,
        Applied::Done {
            inserted: vec![],
            took: Took::Completed,
        },
    )?;
    let after = f.detail(task.id).await?;
    equal(
        "L6",
        "the state and step after it",
        (after.task.state, after.task.step),
        (State::Pending, 1),
    )?;
    equal(
        "L12",
        "what the next step finds",
        (after.completion, after.early_completion),
        (Some(completion), None),
    )
}

/// L6, L10: the first early completion wins; a second, whatever it says, is answered as repeated.
pub async fn the_first_early_completion_wins(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let pending = f.insert_new(&new).await?;
    let first = early(f, &pending, resume(0, "1"));
    let second = early(
        f,
        &pending,
        Completion {
            step: 0,
            outcome: CompletionOutcome::Fail(ErrorText::new("no")),
        },
    );
    equal(
        "L6",
        "the first completion of a pending task",
        f.apply(&first).await?,
        Applied::DONE,
    )?;
    for again in [&first, &second] {
        equal(
            "L10",
            "a second completion",
            f.apply(again).await?,
            Applied::Repeated,
        )?;
    }
    let kept = f.detail(new.id).await?.early_completion;
    equal("L6", "the stored completion", kept, Some(resume(0, "1")))
}

/// L6: an early completion for another step, or of a task that is not pending or running, is stale.
pub async fn an_early_completion_fits_step_and_state(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let pending = f.insert_new(&new).await?;
    let ahead = early(f, &pending, resume(1, "1"));
    equal(
        "L6",
        "a completion for the next step",
        f.apply(&ahead).await?,
        Applied::Stale,
    )?;
    let session = f.open().await?;
    let running = f.claim_task(session, &new).await?;
    let deadline = f.after(60);
    let waiting = f.settled(&running, Event::Wait { deadline }).await?;
    let late = early(f, &waiting, resume(0, "1"));
    equal(
        "L6",
        "an early completion of a waiting task",
        f.apply(&late).await?,
        Applied::Stale,
    )?;
    let ended = f.settled(&waiting, Event::Cancel).await?;
    let late = early(f, &ended, resume(0, "1"));
    equal(
        "L6",
        "an early completion of an ended task",
        f.apply(&late).await?,
        Applied::Stale,
    )
}

/// L6: each outcome is stored early and reads back.
pub async fn every_outcome_is_stored_early(f: &mut Fixture) -> Verdict {
    let at = f.after(9);
    for outcome in [
        CompletionOutcome::Resume(json("null")),
        CompletionOutcome::Succeed(None),
        CompletionOutcome::Succeed(Some(json("{ }"))),
        CompletionOutcome::Fail(ErrorText::new(" 'no' ")),
        CompletionOutcome::Retry {
            at,
            error: ErrorText::new("later"),
        },
    ] {
        let task = f.running_task().await?;
        let completion = Completion { step: 0, outcome };
        let edit = early(f, &task, completion.clone());
        f.apply(&edit).await?;
        let stored = f.detail(task.id).await?.early_completion;
        equal("L12", "an early completion", stored, Some(completion))?;
    }
    Ok(())
}

/// L6: a wait takes an early completion of its own step only.
pub async fn a_wait_ignores_a_completion_of_another_step(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let task = f.running(&new).await?;
    let deadline = f.after(60);
    let waiting = f.settled(&task, Event::Wait { deadline }).await?;
    f.settled(
        &waiting,
        Event::Complete {
            outcome: CompletionOutcome::Resume(json("1")),
        },
    )
    .await?;
    let session = f.open().await?;
    let in_step_1 = f.claim_task(session, &new).await?;
    let for_step_1 = early(f, &in_step_1, resume(1, "\"for step 1\""));
    equal(
        "L6",
        "an early completion of step 1",
        f.apply(&for_step_1).await?,
        Applied::DONE,
    )?;
    let ended = f.settled(&in_step_1, Fixture::success()).await?;
    let rerun = Event::Rerun {
        at: f.now(),
        from_start: true,
    };
    let back = f.settled(&ended, rerun).await?;
    equal("L6", "the step it runs again", back.step, 0)?;
    let in_step_0 = f.claim_task(session, &new).await?;
    let waited = f.settle(&in_step_0, Event::Wait { deadline }).await?;
    equal(
        "L6",
        "a wait of step 0 beside a completion of step 1",
        waited,
        Applied::DONE,
    )
}

/// L6: a second completion of a wait is stale.
pub async fn a_second_completion_is_stale(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let deadline = f.after(60);
    let waiting = f.settled(&task, Event::Wait { deadline }).await?;
    let complete = |text: &str| Event::Complete {
        outcome: CompletionOutcome::Resume(json(text)),
    };
    let edits = [
        f.decide(&waiting, complete("1")),
        f.decide(&waiting, complete("2")),
    ];
    let answer = f.exchange(&edits, &[]).await?;
    equal(
        "L6",
        "two completions of one wait",
        answer.applied,
        vec![Applied::DONE, Applied::Stale],
    )
}
