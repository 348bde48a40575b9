//! The worker processes of the batch: started, killed, started again.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::clock::Watch;
use crate::place::Place;

/// How long a shutdown may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Crew<'p> {
    place: &'p Place,
    seed: u64,
    slots: Vec<Option<Child>>,
    generation: u64,
    pub(super) killed: u64,
    /// The most memory that one ever had, in MiB.
    pub(super) peak: u64,
}

impl<'p> Crew<'p> {
    pub(super) fn new(place: &'p Place, workers: u64, seed: u64) -> Self {
        Self {
            place,
            seed,
            slots: (0..workers).map(|_| None).collect(),
            generation: 0,
            killed: 0,
            peak: 0,
        }
    }

    /// Starts who is missing, and notes what memory the others take.
    pub(super) fn look(&mut self) -> Result<()> {
        for slot in 0..self.slots.len() {
            match &mut self.slots[slot] {
                Some(child) => {
                    self.peak = self.peak.max(super::peak(child.id()).unwrap_or(0));
                    let ended = child.try_wait()?;
                    anyhow::ensure!(ended.is_none(), "a worker ended by itself: {ended:?}");
                }
                None => self.start(slot)?,
            }
        }
        Ok(())
    }

    fn start(&mut self, slot: usize) -> Result<()> {
        self.generation += 1;
        let name = format!("batch-worker-{slot}-{}", self.generation);
        let child = Command::new(std::env::current_exe()?)
            .arg("batch-worker")
            .arg("--folder")
            .arg(&self.place.folder)
            .args(["--url", self.place.subject.url()])
            .args(["--slot", &slot.to_string()])
            .args(["--generation", &self.generation.to_string()])
            .args(["--seed", &self.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(self.place.stderr(&name))?)
            .spawn()
            .context("starting a worker")?;
        self.slots[slot] = Some(child);
        Ok(())
    }

    /// `kill -9` of one.
    pub(super) fn kill(&mut self, draw: u64) -> Result<()> {
        let slot = usize::try_from(draw % self.slots.len() as u64)?;
        if let Some(mut child) = self.slots[slot].take() {
            child.kill()?;
            child.wait()?;
            self.killed += 1;
        }
        Ok(())
    }

    /// Ends all gracefully; who does not end well is told.
    pub(super) async fn end(&mut self, watch: &Watch) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let end = watch.elapsed() + PATIENCE;
        for child in self.slots.iter_mut().flatten() {
            drop(child.stdin.take());
        }
        for mut child in self.slots.iter_mut().filter_map(Option::take) {
            loop {
                match child.try_wait()? {
                    Some(status) if status.success() => break,
                    Some(status) => {
                        problems.push(format!("a worker did not end well: {status}"));
                        break;
                    }
                    None if watch.elapsed() < end => watch.pause(Duration::from_millis(20)).await,
                    None => {
                        problems.push(format!("a worker did not end within {PATIENCE:?}"));
                        child.kill()?;
                        child.wait()?;
                        break;
                    }
                }
            }
        }
        Ok(problems)
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        for child in self.slots.iter_mut().flatten() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
