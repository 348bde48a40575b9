//! Inserts: what is stored, what repeats, what is refused.

use std::time::Duration;

use retry_core::headers::Headers;
use retry_core::priority::Priority;
use retry_core::store::{Inserted, Page, TaskFilter};
use retry_core::task::{
    FailedChildren, KeyScope, NewTask, OnWaitDeadline, Retention, Settings, State, Task, Unique,
};
use retry_core::time::Timestamp;

use crate::fixture::{Fixture, json, kind, queue, unique};
use crate::verdict::{Verdict, equal, holds};

const NEW: Inserted = Inserted::New { leased: false };

/// L1, L12: a new task reads back exactly as it was sent.
pub async fn a_new_task_is_stored_as_sent(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    reads_back(f, &new).await
}

async fn reads_back(f: &Fixture, new: &NewTask) -> Verdict {
    let detail = f.detail(new.id).await?;
    equal(
        "L1",
        "the stored record",
        &detail.task,
        &Task::pending(new, f.now()),
    )?;
    let payload = detail.payload.as_json();
    equal("L12", "the stored payload", payload, new.payload.as_json())?;
    let headers: Vec<_> = detail.headers.iter().collect();
    equal("L12", "the stored headers", headers, new.headers.iter().collect())?;
    let cold = (
        &detail.checkpoint,
        &detail.output,
        &detail.completion,
        &detail.early_completion,
    );
    equal("L1", "what nobody wrote yet", cold, (&None, &None, &None, &None))?;
    let ends = (detail.last_error, detail.via_fallback, detail.failures.len());
    equal("L1", "how no attempt ended yet", ends, (None, false, 0))
}

/// L1, L12: every setting reads back, at its bounds too.
pub async fn every_setting_is_kept(f: &mut Fixture) -> Verdict {
    let odd = Settings {
        max_attempts: None,
        give_up_after: Some(Duration::from_millis(1)),
        expires_after: Some(Duration::from_secs(86_400)),
        give_up_at: Some(Timestamp::MAX),
        rescue_delay: Duration::from_millis(1),
        crash_budget: None,
        expires_at: Some(f.after(9)),
        deadline_after: Some(Duration::from_millis(1_500)),
        on_wait_deadline: OnWaitDeadline::Fail,
        on_failed_children: FailedChildren::Hold,
        retention: Retention {
            succeeded: None,
            failed: Some(Duration::ZERO),
            cancelled: Some(Duration::from_hours(24 * 365)),
        },
    };
    let small = Settings {
        max_attempts: Some(1),
        give_up_at: Some(Timestamp::MIN),
        crash_budget: Some(1),
        on_failed_children: FailedChildren::Fail,
        ..Settings::default()
    };
    let forever = Unique {
        scope: KeyScope::UntilPurged,
        ..unique("order-7")
    };
    let tasks = [
        NewTask {
            settings: odd,
            priority: Priority::Urgent,
            ..f.task()
        },
        NewTask {
            settings: small,
            priority: Priority::Low,
            unique: Some(forever),
            wait_secret: u64::MAX,
            ..f.task()
        },
        NewTask {
            run_at: Timestamp::MAX,
            queue: queue(&"q".repeat(128)),
            kind: kind("A.b_c:d/e-9"),
            wait_secret: 0,
            ..f.task()
        },
        NewTask {
            run_at: Timestamp::MIN,
            ..f.task()
        },
    ];
    f.insert(&tasks).await?;
    for new in &tasks {
        reads_back(f, new).await?;
    }
    Ok(())
}

/// L12: payloads and headers come back byte for byte, whatever text they are.
pub async fn texts_come_back_byte_for_byte(f: &mut Fixture) -> Verdict {
    let long = format!("\"{}\"", "ü".repeat(100_000));
    let texts = [
        " { \"b\" : 1.0,\n\t\"a\":\"\\u00e9\" } ",
        "\"\\u0000 '; DROP TABLE task; -- \\\" %s ? $1 :a\"",
        "\"🎉 e\u{301} \u{200b}\u{feff} \\n\"",
        "1e400",
        "\"trailing space \"",
        "null",
        &long,
    ];
    let mut tasks = Vec::new();
    for text in texts {
        let mut headers = Headers::new();
        for (key, value) in [
            ("Key", " v "),
            ("key", "🎉'\"\\"),
            (" ", ""),
            ("%_", "\u{7f}\r\n"),
        ] {
            let inserted = headers.insert(key, value);
            inserted.unwrap_or_else(|error| panic!("the case's header is wrong: {error}"));
        }
        tasks.push(NewTask {
            payload: json(text),
            headers,
            ..f.task()
        });
    }
    f.insert(&tasks).await?;
    for new in &tasks {
        reads_back(f, new).await?;
    }
    Ok(())
}

/// L12: the largest payload fits.
pub async fn the_largest_payload_fits(f: &mut Fixture) -> Verdict {
    let text = format!("\"{}\"", "x".repeat(retry_core::limits::MAX_PAYLOAD_BYTES - 2));
    let new = NewTask {
        payload: json(&text),
        ..f.task()
    };
    f.insert_new(&new).await?;
    let detail = f.detail(new.id).await?;
    let whole = detail.payload == new.payload;
    holds(
        "L12",
        "a payload of 1 MiB",
        whole,
        detail.payload.len(),
        "the same bytes",
    )
}

/// L12: kinds and queues that differ in case only are different.
pub async fn case_matters_in_names(f: &mut Fixture) -> Verdict {
    let (lower, upper) = (f.task(), f.task());
    let upper = NewTask {
        kind: kind("Work"),
        queue: queue("Default"),
        ..upper
    };
    f.insert(&[lower.clone(), upper.clone()]).await?;
    let filter = TaskFilter {
        kinds: vec![kind("Work")],
        ..TaskFilter::default()
    };
    let rows = f.list(&filter, 10).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.task.id).collect();
    equal("L12", "the tasks of kind `Work`", ids, vec![upper.id])?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 10)).await?;
    let ids: Vec<_> = claimed.tasks.iter().map(|claimed| claimed.task.id).collect();
    equal(
        "L12",
        "a claim of kind `work` in queue `default`",
        ids,
        vec![lower.id],
    )
}

/// L1, L10: the same id again is the same task, whatever else is sent with it.
pub async fn a_repeated_id_is_the_same_task(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    let again = NewTask {
        payload: json("\"other\""),
        run_at: f.after(60),
        unique: Some(unique("other")),
        ..new.clone()
    };
    let answers = f.insert(&[again]).await?;
    equal("L1", "inserting the id again", answers, vec![Inserted::Repeated])?;
    reads_back(f, &new).await
}

/// L1, L10: an id repeated within one call is one task.
pub async fn an_id_twice_in_one_call_is_one_task(f: &mut Fixture) -> Verdict {
    let (new, other) = (f.task(), f.task());
    let answers = f.insert(&[new.clone(), other, new.clone()]).await?;
    equal(
        "L1",
        "one id twice in a call",
        answers,
        vec![NEW, NEW, Inserted::Repeated],
    )?;
    reads_back(f, &new).await
}

/// L1, L10: an insert sent again after its task has ended does not bring it back.
pub async fn a_repeat_after_the_end_changes_nothing(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let ended = f.succeeded(&new).await?;
    let answers = f.insert(std::slice::from_ref(&new)).await?;
    equal("L1", "inserting an ended id", answers, vec![Inserted::Repeated])?;
    equal("L1", "the ended task", f.task_now(new.id).await?, ended)
}

/// L1: answers come in the order of the input, also when ids do not.
pub async fn answers_follow_the_input(f: &mut Fixture) -> Verdict {
    let held = f.keyed(unique("k"));
    let (a, b) = (f.task(), f.task());
    f.insert(&[held.clone(), b.clone()]).await?;
    let clash = NewTask {
        id: f.keyed(unique("k")).id,
        ..held.clone()
    };
    let last = f.task();
    let answers = f.insert(&[last, clash, b, a]).await?;
    let duplicate = Inserted::Duplicate {
        holder: held.id,
        state: State::Pending,
    };
    equal(
        "L1",
        "a mixed insert",
        answers,
        vec![NEW, duplicate, Inserted::Repeated, NEW],
    )
}

/// L1: an insert of nothing is Ok.
pub async fn an_empty_insert_is_ok(f: &mut Fixture) -> Verdict {
    equal("L1", "an empty insert", f.insert(&[]).await?, vec![])
}

/// L1, L11: a full batch of 1,000 is stored whole.
pub async fn a_full_batch_is_stored(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(1_000);
    let answers = f.insert(&tasks).await?;
    equal("L1", "1,000 new tasks", answers, vec![NEW; 1_000])?;
    let rows = f.list(&TaskFilter::default(), 1_000).await?;
    equal("L11", "the tasks listed after it", rows.len(), 1_000)?;
    let page = Page::first(0);
    let listed = f.answered(
        "list a page of 0".to_owned(),
        f.store().list(&TaskFilter::default(), &page).await,
    )?;
    equal("L11", "a page of no rows", listed.tasks.len(), 0)
}
