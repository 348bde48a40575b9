//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Kills, stops and restarts enqueuers and workers on one store at random moments, lets the rest drain, and audits that
/// nothing acknowledged was lost and nothing was done twice under one lease. Exits with 1 on any violation.
#[derive(Debug, Parser)]
#[command(name = "torture", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// What else there is to do; the processes are started by the torture itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Audits the files of a run, which were kept, once more.
    Audit(Kept),
    /// Runs tasks until its standard input ends.
    #[command(hide = true)]
    Worker(Child),
    /// Enqueues tasks and completes waits until its standard input ends.
    #[command(hide = true)]
    Enqueuer(Child),
    /// Runs the shards of a batch until its standard input ends.
    #[command(hide = true)]
    BatchWorker(Child),
    /// Relays an outbox and runs its tasks until its standard input ends.
    #[command(hide = true)]
    OutboxWorker(Child),
    /// Writes orders with their tasks until its standard input ends.
    #[command(hide = true)]
    OutboxWriter(Child),
    /// Does both.
    #[command(hide = true)]
    Alone(Child),
}

/// What the processes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Tasks of every sort, for a while.
    Mixed,
    /// One batch, until it has ended.
    Batch,
    /// Orders in another database, whose tasks an outbox hands over, for a while.
    Outbox,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The store: a scheme alone is a fresh store of the run's own, a URL one that exists and is empty. Known: sqlite,
    /// postgres, mysql, redis, sled
    #[arg(long, value_name = "SCHEME|URL", default_value = "sqlite")]
    pub(crate) store: String,
    /// What the processes do: tasks of every sort; one batch whose sum is checked (SQLite and PostgreSQL); or orders in another
    /// database, whose tasks are handed over to the store (all but sled)
    #[arg(long, value_enum, default_value_t = Workload::Mixed)]
    pub(crate) workload: Workload,
    /// The database of the orders and their outbox, as `--store` names one. Known: sqlite, postgres, mysql
    #[arg(long, value_name = "SCHEME|URL", default_value = "sqlite")]
    pub(crate) source: String,
    /// The shards of the batch.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shards: u32,
    /// How long faults last, in minutes.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) minutes: f64,
    /// End the faults after this many kills.
    #[arg(long)]
    pub(crate) kills: Option<u64>,
    /// Decides the moments of the faults and the mix of the tasks; drawn when not given.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Worker processes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) workers: u64,
    /// Enqueuing processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) enqueuers: u64,
    /// About 15 seconds in all.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Cut the power of the store's file system instead: a loop-mounted ext4 image that is shut down. Needs root.
    #[arg(long)]
    pub(crate) power_cut: bool,
    /// Power cuts in a run.
    #[arg(long, default_value_t = 8)]
    pub(crate) cuts: u64,
    /// Keep the files, also after a good run.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where the files go; a new folder among the temporary ones unless told otherwise.
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
}

impl Run {
    /// How long faults last.
    pub(crate) fn faults(&self) -> Duration {
        if self.quick {
            return Duration::from_secs(13);
        }
        Duration::try_from_secs_f64(self.minutes * 60.0).unwrap_or(Duration::from_secs(60))
    }
}

/// The files of a run.
#[derive(Debug, Args)]
pub(crate) struct Kept {
    /// Where they are.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The store that was tortured.
    #[arg(long, value_name = "SCHEME|URL", default_value = "sqlite")]
    pub(crate) store: String,
}

/// One process of the torture.
#[derive(Debug, Clone, Args)]
pub(crate) struct Child {
    /// Where the files are.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The store.
    #[arg(long)]
    pub(crate) url: String,
    /// The database of an outbox.
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Its place in the crew.
    #[arg(long)]
    pub(crate) slot: u64,
    /// How often this place was filled before.
    #[arg(long)]
    pub(crate) generation: u64,
    /// The seed of the run.
    #[arg(long)]
    pub(crate) seed: u64,
}
