//! The owner task: made once and kept for ever, also when it has ended, because its checkpoint names the rows that were
//! handed over last.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;

use super::Shared;
use crate::client::Error;
use crate::draft::{Draft, TaskOptions};
use crate::meters;
use crate::name::{InvalidName, Kind, OutboxName, Queue};
use crate::payload::Payload;
use crate::policy::{Backoff, RetryPolicy};
use crate::store::{Inserted, Result, StoreError};
use crate::task::{KeyScope, OnDuplicate, Retention};

/// How often the owner task is looked for, because an operator may have ended it, and what waits is measured.
const LOOK: Duration = Duration::from_secs(10);
/// How soon after a look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The pause after a turn in which a database failed; from half of it on, by jitter.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// An owner task that has ended is kept until somebody deletes it.
const KEPT: Retention = Retention {
    succeeded: None,
    failed: None,
    cancelled: None,
};

/// A name that the owner task of an outbox has: `outbox/` and the outbox's.
fn named<N: TryFrom<String, Error = InvalidName>>(outbox: &OutboxName) -> N {
    N::try_from(format!("outbox/{outbox}"))
        .unwrap_or_else(|error| unreachable!("the longest name of an outbox leaves room for it: {error}"))
}

pub(super) fn kind(outbox: &OutboxName) -> Kind {
    named(outbox)
}

pub(super) fn queue(outbox: &OutboxName) -> Queue {
    named(outbox)
}

/// Failures are repeated without end. The pause does not grow: attempts are never counted anew, so one failure a year
/// later would wait for the longest.
pub(super) fn policy() -> RetryPolicy {
    RetryPolicy::linear(AFTER_FAILURE)
        .to_builder()
        .backoff(Backoff::fixed(AFTER_FAILURE))
        .build()
        .unwrap_or_else(|_| RetryPolicy::linear(AFTER_FAILURE))
}

fn options(outbox: &OutboxName) -> TaskOptions {
    TaskOptions::new()
        .queue(queue(outbox).as_str())
        .retry(policy())
        .rescue_delay(Duration::ZERO)
        .crash_budget(None)
        .retention(KEPT)
        .unique_with("owner", KeyScope::UntilPurged, OnDuplicate::Keep)
}

/// Makes the owner task, or lets it go on if somebody has ended it.
async fn ensure(shared: &Shared) -> Result<()> {
    let outbox = shared.table.name();
    let payload = Payload::encode(outbox).map_err(|error| StoreError::invalid(error.to_string()))?;
    let draft = Draft::raw(kind(outbox).as_str(), payload).options(options(outbox));
    let enqueued = shared.client.enqueue(draft).await.map_err(stores)?;
    let Inserted::Duplicate { holder, state } = enqueued.inserted else {
        return Ok(());
    };
    if !state.is_final() {
        return Ok(());
    }
    // With its checkpoint: a fresh start would hand over anew what was handed over last.
    match shared.client.rerun(holder).await {
        Err(Error::Store(error)) => Err(error),
        // Others may have been faster.
        _ => Ok(()),
    }
}

fn stores(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => StoreError::invalid(other.to_string()),
    }
}

/// Shows what waits. It asks only the outbox: the lag matters most while the store does not answer.
async fn measure(shared: &Shared) -> Result<()> {
    if meters::ON {
        let lag = shared.lag().await?;
        meters::outbox_lag(shared.table.name(), lag.rows.get(), lag.age);
    }
    Ok(())
}

async fn look(shared: &Shared) -> Result<()> {
    let (measured, ensured) = join(measure(shared), shared.within(ensure(shared))).await;
    ensured.and(measured)
}

/// Looks for the owner task as long as the relay runs.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        let looked = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            looked = look(&shared) => looked,
        };
        let pause = match looked {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::warn!(outbox = %shared.table.name(), %error, "the outbox's relay was not looked after");
                LOOK_AGAIN
            }
        };
        let again = shared.clock.sleep_until(shared.clock.monotonic() + pause);
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = again => {}
        }
    }
}
