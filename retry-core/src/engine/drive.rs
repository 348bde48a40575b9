//! Turns steps into a running loop. The only code that waits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::part::Part;
use crate::clock::{Clock as _, Monotonic};

/// The pause after a step that panicked: the loop goes on, but not in a hurry.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// One round of a loop.
pub(super) trait Step: Send + 'static {
    /// The part it works for.
    fn part(&self) -> &Arc<Part>;

    /// Its name in logs.
    fn name(&self) -> &'static str;

    /// Does one round; answers when to do the next.
    fn step(&mut self) -> impl Future<Output = Monotonic> + Send;

    /// Ends when something happened that makes an earlier round worth while. Cancel-safe.
    fn woken(&mut self) -> impl Future<Output = ()> + Send;
}

/// How loops are stopped.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    /// After the step under way.
    pub(super) soon: CancellationToken,
    /// At once: a step under way waits for a store that does not answer.
    pub(super) now: CancellationToken,
}

/// Runs a loop until it is stopped. A panic in a step is logged and the loop goes on.
pub(super) async fn drive(mut steps: impl Step, stop: Stop) {
    let clock = Arc::clone(&steps.part().clock);
    while !stop.soon.is_cancelled() {
        let stepped = std::panic::AssertUnwindSafe(steps.step()).catch_unwind();
        let stepped = tokio::select! {
            biased;
            () = stop.now.cancelled() => return,
            stepped = stepped => stepped,
        };
        let next = stepped.unwrap_or_else(|_| {
            tracing::error!(r#loop = steps.name(), "a step panicked; the loop goes on");
            clock.monotonic() + PANIC_PAUSE
        });
        if next <= clock.monotonic() {
            // Others get their turn, also on a runtime of one thread.
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            biased;
            () = stop.soon.cancelled() => return,
            () = steps.woken() => {}
            () = clock.sleep_until(next) => {}
        }
    }
}
