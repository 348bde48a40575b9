//! The command line.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::stores::{Subject, by_url};

/// The worker's concurrency that was measured to be best for handlers that do nothing.
const DEFAULT_CONCURRENCY: usize = 64;
/// The same for what it claims ahead.
const DEFAULT_PREFETCH: usize = 1_000;

/// Measures task-retry with the real client and the real worker: 100-byte payloads, handlers that do nothing.
///
/// Prints tab-separated rows `store workload n median min max unit settings` behind one header line. Figures move with
/// the machine and its load: compare figures of one run only, or let `report` print the ratios.
#[derive(Debug, Parser)]
#[command(name = "benchmarks", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The store's own calls driven by hand, in batches of 1,000: no client, no worker. The project's own limit.
    Raw(Run),
    /// The cheapest batched sequence of durable operations on the store's driver, with a toy schema. The physical limit.
    Bare(Run),
    /// Bare, raw and full in turns, and their ratios beside the aims.
    Report(Run),
    /// Machine instructions per task, under callgrind: a regression shows even on a noisy machine.
    Count(Count),
    /// One child of `count`: enqueues tasks and drains them, on one thread.
    #[command(hide = true)]
    CountChild(CountChild),
    /// One child of the workload B, in a process of its own so that its memory can be measured.
    #[command(hide = true)]
    BytesChild(Run),
}

/// SQLite's `synchronous` setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Synchronous {
    Full,
    Normal,
    Off,
}

impl Synchronous {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
            Self::Off => "off",
        }
    }
}

/// What is done with the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Workload {
    /// One producer enqueues one task a call.
    E1,
    /// 32 concurrent producers enqueue one task a call.
    E32,
    /// The batch API: `enqueue_many`.
    EB,
    /// A worker drains what is waiting; succeeded tasks are kept, then deleted.
    D,
    /// 32 concurrent producers, one task a call, while a worker processes.
    M,
    /// Batches while a worker processes.
    MB,
    /// From before the enqueue call to the handler's start, the worker idle; median and 99th percentile.
    L,
    /// From the commit of a transaction to the start of the task that was enqueued in it, on the same node.
    H,
    /// 10,000 drained of 200 k and 1 M waiting, and beside 1 M finished ones ÷ 10,000 alone. Slow.
    S,
    /// A claim with 1 M tasks of the future in all priorities ÷ one without. Slow.
    F,
    /// A claim with 100 k tasks of an unregistered kind at the head ÷ one without.
    U,
    /// Bytes per task: storage, and memory of the process.
    B,
    /// MB at the end of `--minutes` during which somebody holds a snapshot ÷ MB before it.
    P,
}

impl Workload {
    /// Those that run unless told otherwise: the ones of a few seconds.
    pub(crate) const USUAL: [Self; 7] = [Self::E1, Self::E32, Self::EB, Self::D, Self::M, Self::MB, Self::L];

    /// How many tasks a repetition takes unless told otherwise: about a second on a fast disk.
    pub(crate) const fn default_n(self) -> usize {
        match self {
            Self::E1 => 3_000,
            Self::E32 | Self::M => 40_000,
            Self::EB | Self::D | Self::MB => 100_000,
            Self::L | Self::H => 300,
            Self::S | Self::F => 1_000_000,
            Self::U => 100_000,
            Self::B => 200_000,
            Self::P => 20_000,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// The store: `memory`, `sqlite`, `sled`, `postgres`, `mysql` or `redis`, for which a throw-away server is started unless
    /// `RETRY_TEST_…_URL` names one; or a server's URL.
    #[arg(long, value_parser = by_url, default_value = "memory")]
    pub(crate) store: Arc<dyn Subject>,

    /// The workloads, separated by commas; E1 to L unless told otherwise.
    #[arg(long, value_enum, value_delimiter = ',', ignore_case = true)]
    pub(crate) workload: Vec<Workload>,

    /// Tasks of one repetition, in place of each workload's own number.
    #[arg(long)]
    pub(crate) n: Option<usize>,

    /// Repetitions, each on a fresh database.
    #[arg(long, default_value_t = 3)]
    pub(crate) reps: usize,

    /// The folder in which databases are made, to choose the disk; the system's temporary folder unless told otherwise.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,

    /// SQLite: what a commit waits for.
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) synchronous: Synchronous,

    /// The worker's concurrency.
    #[arg(long, default_value_t = DEFAULT_CONCURRENCY)]
    pub(crate) concurrency: usize,

    /// How many tasks the worker claims ahead.
    #[arg(long, default_value_t = DEFAULT_PREFETCH)]
    pub(crate) prefetch: usize,

    /// Threads of the runtime that client and worker share; the machine's unless told otherwise.
    #[arg(long)]
    pub(crate) threads: Option<usize>,

    /// Decides every random number of client and worker.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// P: how long the snapshot is held.
    #[arg(long, default_value_t = 10)]
    pub(crate) minutes: u64,
}

impl Run {
    /// The settings under which instructions are counted: one thread, fixed seeds, no waiting for the disk.
    pub(crate) const fn counted(store: Arc<dyn Subject>) -> Self {
        Self {
            store,
            workload: Vec::new(),
            n: None,
            reps: 1,
            dir: None,
            synchronous: Synchronous::Off,
            concurrency: DEFAULT_CONCURRENCY,
            prefetch: DEFAULT_PREFETCH,
            threads: Some(1),
            seed: 1,
            minutes: 1,
        }
    }

    /// The asked workloads.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        if self.workload.is_empty() {
            Workload::USUAL.to_vec()
        } else {
            self.workload.clone()
        }
    }

    /// Tasks of one repetition.
    pub(crate) fn n(&self, workload: Workload) -> usize {
        self.n.unwrap_or(workload.default_n()).max(1)
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Count {
    /// The store, as for the others.
    #[arg(long, value_parser = by_url, default_value = "memory")]
    pub(crate) store: Arc<dyn Subject>,

    /// Tasks; the counts are taken from the difference between this many and twice as many.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) n: usize,

    /// Keeps callgrind's file of the larger drain here, for `callgrind_annotate`.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CountChild {
    #[arg(long, value_parser = by_url)]
    pub(crate) store: Arc<dyn Subject>,
    #[arg(long)]
    pub(crate) n: usize,
    #[arg(long)]
    pub(crate) drain: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn workloads_are_read_from_a_list() {
        let cli = Cli::try_parse_from(["benchmarks", "--store", "sqlite", "--workload", "E1,eb,D"]).unwrap();
        assert_eq!(cli.run.workloads(), [Workload::E1, Workload::EB, Workload::D]);
        let cli = Cli::try_parse_from(["benchmarks", "raw"]).unwrap();
        let Some(Command::Raw(run)) = cli.command else {
            panic!("not raw")
        };
        assert_eq!(run.workloads(), Workload::USUAL);
    }
}
