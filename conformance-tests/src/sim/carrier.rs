//! What becomes of a call on its way: it takes time, fails before or after the write, gets lost, comes late.

use std::time::Duration;

use retry_core::clock::Clock as _;
use retry_core::store::{Result, StoreError, StoreErrorKind};
use tokio::sync::oneshot;

use super::cover::Sometimes;
use super::link::Link;
use super::shared::Shared;
use super::weather::Fate;

impl Link {
    async fn wait(&self, millis: u64) {
        if millis > 0 {
            let clock = &self.shared.clock;
            clock
                .sleep_until(clock.monotonic() + Duration::from_millis(millis))
                .await;
        }
    }

    pub(super) async fn carry<T, F>(&self, fate: Fate, apply: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T> + Send + 'static,
    {
        let unknown = || StoreError::unknown(StoreErrorKind::Unavailable, "the simulated reply was lost");
        match fate {
            Fate::Instant => apply(&self.shared),
            Fate::Clean { there, back } => {
                self.shared.hit(Sometimes::Delayed);
                self.remote(there, back, apply)
                    .await
                    .unwrap_or_else(|_| Err(unknown()))
            }
            Fate::Rejected { after } => {
                self.shared.hit(Sometimes::Rejected);
                self.wait(after).await;
                Err(StoreError::rejected(
                    StoreErrorKind::Busy,
                    "the simulated store is busy",
                ))
            }
            Fate::Outage { after } => {
                self.shared.hit(Sometimes::Outage);
                self.wait(after).await;
                Err(StoreError::rejected(
                    StoreErrorKind::Unavailable,
                    "the simulated store is away",
                ))
            }
            Fate::Cut { after } => {
                self.shared.hit(Sometimes::ConnectionCut);
                self.wait(after).await;
                Err(StoreError::rejected(
                    StoreErrorKind::Unavailable,
                    "the simulated connection has ended",
                ))
            }
            Fate::Unwritten { after } => {
                self.shared.hit(Sometimes::UnknownBefore);
                self.wait(after).await;
                Err(unknown())
            }
            Fate::Written { there, back } => {
                self.shared.hit(Sometimes::UnknownAfter);
                drop(self.remote(there, back, apply).await);
                Err(unknown())
            }
            Fate::Hung { write, time_out } => {
                self.shared.hit(Sometimes::Hung);
                if let Some(there) = write {
                    drop(self.remote(there, 0, apply));
                }
                self.wait(time_out).await;
                Err(unknown())
            }
            Fate::Late { after, later } => {
                self.shared.hit(Sometimes::Late);
                drop(self.remote(after + later, 0, apply));
                self.wait(after).await;
                Err(unknown())
            }
        }
    }

    /// Lets the network make the call, whether or not its sender lives on.
    fn remote<T, F>(&self, there: u64, back: u64, apply: F) -> oneshot::Receiver<Result<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let link = self.clone();
        let carried = async move {
            link.wait(there).await;
            let result = apply(&link.shared);
            link.wait(back).await;
            // Nobody may be left to hear it.
            let _ = reply.send(result);
        };
        self.shared.exec.spawn(self.network, Box::pin(carried));
        answer
    }
}
