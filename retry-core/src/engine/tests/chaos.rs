//! Everything at once, from seeds: workers that come and go, a store that fails in every way, handlers of every kind.
//! Afterwards every task has ended as it should.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, FaultyStore, Op};
use super::harness::{SECOND, WithKind as _, World, job, script};
use crate::clock::Clock as _;
use crate::draft::Draft;
use crate::engine::{KindOptions, WorkerHandle};
use crate::executor::{Executor, Outcome};
use crate::id::TaskId;
use crate::policy::{Backoff, RetryPolicy};
use crate::seams::{Random as _, SeededRandom};
use crate::store::{StoreErrorKind, TaskFilter};
use crate::task::State;

const OPS: [Op; 7] = [
    Op::Exchange,
    Op::Open,
    Op::Renew,
    Op::Close,
    Op::Expired,
    Op::List,
    Op::Time,
];

const SEEDS: u64 = 20;

/// The version under which each task ran last. It rises with every run, whoever runs it.
#[derive(Default)]
struct Runs {
    last: HashMap<TaskId, u64>,
    unfenced: usize,
}

struct Chaos {
    world: World,
    random: Arc<SeededRandom>,
    runs: Arc<Mutex<Runs>>,
    workers: Vec<(FaultyStore, WorkerHandle)>,
    gates: Vec<CancellationToken>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new(),
            random: Arc::new(SeededRandom::new(seed)),
            runs: Arc::default(),
            workers: Vec::new(),
            gates: Vec::new(),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    /// Takes a while and mostly fails in some way; a parent splits first.
    fn executor(&self) -> Arc<dyn Executor> {
        let (random, runs) = (Arc::clone(&self.random), Arc::clone(&self.runs));
        let clock = self.world.clock.clone();
        script(move |ctx| {
            let (random, runs, clock) = (Arc::clone(&random), Arc::clone(&runs), clock.clone());
            async move {
                let draw = |below: u64| random.next_u64() % below;
                {
                    let mut runs = runs.lock().unwrap();
                    let last = runs.last.insert(ctx.id(), ctx.version());
                    runs.unfenced += usize::from(last >= Some(ctx.version()));
                }
                let nap = Duration::from_millis(draw(3_000));
                clock.sleep_until(clock.monotonic() + nap).await;
                if draw(3) == 0 {
                    ctx.save_checkpoint(&1).await?;
                }
                match draw(10) {
                    0 => Err("fails".into()),
                    1 => panic!("panics"),
                    2 => Ok(Outcome::Snooze(Duration::from_millis(draw(500)))),
                    3 => Ok(Outcome::continue_after(&2, Duration::ZERO)?),
                    4 => std::future::pending().await,
                    _ if ctx.kind().as_str() == "parent" && ctx.step() == 0 => {
                        Ok(Outcome::split((0..draw(4)).map(|_| draft("child"))))
                    }
                    _ => Ok(Outcome::Done),
                }
            }
        })
    }

    fn start(&mut self) {
        let store = self.world.store();
        let options = || KindOptions::new().timeout(SECOND * 5);
        let worker = self.world.worker_on(&store).concurrency(3).prefetch(2);
        let worker = worker.shutdown_grace(SECOND).cancel_grace(SECOND);
        let worker = worker.kind_with("parent", self.executor(), options()).kind_with(
            "child",
            self.executor(),
            options().concurrency(2),
        );
        let handle = worker.build().unwrap().start();
        self.workers.push((store, handle));
    }

    async fn step(&mut self) {
        match self.draw(12) {
            0 if self.workers.len() < 4 => self.start(),
            1 if !self.workers.is_empty() => {
                let (store, handle) = self.workers.swap_remove(0);
                store.heal();
                self.world.shut_down(handle).await;
            }
            2 => drop(self.workers.pop()),
            3 if !self.workers.is_empty() => {
                let (store, _) = &self.workers[0];
                let gate = CancellationToken::new();
                let fault = match self.draw(3) {
                    0 => Fault::Lost,
                    1 => Fault::Answerless,
                    _ => Fault::HoldAnswer(gate.clone()),
                };
                self.gates.push(gate);
                store.all(Some(fault));
            }
            4 | 5 => {
                self.workers.iter().for_each(|(store, _)| store.all(None));
                self.gates.drain(..).for_each(|gate| gate.cancel());
            }
            _ if !self.workers.is_empty() => {
                let index = usize::try_from(self.draw(self.workers.len() as u64)).unwrap();
                let op = OPS[usize::try_from(self.draw(7)).unwrap()];
                let gate = CancellationToken::new();
                let fault = match self.draw(6) {
                    0 => Fault::Lost,
                    1 => Fault::Answerless,
                    2 => Fault::Rejected(StoreErrorKind::Busy),
                    3 => Fault::HoldAnswer(gate.clone()),
                    4 => Fault::HoldCall(gate.clone()),
                    _ => Fault::Panic,
                };
                self.gates.push(gate);
                let times = usize::try_from(self.draw(3)).unwrap();
                self.workers[index].0.plan(op, &fault, times);
            }
            _ => self.start(),
        }
        self.world.pass(Duration::from_millis(self.draw(4_000))).await;
    }

    /// All faults are over; one worker that is well has to bring everything to its end.
    async fn heal(&mut self) {
        self.gates.drain(..).for_each(|gate| gate.cancel());
        self.workers.iter().for_each(|(store, _)| store.heal());
        self.start();
        let unfinished = async || {
            let all = self.world.list(TaskFilter::default()).await;
            all.iter().all(|task| task.state.is_final())
        };
        self.world.until("everything ends", unfinished).await;
        for task in self.world.list(TaskFilter::default()).await {
            assert_eq!(task.state, State::Succeeded, "{task:?}");
            assert_eq!((task.children.open, task.children.failed), (0, 0));
        }
        // The leases of those that were dropped end meanwhile.
        self.world.pass(SECOND * 30).await;
        for (_, handle) in self.workers.drain(..) {
            self.world.shut_down(handle).await;
        }
        assert_eq!(
            self.world
                .client
                .sessions()
                .await
                .unwrap()
                .iter()
                .filter(|session| !session.lost)
                .count(),
            0
        );
    }
}

fn draft(kind: &str) -> Draft {
    let policy = RetryPolicy::builder()
        .backoff(Backoff::fixed(Duration::from_millis(300)))
        .endless();
    job(kind)
        .retry(policy.build().unwrap())
        .crash_budget(None)
        .rescue_delay(SECOND)
}

#[tokio::test]
async fn every_task_ends_well_after_everything_went_wrong() {
    for seed in 0..SEEDS {
        let mut chaos = Chaos::new(seed);
        for _ in 0..10 {
            chaos.world.enqueue(draft("parent")).await;
            chaos.world.enqueue(draft("child")).await;
        }
        for _ in 0..40 {
            chaos.step().await;
        }
        chaos.heal().await;
        let runs = chaos.runs.lock().unwrap();
        assert_eq!((runs.unfenced, runs.last.len() >= 20), (0, true), "seed {seed}");
    }
}
