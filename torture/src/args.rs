//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A process has room for the sockets of so many, and the servers of a run's own for their connections.
const MAX_CLIENTS: u64 = 1_000;

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
    /// postgres, pgbouncer (PostgreSQL through a pooler), mysql, redis, redis-cluster, sled
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
    /// Clients that enqueue at the same time, spread over the enqueuing processes (rounded up to as many in each); on a server each
    /// has connections of its own. One in each process unless told otherwise
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MAX_CLIENTS))]
    pub(crate) clients: Option<u64>,
    /// About 15 seconds in all.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Cut the power of the store's, or its server's, file system instead: a loop-mounted ext4 image that is shut down. Needs root,
    /// and a store of the run's own.
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
    /// How many clients there are in an enqueuing process.
    pub(crate) fn clients_each(&self) -> u64 {
        self.clients.map_or(1, |clients| clients.div_ceil(self.enqueuers))
    }

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
    /// Clients that enqueue in it at the same time.
    #[arg(long, default_value_t = 1)]
    pub(crate) clients: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_spread_over_the_processes() {
        let each = |words: &[&str]| {
            let words = ["torture"].iter().chain(words);
            Cli::try_parse_from(words).map(|cli| cli.run.clients_each())
        };
        assert_eq!(each(&[]).unwrap(), 1);
        assert_eq!(each(&["--clients", "500", "--enqueuers", "4"]).unwrap(), 125);
        assert_eq!(each(&["--clients", "5", "--enqueuers", "4"]).unwrap(), 2);
        assert_eq!(each(&["--clients", "1000", "--enqueuers", "1"]).unwrap(), 1_000);
        assert!(each(&["--clients", "1001"]).is_err() && each(&["--clients", "0"]).is_err());
    }
}
