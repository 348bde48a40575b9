//! An enqueuing process: tasks of all kinds, one by one, many at once and inside transactions; and completions.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use retry_core::client::{Client, Enqueued, Error};
use retry_core::draft::{Draft, TaskPayload};
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{CountScope, TaskStore};
use retry_core::task::State;

use crate::args::Child;
use crate::clock::Watch;
use crate::event::{Completed, Event};
use crate::kinds::{Flaky, Leader, Parent, Quick, Saver, Single, Slow, Waiter, ballast};
use crate::log::Log;
use crate::place::{Orders, Place};
use crate::tokens;
use crate::witness::Witness;

/// How long an enqueuer rests for each task it enqueued: what the workers can bear.
const REST: Duration = Duration::from_millis(18);
/// How many unique keys there are.
const KEYS: u64 = 3;

/// So many tasks may wait before a process of several clients holds them back: some seconds' work.
const BACKLOG: u64 = 2_000;
/// How often it looks how many wait.
const LOOK: Duration = Duration::from_millis(250);

/// What the standard input asked for: everything, completions only, or the end.
const ALL: u8 = 0;
const QUIET: u8 = 1;
const END: u8 = 2;

/// One client.
struct Enqueuer {
    client: Client<Witness>,
    /// For transactions of its own, where the store has them.
    orders: Option<Box<dyn Orders>>,
    log: Log,
    random: SeededRandom,
    watch: Watch,
    /// The number that was last used by the process.
    numbers: Arc<AtomicU64>,
}

/// What the standard input wants.
#[derive(Debug, Clone)]
pub(crate) struct Wish(Arc<AtomicU8>);

impl Wish {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        let wish = Self(Arc::new(AtomicU8::new(ALL)));
        let told = Arc::clone(&wish.0);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if line == "quiet" {
                    told.store(QUIET, Ordering::Release);
                }
            }
            told.store(END, Ordering::Release);
        });
        wish
    }

    pub(crate) fn is_all(&self) -> bool {
        self.0.load(Ordering::Acquire) == ALL
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.0.load(Ordering::Acquire) == QUIET
    }

    pub(crate) fn is_end(&self) -> bool {
        self.0.load(Ordering::Acquire) == END
    }
}

pub(crate) async fn run(child: &Child) -> Result<()> {
    let place = child.place()?;
    let log = Log::create(&place.log(&child.name("enqueuer")))?;
    let store = Arc::clone(place.connect().await?.store());
    enqueue(child, &place, store, &log, &Wish::listen()).await
}

/// Enqueues and completes until it is told to end.
pub(crate) async fn enqueue(
    child: &Child,
    place: &Place,
    store: Arc<dyn TaskStore>,
    log: &Log,
    wish: &Wish,
) -> Result<()> {
    let numbers = (child.slot + 1) * 100_000_000_000_000 + child.generation * 100_000_000;
    let numbers = Arc::new(AtomicU64::new(numbers));
    // Until it is known how many wait.
    let held = AtomicBool::new(child.clients > 1);
    let clients = (0..child.clients).map(|index| {
        let (store, numbers, held) = (Arc::clone(&store), Arc::clone(&numbers), &held);
        async move {
            let mut enqueuer = Enqueuer::new(child, place, store, log, index, numbers).await?;
            enqueuer.work(wish, held).await;
            anyhow::Ok(())
        }
    });
    let log = log.clone();
    let client = Client::new(Witness {
        store: Arc::clone(&store),
        log: log.clone(),
    });
    let watch = Watch::start();
    let completions = async {
        while !wish.is_end() {
            complete(&client, &log, place, &numbers).await;
            watch.pause(Duration::from_millis(30)).await;
        }
    };
    let holding = async {
        while child.clients > 1 && wish.is_all() {
            // A store that does not answer changes nothing.
            if let Ok(counts) = client.count(&CountScope::default()).await {
                held.store(counts.of(State::Pending) > BACKLOG, Ordering::Release);
            }
            watch.pause(LOOK).await;
        }
    };
    let others = async {
        tokio::join!(completions, holding);
        Ok(())
    };
    tokio::try_join!(try_join_all(clients), others).map(drop)
}

/// Completes what waits. Each call has data of its own, so that the task tells whose it got.
async fn complete(client: &Client<Witness>, log: &Log, place: &Place, marks: &AtomicU64) {
    let folder = place.tokens();
    for (n, token) in tokens::all(&folder, 20) {
        let mark = marks.fetch_add(1, Ordering::Relaxed) + 1;
        let how = match client.complete(token, &(n, mark)).await {
            Ok(()) => Completed::Done,
            Err(Error::AlreadyDone) => Completed::Already,
            Err(error) => Completed::Error(error.to_string()),
        };
        let settled = !matches!(how, Completed::Error(_));
        let id = token.task.to_string();
        log.write(vec![Event::Completed { id, mark, how }]).await;
        if settled {
            tokens::remove(&folder, token);
        }
    }
}

struct Request {
    n: u64,
    kind: &'static str,
    draft: Draft,
    key: Option<String>,
}

impl Enqueuer {
    /// Client `index` of a process.
    async fn new(
        child: &Child,
        place: &Place,
        store: Arc<dyn TaskStore>,
        log: &Log,
        index: u64,
        numbers: Arc<AtomicU64>,
    ) -> Result<Self> {
        // As the clients of a service: each has come from somewhere else to a server, and those of a file share the process.
        let store = match index > 0 && place.subject.is_remote() {
            true => Arc::clone(place.connect().await?.store()),
            false => store,
        };
        let orders = match index {
            0 => place.subject.orders().await?,
            _ => None,
        };
        let seed = child.seed ^ (child.slot << 32) ^ (child.generation << 8) ^ (index << 48);
        Ok(Self {
            client: Client::new(Witness {
                store,
                log: log.clone(),
            }),
            orders,
            log: log.clone(),
            random: SeededRandom::new(seed),
            watch: Watch::start(),
            numbers,
        })
    }

    /// Enqueues until it is told to be quiet, unless it is held back.
    async fn work(&mut self, wish: &Wish, held: &AtomicBool) {
        while wish.is_all() {
            if held.load(Ordering::Acquire) {
                self.watch.pause(LOOK / 5).await;
                continue;
            }
            let tasks = self.round().await;
            let rest = REST * u32::try_from(tasks).unwrap_or(1);
            self.watch.pause(rest).await;
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    /// Enqueues a few tasks in one of the ways there are; answers how many.
    async fn round(&mut self) -> usize {
        match self.below(10) {
            0..=3 => self.singly(1).await,
            4..=5 => self.singly(8).await,
            6..=7 => self.order().await,
            _ => self.at_once(12).await,
        }
    }

    /// Concurrent single enqueues, which share inserts.
    async fn singly(&self, tasks: usize) -> usize {
        let requests = self.requests(tasks).await;
        let (client, log) = (&self.client, &self.log);
        let sent = requests.into_iter().map(|request| async move {
            let answer = client.enqueue(request.draft).await;
            log.write(vec![answered(request.n, &answer)]).await;
        });
        join_all(sent).await.len()
    }

    /// One call with many tasks.
    async fn at_once(&self, tasks: usize) -> usize {
        let requests = self.requests(tasks).await;
        let numbers: Vec<u64> = requests.iter().map(|request| request.n).collect();
        let drafts = requests.into_iter().map(|request| request.draft);
        let events = match self.client.enqueue_many(drafts).await {
            Ok(answers) => {
                let each = numbers.into_iter().zip(answers);
                each.map(|(n, answer)| answered(n, &Ok(answer))).collect()
            }
            Err(error) => numbers.into_iter().map(|n| refused(n, &error)).collect(),
        };
        self.log.write(events).await;
        tasks
    }

    /// One task in a transaction of the enqueuer's own.
    async fn order(&mut self) -> usize {
        if self.orders.is_none() {
            return self.singly(1).await;
        }
        let n = self.number();
        let (kind, key) = ("order".to_owned(), None);
        self.log.write(vec![Event::Intent { n, kind, key }]).await;
        if let Some(orders) = &mut self.orders {
            let event = match orders.place(n).await {
                Ok(enqueued) => answered(n, &Ok(enqueued)),
                Err(error) => refused(n, &error),
            };
            self.log.write(vec![event]).await;
        }
        1
    }

    async fn requests(&self, tasks: usize) -> Vec<Request> {
        let requests: Vec<Request> = (0..tasks).map(|_| self.request()).collect();
        let intent = |request: &Request| Event::Intent {
            n: request.n,
            kind: request.kind.to_owned(),
            key: request.key.clone(),
        };
        self.log.write(requests.iter().map(intent).collect()).await;
        requests
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn request(&self) -> Request {
        let n = self.number();
        let some = |bound| self.below(bound);
        let few = |bound| u32::try_from(self.below(bound)).unwrap_or(0);
        let mut key = None;
        let (kind, draft) = match some(20) {
            0..=6 => of(&Quick { n }),
            7 => of(&Slow {
                n,
                millis: 200 + some(1_000),
                ballast: ballast(n),
            }),
            8..=9 => of(&Slow {
                n,
                millis: 20 + some(60),
                ballast: ballast(n),
            }),
            10..=11 => of(&Flaky { n, fails: 1 + few(4) }),
            12..=13 => of(&Parent {
                n,
                children: 1 + few(6),
            }),
            14..=15 => of(&Saver { n, steps: 4 + few(6) }),
            16 => of(&Waiter { n }),
            17 => of(&Leader { n }),
            _ => {
                let chosen = format!("key-{}", some(KEYS));
                let options = Single::options().unique(&chosen);
                key = Some(chosen);
                (Single::KIND, Draft::of(&Single { n }).options(options))
            }
        };
        Request { n, kind, draft, key }
    }
}

fn of<P: TaskPayload>(payload: &P) -> (&'static str, Draft) {
    (P::KIND, Draft::of(payload))
}

fn answered(n: u64, answer: &Result<Enqueued, Error>) -> Event {
    match answer {
        Ok(enqueued) => Event::Answer {
            n,
            id: enqueued.id.to_string(),
            new: enqueued.is_new(),
        },
        Err(error) => refused(n, error),
    }
}

fn refused(n: u64, error: &impl std::fmt::Display) -> Event {
    Event::Refused {
        n,
        error: error.to_string(),
    }
}
