//! A broker that keeps a log, and a scripted faulty way to it: messages are lost before it, their acks are lost behind it, or
//! they reach it late.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::clock::{Clock as _, ManualClock};
use retry_core::seams::{Random as _, SeededRandom};
use retry_sinks::{Answer, MessageSink, Outgoing};

use crate::exec::{Exec, lock, yield_once};
use crate::store::NETWORK;

/// What the broker has, in the order in which it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Broker(pub(crate) Arc<Mutex<Vec<Outgoing>>>);

/// A body that no broker takes.
pub(crate) const POISON: &str = "poison";

/// What a seed lets the way to the broker do.
#[derive(Clone)]
pub(crate) struct Line {
    broker: Broker,
    exec: Exec,
    clock: ManualClock,
    random: Arc<SeededRandom>,
    runs: bool,
    /// Of a thousand messages so many meet a fault.
    failing: Arc<AtomicU64>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    pub(crate) fn new(broker: Broker, exec: Exec, clock: ManualClock, seed: u64, runs: bool) -> Self {
        Self {
            broker,
            exec,
            clock,
            random: Arc::new(SeededRandom::new(seed)),
            runs,
            failing: Arc::default(),
        }
    }

    pub(crate) fn fail(&self, of_thousand: u64) {
        self.failing.store(of_thousand, Ordering::Relaxed);
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    fn take(&self, message: &Outgoing) {
        lock(&self.broker.0).push(message.clone());
    }

    async fn one(&self, message: &Outgoing) -> Answer {
        if self.draw(4) == 0 {
            let pause = Duration::from_millis(self.draw(300));
            self.clock.sleep_until(self.clock.monotonic() + pause).await;
        }
        yield_once().await;
        if message.body == POISON.as_bytes() {
            return Answer::refused("poison");
        }
        if self.draw(1_000) >= self.failing.load(Ordering::Relaxed) {
            self.take(message);
            yield_once().await;
            return Answer::Acked;
        }
        match self.draw(4) {
            0 => Answer::retry("it did not arrive"),
            1 => {
                self.take(message);
                Answer::retry("its acknowledgement was lost")
            }
            2 => {
                self.take(message);
                std::future::pending().await
            }
            _ => {
                let (line, message, pause) = (self.clone(), message.clone(), self.draw(8_000));
                self.exec.spawn(
                    NETWORK,
                    Box::pin(async move {
                        let until = line.clock.monotonic() + Duration::from_millis(pause);
                        line.clock.sleep_until(until).await;
                        line.take(&message);
                    }),
                );
                Answer::retry("it is still on its way")
            }
        }
    }
}

#[async_trait]
impl MessageSink for Line {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; messages.len()];
        if self.runs {
            // All of a key or none behind the first that is not taken.
            let mut stopped = Vec::new();
            for (message, answer) in messages.iter().zip(&mut answers) {
                if stopped.contains(&message.key) {
                    *answer = Some(Answer::retry("not tried"));
                    continue;
                }
                let given = self.one(message).await;
                if matches!(given, Answer::Retry(_)) {
                    stopped.push(message.key.clone());
                }
                *answer = Some(given);
            }
        } else {
            // In any order.
            while answers.iter().any(Option::is_none) {
                let open: Vec<usize> = (0..answers.len()).filter(|at| answers[*at].is_none()).collect();
                let at = open[usize::try_from(self.draw(open.len() as u64)).unwrap()];
                answers[at] = Some(self.one(&messages[at]).await);
            }
        }
        let answers: Vec<Answer> = answers.into_iter().flatten().collect();
        // Now and then a sink forgets to answer for the last ones.
        let told = if self.draw(40) == 0 {
            answers.len() / 2
        } else {
            answers.len()
        };
        answers.into_iter().take(told).collect()
    }

    fn max_wave(&self) -> usize {
        5
    }

    fn takes_runs(&self) -> bool {
        self.runs
    }
}
