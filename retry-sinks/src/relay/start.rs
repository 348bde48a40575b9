//! Starts a relay on each part of its store: at once where the part answers, and as soon as it does elsewhere.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use retry_core::limits::PART_CALL_LIMIT;
use retry_core::store::{StoreError, StoreErrorKind};

use super::builder::Relay;
use super::handle::{RelayHandle, Running};
use super::owners::{StartError, ensure, look};

/// How often the owner tasks are looked for: an operator may have cancelled one.
const KEEP: Duration = Duration::from_mins(1);

/// How often a part that has not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Relay {
    /// Makes the owner tasks, if they are not there, and starts. A relay is started once.
    ///
    /// Of a store with parts, those that do not answer, within [`PART_CALL_LIMIT`] each, are left out for now: the relay asks them
    /// again every five seconds and serves them as soon as they answer. Until then [`RelayHandle::missing_parts`] and the
    /// log name them.
    ///
    /// # Errors
    /// The store failed, all of its parts if it has some, or one of them refuses what it is asked for good; or it has another
    /// number of partitions. Nothing runs then.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless another [`Spawn`](retry_core::seams::Spawn) was given.
    pub async fn start(self) -> Result<RelayHandle, StartError> {
        let all: Vec<usize> = (0..self.parts.len()).collect();
        // Nothing is written before all have been asked how many partitions there are.
        let looked = self.answering(&all, |index| self.look(index)).await?;
        let ready = self.answering(&looked, |index| self.ensure(index)).await?;
        let running = Arc::new(Running::missing(self.parts.len()));
        for index in ready {
            running.start(index, &self.parts[index].1);
        }
        let shared = Arc::clone(&self.shared);
        let spawn = Arc::clone(&self.spawn);
        spawn.spawn(Box::pin(self.keep(Arc::clone(&running))));
        Ok(RelayHandle { shared, running })
    }

    async fn look(&self, index: usize) -> Result<(), StartError> {
        look(&self.parts[index].0, &self.shared.queue).await
    }

    async fn ensure(&self, index: usize) -> Result<(), StartError> {
        ensure(
            self.store.as_ref(),
            index,
            &self.parts[index].0,
            &self.shared.queue,
        )
        .await
    }

    /// Which of these parts do what is asked; fails when none does, or one would never do it.
    async fn answering<F>(&self, parts: &[usize], ask: impl Fn(usize) -> F) -> Result<Vec<usize>, StartError>
    where
        F: Future<Output = Result<(), StartError>>,
    {
        let asked = parts.iter().map(|&index| {
            let answer = self.in_time(ask(index));
            async move { (index, answer.await) }
        });
        let (mut ready, mut failure) = (Vec::new(), None);
        for (index, answer) in join_all(asked).await {
            match answer {
                Ok(()) => ready.push(index),
                Err(StartError::Store(error)) if error.is_retryable() => {
                    if self.parts.len() > 1 {
                        tracing::warn!(part = index, %error, "a part of the store does not answer; the relay starts without it");
                    }
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match failure {
            Some(error) if ready.is_empty() => Err(error.into()),
            _ => Ok(ready),
        }
    }

    /// Gives a part of several no more than its time, so that it holds no other one up.
    async fn in_time(&self, ask: impl Future<Output = Result<(), StartError>>) -> Result<(), StartError> {
        if self.parts.len() == 1 {
            return ask.await;
        }
        let over = self.clock.sleep_until(self.clock.monotonic() + PART_CALL_LIMIT);
        match select(pin!(ask), over).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => {
                let message = format!("it gave no answer within {PART_CALL_LIMIT:?}");
                Err(StoreError::unknown(StoreErrorKind::Unavailable, message).into())
            }
        }
    }

    /// Lets owner tasks go on that somebody has ended, and starts on parts that answer by now.
    async fn keep(self, running: Arc<Running>) {
        let mut keep_at = self.clock.monotonic() + KEEP;
        loop {
            let again = self.clock.monotonic() + ASK_AGAIN;
            let until = match running.missing_parts().is_empty() {
                true => keep_at,
                false => keep_at.min(again),
            };
            let pause = self.clock.sleep_until(until);
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return,
                () = pause => {}
            }
            let keeps = self.clock.monotonic() >= keep_at;
            if keeps {
                keep_at = self.clock.monotonic() + KEEP;
            }
            let missing = running.missing_parts();
            let looks = (0..self.parts.len()).map(|index| {
                let (is_missing, relay, running) = (missing.contains(&index), &self, &running);
                async move {
                    match is_missing {
                        true => relay.ask_again(index, running).await,
                        false if keeps => relay.keep_one(index).await,
                        false => {}
                    }
                }
            });
            join_all(looks).await;
        }
    }

    async fn keep_one(&self, index: usize) {
        if let Err(error) = self.in_time(self.ensure(index)).await {
            tracing::warn!(part = index, %error, "the owner tasks of a relay were not looked for");
        }
    }

    async fn ask_again(&self, index: usize, running: &Running) {
        let asked = async {
            self.look(index).await?;
            self.ensure(index).await
        };
        match self.in_time(asked).await {
            Ok(()) => {
                tracing::info!(part = index, "the part of the store answers; the relay serves it");
                running.start(index, &self.parts[index].1);
            }
            // It will not do so later either: somebody has to see it.
            Err(error @ StartError::Partitions { .. }) => {
                tracing::error!(part = index, %error, "a part of the store is not served by the relay");
            }
            Err(error) => {
                tracing::warn!(part = index, %error, "a part of the store is not served by the relay yet");
            }
        }
    }
}
