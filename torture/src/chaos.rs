//! The faults: which, whom and when, as the seed decides.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use retry_core::seams::{Random as _, SeededRandom};

use crate::args::Run;
use crate::crew::{Crew, Role};
use crate::worker::LEASE;

/// How often a line tells how far it is.
const TELL: Duration = Duration::from_secs(5);
/// How long a storm lasts, at most.
const STORM: Duration = Duration::from_secs(10);
/// How long a siege lasts: a survivor trusts the store after three seconds only, then others' leases have ended.
const SIEGE: Duration = Duration::from_secs(7);

/// Storms, in which everybody is killed again and again, and sieges, in which workers are stopped past their lease and one
/// lives to see it.
#[derive(Debug)]
struct Harm<'a> {
    random: &'a SeededRandom,
    end: Duration,
    most: u64,
    tell: Duration,
}

/// Does harm to the crew until its time is over or it has killed enough.
pub(crate) async fn harm(crew: &mut Crew, run: &Run, random: &SeededRandom) -> Result<()> {
    let begin = crew.watch.elapsed();
    let mut harm = Harm {
        random,
        end: begin + run.faults(),
        most: run.kills.unwrap_or(u64::MAX),
        tell: begin + TELL,
    };
    let storm = STORM.min(run.faults().saturating_sub(SIEGE));
    while harm.goes_on(crew) {
        harm.storm(crew, storm).await?;
        harm.siege(crew).await?;
    }
    Ok(())
}

impl Harm<'_> {
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
            crate::report::line(&format!(
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
                56..=80 => kill(crew, self.any(Role::Enqueuer, crew), self.millis(0, 150)).await?,
                // The first after a start: half-way through opening the file.
                81..=87 => {
                    let worker = self.any(Role::Worker, crew);
                    kill(crew, worker, Duration::ZERO).await?;
                    crew.live(self.millis(0, 40)).await?;
                    kill(crew, worker, Duration::ZERO).await?;
                }
                // Within the lease.
                88..=91 => stop(crew, self.any(Role::Worker, crew), self.millis(20, 900)).await?,
                92..=93 => stop(crew, self.any(Role::Enqueuer, crew), self.millis(20, 4_000)).await?,
                94 => cut_links(crew),
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
            // One that is alone has no others that get on with the work.
            let rest = if crew.place.subject.is_alone() { 900 } else { 150 };
            crew.live(self.millis(10, rest)).await?;
            self.tell(crew);
        }
        // At least once in each round, also in a quick run.
        kill_server(crew, self.millis(0, 500)).await
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
            if self.below(4) == 0 {
                cut_links(crew);
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

/// `kill -9` of what serves the store, if anything does, and after a while another one on the same data.
async fn kill_server(crew: &mut Crew, again_after: Duration) -> Result<()> {
    let subject = Arc::clone(&crew.place.subject);
    let Some(server) = subject.server() else {
        return Ok(());
    };
    server.kill().await?;
    crew.faults.servers_killed += 1;
    crew.live(again_after).await?;
    server.start().await
}

/// Cuts everybody off from what serves the store, if anything does, for a moment.
fn cut_links(crew: &mut Crew) {
    if let Some(server) = crew.place.subject.server() {
        server.cut();
        crew.faults.links_cut += 1;
    }
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
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::place::{Orders, Place, Server, Subject};

    /// A store that is nothing but a server: odd while it is down.
    #[derive(Debug, Default)]
    struct Served(AtomicU32);

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
        async fn kill(&self) -> Result<()> {
            assert_eq!(self.0.fetch_add(1, Ordering::Relaxed) % 2, 0);
            Ok(())
        }

        async fn start(&self) -> Result<()> {
            assert_eq!(self.0.fetch_add(1, Ordering::Relaxed) % 2, 1);
            Ok(())
        }

        fn cut(&self) {}

        fn keep(&self, _: &std::path::Path) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_server_is_killed_and_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let served = Arc::new(Served::default());
        let subject: Arc<dyn Subject> = Arc::clone(&served) as _;
        let place = Place::new(dir.path(), subject).unwrap();
        let mut crew = Crew::new(&place, 0, 0, 7).unwrap();
        for _ in 0..3 {
            kill_server(&mut crew, Duration::ZERO).await.unwrap();
        }
        assert_eq!(
            (crew.faults.servers_killed, served.0.load(Ordering::Relaxed)),
            (3, 6)
        );
    }
}
