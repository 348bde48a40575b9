//! Filters of a listing.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::store::TaskFilter;
use retry_core::task::{NewTask, State, Task};
use retry_core::time::Timestamp;

use super::read::{newest_first, rows};
use crate::fixture::{Fixture, failure, json, kind, queue, unique};
use crate::verdict::{Verdict, equal};

/// Four tasks that differ in what filters look at.
struct Sample {
    /// Kind `a`, with a key and a header.
    a: NewTask,
    /// In queue `other`.
    b: NewTask,
    /// Inserted 10 seconds later, due 50 seconds after that.
    c: NewTask,
    /// Inserted with `c`, running.
    d: NewTask,
    running: Task,
    start: Timestamp,
}

impl Sample {
    async fn new(f: &mut Fixture) -> Verdict<Self> {
        let mut a = NewTask {
            kind: kind("a"),
            unique: Some(unique("Key 1")),
            ..f.task()
        };
        let inserted = a.headers.insert("tenant", "7");
        inserted.unwrap_or_else(|error| panic!("the case's header is wrong: {error}"));
        let b = NewTask {
            queue: queue("other"),
            payload: json("\"100% sure_x\""),
            ..f.task()
        };
        let start = f.now();
        f.insert(&[a.clone(), b.clone()]).await?;
        f.advance(Duration::from_secs(10));
        let c = NewTask {
            run_at: f.after(50),
            payload: json("\"100 pct sure-x\""),
            ..f.task()
        };
        f.insert_new(&c).await?;
        let d = f.task();
        let running = f.running(&d).await?;
        Ok(Self {
            a,
            b,
            c,
            d,
            running,
            start,
        })
    }

    fn at(&self, seconds: u64) -> Option<Timestamp> {
        Some(self.start.saturating_add(Duration::from_secs(seconds)))
    }
}

async fn gives(f: &Fixture, filter: TaskFilter, wanted: &[&NewTask]) -> Verdict {
    let wanted: Vec<NewTask> = wanted.iter().map(|task| (*task).clone()).collect();
    let given = rows(f, filter.clone(), 2).await?;
    equal(
        "L11",
        &format!("the rows of {filter:?}"),
        given,
        newest_first(&wanted),
    )
}

fn any() -> TaskFilter {
    TaskFilter::default()
}

/// L11, L12: filters on states, names, keys and sessions give exactly the rows that pass.
pub async fn filters_are_exact(f: &mut Fixture) -> Verdict {
    let sample = Sample::new(f).await?;
    let Sample { a, b, c, d, .. } = &sample;
    let key = |key: &str| TaskFilter {
        key: Some(key.to_owned()),
        ..any()
    };
    let states = |states: &[State]| TaskFilter {
        states: states.to_vec(),
        ..any()
    };
    gives(f, states(&[State::Running]), &[d]).await?;
    gives(f, states(&[State::Pending, State::Running]), &[a, b, c, d]).await?;
    gives(f, states(&[State::Failed]), &[]).await?;
    for part in ["Key", "ey 1", "Key 1 ", "Key _"] {
        gives(f, key(part), &[]).await?;
    }
    gives(
        f,
        TaskFilter {
            queues: vec![queue("other")],
            ..any()
        },
        &[b],
    )
    .await?;
    let both = TaskFilter {
        kinds: vec![kind("a"), kind("work")],
        queues: vec![queue("default")],
        ..any()
    };
    gives(f, both, &[a, c, d]).await?;
    gives(f, key("Key 1"), &[a]).await?;
    gives(f, key("key 1"), &[]).await?;
    gives(
        f,
        TaskFilter {
            session: sample.running.session,
            ..any()
        },
        &[d],
    )
    .await
}

/// L11: filters on times include their start and exclude their end.
pub async fn ranges_are_exact(f: &mut Fixture) -> Verdict {
    let sample = Sample::new(f).await?;
    let Sample { a, b, c, d, .. } = &sample;
    gives(
        f,
        TaskFilter {
            created_from: sample.at(10),
            ..any()
        },
        &[c, d],
    )
    .await?;
    gives(
        f,
        TaskFilter {
            created_before: sample.at(10),
            ..any()
        },
        &[a, b],
    )
    .await?;
    gives(
        f,
        TaskFilter {
            due_from: sample.at(60),
            ..any()
        },
        &[c],
    )
    .await?;
    let span = TaskFilter {
        due_from: sample.at(10),
        due_before: sample.at(60),
        ..any()
    };
    gives(f, span, &[d]).await
}

/// L11, L12: texts and headers are compared byte for byte; `%` and `_` stand for themselves.
pub async fn texts_are_found_exactly(f: &mut Fixture) -> Verdict {
    let Sample { a, b, c, .. } = &Sample::new(f).await?;
    let header = |value: &str| TaskFilter {
        header: Some(("tenant".to_owned(), value.to_owned())),
        ..any()
    };
    gives(f, header("7"), &[a]).await?;
    gives(f, header("8"), &[]).await?;
    let text = |text: &str| TaskFilter {
        payload_contains: Some(text.to_owned()),
        ..any()
    };
    gives(f, text("100% sure_x"), &[b]).await?;
    gives(f, text("100%sure"), &[]).await?;
    gives(f, text("SURE"), &[]).await?;
    gives(f, text("sure"), &[b, c]).await
}

/// L11: children, keys no longer held and error texts are found.
pub async fn filters_find_children_and_errors(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, children) = f.joining(&new, 3).await?;
    let filter = TaskFilter {
        parent: Some(parent.id),
        ..TaskFilter::default()
    };
    equal(
        "L11",
        "the children of a parent",
        rows(f, filter, 2).await?,
        newest_first(&children),
    )?;
    let keyed = f.keyed(unique("gone"));
    let task = f.running(&keyed).await?;
    let failure = failure(&task, "Disk 50% full_", f.now());
    f.settled(&task, Event::Fail { failure }).await?;
    let filter = TaskFilter {
        key: Some("gone".to_owned()),
        ..TaskFilter::default()
    };
    equal(
        "L11",
        "the task that had a key",
        rows(f, filter, 9).await?,
        vec![keyed.id],
    )?;
    for (text, found) in [("50% full_", true), ("50%f", false), ("disk", false)] {
        let filter = TaskFilter {
            error_contains: Some(text.to_owned()),
            ..TaskFilter::default()
        };
        let wanted = if found { vec![keyed.id] } else { vec![] };
        equal(
            "L11",
            &format!("errors that contain {text:?}"),
            rows(f, filter, 9).await?,
            wanted,
        )?;
    }
    Ok(())
}
