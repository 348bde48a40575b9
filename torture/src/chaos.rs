//! The faults: which, whom and when, as the seed decides.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use retry_core::seams::{Random as _, SeededRandom};

use crate::args::Run;
use crate::crew::{Crew, Role};
use crate::place::Server;
use crate::report::line;
use crate::worker::LEASE;

/// How often a line tells how far it is.
const TELL: Duration = Duration::from_secs(5);
/// How long a storm lasts, at most.
const STORM: Duration = Duration::from_secs(10);
/// How long a siege lasts: a survivor trusts the store after three seconds only, then others' leases have ended.
const SIEGE: Duration = Duration::from_secs(7);

/// A server that takes longer is told of.
const SLOW: Duration = Duration::from_secs(10);

/// How many milliseconds more there may be between two faults for each further client of a process.
const CONNECTING: u64 = 8;

/// Storms, in which everybody is killed again and again, and sieges, in which workers are stopped past their lease and one
/// lives to see it.
#[derive(Debug)]
struct Harm<'a> {
    random: &'a SeededRandom,
    end: Duration,
    most: u64,
    tell: Duration,
    /// Why the server did not close the connections when it was last asked to.
    unheard: Option<anyhow::Error>,
}

/// Does harm to the crew until its time is over or it has killed enough.
pub(crate) async fn harm(crew: &mut Crew, run: &Run, random: &SeededRandom) -> Result<()> {
    let mut harm = Harm::new(crew, run, random);
    let storm = STORM.min(run.faults().saturating_sub(SIEGE));
    while harm.goes_on(crew) {
        harm.storm(crew, storm).await?;
        harm.siege(crew).await?;
    }
    harm.end(crew);
    Ok(())
}

impl<'a> Harm<'a> {
    fn new(crew: &Crew, run: &Run, random: &'a SeededRandom) -> Self {
        let begin = crew.watch.elapsed();
        Self {
            random,
            end: begin + run.faults(),
            most: run.kills.unwrap_or(u64::MAX),
            tell: begin + TELL,
            unheard: None,
        }
    }

    /// A fault that never came proves nothing.
    fn end(self, crew: &mut Crew) {
        if let Some(why) = self.unheard.filter(|_| crew.faults.disconnects == 0) {
            crew.problems
                .push(format!("the server never closed the connections itself: {why:#}"));
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.next_u64() % bound.max(1)
    }

    fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    fn goes_on(&self, crew: &Crew) -> bool {
        crew.watch.elapsed() < self.end && crew.faults.kills() < self.most
    }

    /// One of a role; a stopped one is mostly left to wake up late.
    fn any(&self, role: Role, crew: &Crew) -> Option<usize> {
        let also_stopped = self.below(8) == 0;
        let slots = crew.slots.iter().enumerate();
        let of_role = slots.filter(|(_, slot)| slot.role == role || slot.role == Role::Alone);
        let fit = of_role.filter(|(_, slot)| also_stopped || !slot.is_stopped());
        let fit: Vec<usize> = fit.map(|(index, _)| index).collect();
        let chosen = usize::try_from(self.below(fit.len() as u64)).unwrap_or(0);
        fit.get(chosen).copied()
    }

    fn tell(&mut self, crew: &Crew) {
        let now = crew.watch.elapsed();
        if now >= self.tell {
            self.tell += TELL;
            let faults = crew.faults;
            line(&format!(
                "{:>4} s: {} kills ({} workers, {} enqueuers), {} stops",
                now.as_secs(),
                faults.kills(),
                faults.workers_killed,
                faults.enqueuers_killed,
                faults.stops
            ));
        }
    }

    async fn storm(&mut self, crew: &mut Crew, span: Duration) -> Result<()> {
        let end = crew.watch.elapsed() + span;
        while self.goes_on(crew) && crew.watch.elapsed() < end {
            match self.below(100) {
                0..=55 => kill(crew, self.any(Role::Worker, crew), self.millis(0, 150)).await?,
                56..=79 => kill(crew, self.any(Role::Enqueuer, crew), self.millis(0, 150)).await?,
                // The first after a start: half-way through opening the file.
                80..=86 => {
                    let worker = self.any(Role::Worker, crew);
                    kill(crew, worker, Duration::ZERO).await?;
                    crew.live(self.millis(0, 40)).await?;
                    kill(crew, worker, Duration::ZERO).await?;
                }
                // Within the lease.
                87..=90 => stop(crew, self.any(Role::Worker, crew), self.millis(20, 900)).await?,
                91..=92 => stop(crew, self.any(Role::Enqueuer, crew), self.millis(20, 4_000)).await?,
                93 => cut_links(crew),
                94 => self.disconnect(crew).await,
                // Everybody at once.
                95 => {
                    for index in 0..crew.slots.len() {
                        crew.kill(index, Some(self.millis(0, 50))).await?;
                    }
                }
                96..=97 => kill_server(crew, self.millis(0, 500)).await?,
                // A rest, in which work gets done.
                _ => crew.live(self.millis(300, 1_500)).await?,
            }
            // One that is alone has no others that get on with the work; one with many clients has to connect each first.
            let rest = if crew.place.subject.is_alone() { 900 } else { 150 };
            let rest = rest + CONNECTING * (crew.clients - 1);
            crew.live(self.millis(10, rest)).await?;
            self.tell(crew);
        }
        // At least once in each round, also in a quick run.
        cut_links(crew);
        crew.live(self.millis(0, 150)).await?;
        self.disconnect(crew).await;
        crew.live(self.millis(0, 150)).await?;
        for _ in 0..turns(crew) {
            kill_server(crew, self.millis(0, 500)).await?;
            crew.live(self.millis(10, 300)).await?;
        }
        Ok(())
    }

    /// Has the server close all connections. One that does not answer closes none.
    async fn disconnect(&mut self, crew: &mut Crew) {
        let subject = Arc::clone(&crew.place.subject);
        let Some(server) = subject.server() else {
            return;
        };
        let begin = crew.watch.elapsed();
        match server.disconnect().await {
            Ok(()) => crew.faults.disconnects += 1,
            Err(why) => self.unheard = Some(why),
        }
        slow(crew, begin, "had closed all connections");
    }

    async fn siege(&mut self, crew: &mut Crew) -> Result<()> {
        let lease = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
        let end = crew.watch.elapsed() + SIEGE;
        let survivor = self
            .any(Role::Worker, crew)
            .filter(|_| !crew.place.subject.is_alone());
        while self.goes_on(crew) && crew.watch.elapsed() < end {
            let worker = self
                .any(Role::Worker, crew)
                .filter(|worker| Some(*worker) != survivor);
            match self.below(8) {
                0 => cut_links(crew),
                1 => self.disconnect(crew).await,
                _ => {}
            }
            // Past the lease.
            stop(crew, worker, self.millis(lease + lease / 2, 3 * lease)).await?;
            if self.below(3) == 0 {
                kill(crew, self.any(Role::Enqueuer, crew), self.millis(0, 150)).await?;
            }
            crew.live(self.millis(100, 800)).await?;
            self.tell(crew);
        }
        Ok(())
    }
}

/// How many kills it takes until each process of the server was killed alone, and all at once.
fn turns(crew: &Crew) -> u64 {
    match crew.place.subject.server().map_or(1, Server::processes) as u64 {
        1 => 1,
        processes => processes + 1,
    }
}

/// `kill -9` of what serves the store, if anything does: of its processes by turns, if there are several, and of all at once. After
/// a while others are started on the same data.
async fn kill_server(crew: &mut Crew, again_after: Duration) -> Result<()> {
    let subject = Arc::clone(&crew.place.subject);
    let Some(server) = subject.server() else {
        return Ok(());
    };
    let processes = server.processes() as u64;
    let turn = (crew.faults.servers_killed + crew.faults.processes_killed) % turns(crew);
    if processes > 1 && turn < processes {
        server.kill_process(usize::try_from(turn)?).await?;
        crew.faults.processes_killed += 1;
    } else {
        server.kill().await?;
        crew.faults.servers_killed += 1;
    }
    crew.live(again_after).await?;
    let begin = crew.watch.elapsed();
    server.start().await?;
    slow(crew, begin, "answered again");
    Ok(())
}

/// Tells of a server that took its time, in which nobody else was harmed.
fn slow(crew: &Crew, begin: Duration, what: &str) {
    let took = crew.watch.elapsed().saturating_sub(begin);
    if took > SLOW {
        line(&format!("the server {what} after {} s", took.as_secs()));
    }
}

/// Cuts everybody off from what serves the store, if anything does, for a moment.
fn cut_links(crew: &mut Crew) {
    let subject = Arc::clone(&crew.place.subject);
    let cut = subject.server().is_some_and(Server::cut);
    crew.faults.links_cut += u64::from(cut);
}

async fn kill(crew: &mut Crew, index: Option<usize>, again_after: Duration) -> Result<()> {
    match index {
        Some(index) => crew.kill(index, Some(again_after)).await,
        None => Ok(()),
    }
}

async fn stop(crew: &mut Crew, index: Option<usize>, span: Duration) -> Result<()> {
    match index {
        Some(index) => crew.stop(index, span).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use async_trait::async_trait;
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;
    use crate::place::{Orders, Place, Subject};

    /// A store that is nothing but a server.
    #[derive(Debug, Default)]
    struct Served {
        /// Odd while it, or a process of it, is down.
        ups_and_downs: AtomicU32,
        /// How often each was killed alone, if there are several.
        processes: Vec<AtomicU32>,
        deaf: AtomicBool,
    }

    #[async_trait]
    impl Subject for Served {
        fn url(&self) -> &'static str {
            "served:"
        }

        async fn prepare(&self) -> Result<()> {
            Ok(())
        }

        async fn orders(&self) -> Result<Option<Box<dyn Orders>>> {
            Ok(None)
        }

        async fn rows(&self) -> Result<Vec<u64>> {
            Ok(Vec::new())
        }

        async fn left(&self) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn damage(&self) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        fn server(&self) -> Option<&dyn Server> {
            Some(self)
        }
    }

    #[async_trait]
    impl Server for Served {
        fn processes(&self) -> usize {
            self.processes.len().max(1)
        }

        async fn kill_process(&self, process: usize) -> Result<()> {
            self.processes[process].fetch_add(1, Ordering::Relaxed);
            self.kill().await
        }

        async fn kill(&self) -> Result<()> {
            assert_eq!(self.ups_and_downs.fetch_add(1, Ordering::Relaxed) % 2, 0);
            Ok(())
        }

        async fn start(&self) -> Result<()> {
            assert_eq!(self.ups_and_downs.fetch_add(1, Ordering::Relaxed) % 2, 1);
            Ok(())
        }

        fn cut(&self) -> bool {
            true
        }

        async fn disconnect(&self) -> Result<()> {
            anyhow::ensure!(!self.deaf.load(Ordering::Relaxed), "nobody listens");
            Ok(())
        }

        fn keep(&self, _: &std::path::Path) -> Result<()> {
            Ok(())
        }
    }

    /// A crew of nobody.
    fn crew(folder: &std::path::Path, served: &Arc<Served>) -> Crew {
        let subject: Arc<dyn Subject> = Arc::clone(served) as _;
        let place = Place::new(folder, subject).unwrap();
        Crew::new(&place, 0, 0, 7).unwrap()
    }

    #[tokio::test]
    async fn a_server_is_killed_and_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let served = Arc::new(Served::default());
        let mut crew = crew(dir.path(), &served);
        for _ in 0..3 {
            kill_server(&mut crew, Duration::ZERO).await.unwrap();
        }
        assert_eq!(
            (
                crew.faults.servers_killed,
                served.ups_and_downs.load(Ordering::Relaxed)
            ),
            (3, 6)
        );
    }

    #[tokio::test]
    async fn each_process_is_killed_alone_and_all_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let served = Arc::new(Served {
            processes: vec![AtomicU32::new(0), AtomicU32::new(0)],
            ..Served::default()
        });
        let mut crew = crew(dir.path(), &served);
        assert_eq!(turns(&crew), 3);
        for _ in 0..2 * turns(&crew) {
            kill_server(&mut crew, Duration::ZERO).await.unwrap();
        }
        let alone = served.processes.iter().map(|kills| kills.load(Ordering::Relaxed));
        assert_eq!(alone.collect::<Vec<_>>(), [2, 2]);
        assert_eq!((crew.faults.servers_killed, crew.faults.processes_killed), (2, 4));
    }

    #[tokio::test]
    async fn a_server_that_never_closes_connections_is_told() {
        let run = Cli::parse_from(["torture", "--kills", "0"]).run;
        for deaf in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let served = Arc::new(Served::default());
            served.deaf.store(deaf, Ordering::Relaxed);
            let mut crew = crew(dir.path(), &served);
            let random = SeededRandom::new(7);
            let mut harm = Harm::new(&crew, &run, &random);
            harm.disconnect(&mut crew).await;
            harm.end(&mut crew);
            assert_eq!(crew.faults.disconnects, u64::from(!deaf));
            assert_eq!(crew.problems.len(), usize::from(deaf), "{:?}", crew.problems);
        }
    }
}
