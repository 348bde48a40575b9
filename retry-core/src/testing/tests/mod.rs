//! The kit, tested with handlers that are right and wrong in known ways.

mod batches;
mod drains;
mod faults;
mod idempotence;
mod outside;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::draft::{TaskOptions, TaskPayload};
use crate::policy::{Backoff, Jitter, RetryPolicy};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Job {
    n: u32,
}

impl TaskPayload for Job {
    const KIND: &'static str = "job";

    fn options() -> TaskOptions {
        TaskOptions::new().retry(each_minute())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Note {
    text: String,
}

impl TaskPayload for Note {
    const KIND: &'static str = "note";
}

fn each_minute() -> RetryPolicy {
    let builder = RetryPolicy::builder().backoff(Backoff::fixed(Duration::from_mins(1)));
    builder.jitter(Jitter::None).max_attempts(10).build().unwrap()
}

/// What handlers did to the world, in order.
#[derive(Debug, Clone, Default)]
struct World(Arc<Mutex<Vec<String>>>);

impl World {
    fn did(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Sleeps by the kit's clock.
async fn nap(clock: &Arc<dyn Clock>, span: Duration) {
    clock.sleep_until(clock.monotonic() + span).await;
}

/// One await point.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[derive(Debug, Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
