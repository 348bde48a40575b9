//! The processes: started, killed, stopped, continued and filled anew.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::Watch;
use crate::event::Event;
use crate::log::Log;
use crate::place::Place;

/// How often the crew is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Enqueuer,
    /// Both in one process, which is the only one.
    Alone,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Enqueuer => "enqueuer",
            Self::Alone => "alone",
        }
    }
}

/// What the crew is at work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Tasks of every sort in one store.
    Mixed,
    /// An outbox in the database `source`.
    Outbox { source: String },
}

impl Errand {
    /// The words by which a process of a role is started.
    fn words(&self, role: Role) -> Vec<&str> {
        match (self, role) {
            (Self::Mixed, _) | (Self::Outbox { .. }, Role::Alone) => vec![role.name()],
            (Self::Outbox { source }, Role::Worker) => vec!["outbox-worker", "--source", source],
            (Self::Outbox { source }, Role::Enqueuer) => vec!["outbox-writer", "--source", source],
        }
    }
}

/// A place in the crew.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) role: Role,
    index: u64,
    generation: u64,
    child: Option<Child>,
    continue_at: Option<Duration>,
    start_at: Option<Duration>,
}

/// What was done to the crew.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) workers_killed: u64,
    pub(crate) enqueuers_killed: u64,
    pub(crate) stops: u64,
    pub(crate) servers_killed: u64,
    /// How often one process of several that a server is made of was killed alone.
    pub(crate) processes_killed: u64,
    pub(crate) links_cut: u64,
    /// How often the server closed all connections itself.
    pub(crate) disconnects: u64,
    pub(crate) cuts: u64,
}

impl Faults {
    pub(crate) const fn kills(&self) -> u64 {
        self.workers_killed + self.enqueuers_killed
    }
}

#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) place: Place,
    pub(crate) slots: Vec<Slot>,
    pub(crate) faults: Faults,
    pub(crate) watch: Watch,
    /// Processes that ended by themselves.
    pub(crate) problems: Vec<String>,
    seed: u64,
    log: Log,
    errand: Errand,
    /// Clients in each enqueuing process.
    pub(crate) clients: u64,
}

impl Crew {
    pub(crate) fn new(place: &Place, workers: u64, enqueuers: u64, seed: u64) -> Result<Self> {
        let slot = |role, index| Slot {
            role,
            index,
            generation: 0,
            child: None,
            continue_at: None,
            start_at: Some(Duration::ZERO),
        };
        let workers = (0..workers).map(|index| slot(Role::Worker, index));
        let enqueuers = (0..enqueuers).map(|index| slot(Role::Enqueuer, index));
        let slots = match place.subject.is_alone() {
            true => vec![slot(Role::Alone, 0)],
            false => workers.chain(enqueuers).collect(),
        };
        Ok(Self {
            place: place.clone(),
            slots,
            faults: Faults::default(),
            watch: Watch::start(),
            problems: Vec::new(),
            seed,
            log: Log::create(&place.log("torture"))?,
            errand: Errand::Mixed,
            clients: 1,
        })
    }

    /// Sends it on another errand.
    pub(crate) fn on(mut self, errand: Errand) -> Self {
        self.errand = errand;
        self
    }

    /// With so many clients in each enqueuing process.
    pub(crate) const fn with_clients(mut self, clients: u64) -> Self {
        self.clients = clients;
        self
    }

    /// Does what is due: starts, continues, and notes who ended without being killed.
    pub(crate) async fn look(&mut self) -> Result<()> {
        let now = self.watch.elapsed();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.start_at.take_if(|at| *at <= now).is_some() {
                self.start(index).await?;
            } else if slot.continue_at.take_if(|at| *at <= now).is_some() {
                self.resume(index).await?;
            } else if let Some(child) = &mut slot.child
                && let Some(status) = child.try_wait()?
            {
                let name = slot.name();
                slot.child = None;
                slot.start_at = Some(now + Duration::from_millis(200));
                self.log
                    .write(vec![Event::Killed {
                        process: name.clone(),
                    }])
                    .await;
                self.problems
                    .push(format!("{name} ended by itself: {status}; see its .err file"));
            }
        }
        Ok(())
    }

    /// The names of the processes that are there.
    pub(crate) fn living(&self) -> BTreeSet<String> {
        let living = self.slots.iter().filter(|slot| slot.child.is_some());
        living.map(Slot::name).collect()
    }

    /// Looks at the crew for a while.
    pub(crate) async fn live(&mut self, span: Duration) -> Result<()> {
        let end = self.watch.elapsed() + span;
        while self.watch.elapsed() < end {
            self.look().await?;
            self.watch.pause(LOOK).await;
        }
        Ok(())
    }

    async fn start(&mut self, index: usize) -> Result<()> {
        let slot = &mut self.slots[index];
        slot.generation += 1;
        let name = slot.name();
        let told = File::create(self.place.stderr(&name))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(self.errand.words(slot.role))
            .arg("--folder")
            .arg(&self.place.folder)
            .args(["--url", self.place.subject.url()])
            .args(["--slot", &slot.index.to_string()])
            .args(["--generation", &slot.generation.to_string()])
            .args(["--seed", &self.seed.to_string()])
            .args(["--clients", &self.clients.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(told);
        self.log.write(vec![Event::Spawned { process: name }]).await;
        slot.child = Some(command.spawn().context("starting a process")?);
        Ok(())
    }

    /// `kill -9`, and another process in its place after a while.
    pub(crate) async fn kill(&mut self, index: usize, again_after: Option<Duration>) -> Result<()> {
        let slot = &mut self.slots[index];
        slot.start_at = again_after.map(|after| self.watch.elapsed() + after);
        slot.continue_at = None;
        let Some(mut child) = slot.child.take() else {
            return Ok(());
        };
        match slot.role {
            Role::Worker | Role::Alone => self.faults.workers_killed += 1,
            Role::Enqueuer => self.faults.enqueuers_killed += 1,
        }
        let process = slot.name();
        self.log.write(vec![Event::Killed { process }]).await;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Notes that the power was cut and everybody is dead.
    pub(crate) async fn cut(&mut self, from: i64) {
        self.faults.cuts += 1;
        self.log.write(vec![Event::Cut { from }]).await;
    }

    /// `SIGSTOP`, and `SIGCONT` after a while.
    pub(crate) async fn stop(&mut self, index: usize, span: Duration) -> Result<()> {
        let slot = &mut self.slots[index];
        let Some(pid) = slot.pid() else { return Ok(()) };
        if slot.continue_at.is_some() {
            return Ok(());
        }
        let process = slot.name();
        self.log.write(vec![Event::Stopped { process }]).await;
        kill_process(pid, Signal::STOP)?;
        slot.continue_at = Some(self.watch.elapsed() + span);
        self.faults.stops += 1;
        Ok(())
    }

    async fn resume(&mut self, index: usize) -> Result<()> {
        let slot = &self.slots[index];
        if let Some(pid) = slot.pid() {
            kill_process(pid, Signal::CONT)?;
            let process = slot.name();
            self.log.write(vec![Event::Continued { process }]).await;
        }
        Ok(())
    }

    /// Continues everybody, and starts who is missing.
    pub(crate) async fn heal(&mut self) -> Result<()> {
        for slot in &mut self.slots {
            for at in [&mut slot.continue_at, &mut slot.start_at] {
                *at = at.map(|_| Duration::ZERO);
            }
            if slot.child.is_none() {
                slot.start_at = Some(Duration::ZERO);
            }
        }
        // A slot that is both is looked at twice.
        self.look().await?;
        self.look().await
    }

    /// Tells the enqueuers to complete waits only.
    pub(crate) fn quiet(&mut self) -> Result<()> {
        for slot in self.slots.iter_mut().filter(|slot| slot.role != Role::Worker) {
            let stdin = slot.child.as_mut().and_then(|child| child.stdin.as_mut());
            if let Some(stdin) = stdin {
                stdin.write_all(b"quiet\n").context("quieting an enqueuer")?;
            }
        }
        Ok(())
    }

    /// Ends everybody gracefully; who does not end in time is named.
    pub(crate) async fn end(&mut self, limit: Duration) -> Result<()> {
        let end = self.watch.elapsed() + limit;
        for slot in &mut self.slots {
            slot.start_at = None;
            if let Some(child) = &mut slot.child {
                drop(child.stdin.take());
            }
        }
        for slot in &mut self.slots {
            let name = slot.name();
            let Some(mut child) = slot.child.take() else {
                continue;
            };
            let status = loop {
                match child.try_wait()? {
                    None if self.watch.elapsed() < end => self.watch.pause(LOOK).await,
                    status => break status,
                }
            };
            match status {
                Some(status) if status.success() => {}
                Some(status) => self.problems.push(format!("{name} did not end well: {status}")),
                None => {
                    self.problems
                        .push(format!("{name} did not end within {limit:?} of its shutdown"));
                    child.kill()?;
                    child.wait()?;
                }
            }
        }
        Ok(())
    }
}

impl Slot {
    fn name(&self) -> String {
        format!("{}-{}-{}", self.role.name(), self.index, self.generation)
    }

    pub(crate) const fn is_stopped(&self) -> bool {
        self.continue_at.is_some()
    }

    fn pid(&self) -> Option<Pid> {
        let id = self.child.as_ref()?.id();
        Pid::from_raw(i32::try_from(id).ok()?)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for child in self.slots.iter_mut().filter_map(|slot| slot.child.as_mut()) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
