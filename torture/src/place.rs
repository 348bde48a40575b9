//! Where the files of a run are, and what a store has to provide to be tortured.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use retry_core::client::{Client, Enqueued};

use crate::clock::Watch;
use crate::tokens;

/// A store under torture. Everything else is told and audited through the contract alone.
#[async_trait]
pub(crate) trait Subject: fmt::Debug + Send + Sync {
    /// By which every process connects.
    fn url(&self) -> &str;

    /// A client of it.
    async fn connect(&self) -> Result<Client> {
        Ok(task_retry::connect(self.url()).await?)
    }

    /// Whether it is on a server, which may be away when a process starts.
    fn is_remote(&self) -> bool {
        false
    }

    /// Whether one process at a time can open it: then that one does everything, and nobody looks on.
    fn is_alone(&self) -> bool {
        false
    }

    /// Makes what a run needs besides the store's own tables, once.
    async fn prepare(&self) -> Result<()>;

    /// A connection of an enqueuer's own, for tasks in transactions with its rows; none where the store has none.
    async fn orders(&self) -> Result<Option<Box<dyn Orders>>>;

    /// The rows that were written through it.
    async fn rows(&self) -> Result<Vec<u64>>;

    /// The user's own table of sums, for the workload `batch`; none where the store has none.
    async fn ledger(&self) -> Result<Option<Arc<dyn Ledger>>> {
        Ok(None)
    }

    /// What the dead left beside the data, though the store was opened and closed since.
    async fn left(&self) -> Result<Vec<String>>;

    /// What is damaged in the data, by the store's own check.
    async fn damage(&self) -> Result<Vec<String>>;

    /// What serves the store, to be killed as well; none for an embedded one.
    fn server(&self) -> Option<&dyn Server> {
        None
    }
}

/// An enqueuer's own connection to the store.
#[async_trait]
pub(crate) trait Orders: Send {
    /// Writes a row and its task in one transaction.
    async fn place(&mut self, n: u64) -> Result<Enqueued>;
}

/// What a batch's reduce writes into the user's own table, beside the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) batch: String,
    /// The fencing version of the attempt that wrote it.
    pub(crate) version: u64,
    pub(crate) sum: u64,
    /// How often it was written: attempts that died behind the writing are followed by others.
    pub(crate) times: u64,
}

/// The user's own table of sums.
#[async_trait]
pub(crate) trait Ledger: Send + Sync {
    /// Writes the sum unless a later version has; one row for each batch.
    async fn write(&self, sum: &Sum) -> Result<()>;

    /// All sums.
    async fn sums(&self) -> Result<Vec<Sum>>;
}

/// What serves a store.
#[async_trait]
pub(crate) trait Server: Send + Sync {
    /// How many processes it is made of, each of which can be killed alone.
    fn processes(&self) -> usize {
        1
    }

    /// `kill -9`, with everything that belongs to it.
    async fn kill(&self) -> Result<()>;

    /// `kill -9` of one of its processes; the others go on.
    async fn kill_process(&self, process: usize) -> Result<()>;

    /// Starts what was killed again on the same data; returns when it answers.
    async fn start(&self) -> Result<()>;

    /// Closes every connection on the way to it; new ones are served. False: nothing is on the way that could.
    fn cut(&self) -> bool;

    /// Has it close every connection itself, as its administrator can; new ones are served.
    async fn disconnect(&self) -> Result<()>;

    /// Ends it and copies its data to a folder that outlives the run.
    fn keep(&self, folder: &Path) -> Result<()>;
}

/// How long a server that was killed may need until it answers again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects as a service would: a server that is away now is asked again.
pub(crate) async fn patiently<T, E, F>(mut connect: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let watch = Watch::start();
    loop {
        match connect().await {
            Err(_) if watch.elapsed() < PATIENCE => watch.pause(Duration::from_millis(100)).await,
            answer => return answer,
        }
    }
}

/// The folder of a run and the store.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) subject: Arc<dyn Subject>,
}

impl Place {
    /// Creates what is missing.
    pub(crate) fn new(folder: &Path, subject: Arc<dyn Subject>) -> Result<Self> {
        for part in ["logs", "tokens", tokens::USED] {
            let part = folder.join(part);
            std::fs::create_dir_all(&part).with_context(|| part.display().to_string())?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            subject,
        })
    }

    /// A client of the store.
    pub(crate) async fn connect(&self) -> Result<Client> {
        if self.subject.is_remote() {
            return patiently(|| self.subject.connect()).await;
        }
        self.subject.connect().await
    }

    /// The folder of the logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The log of a process.
    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// What a process says on its standard error.
    pub(crate) fn stderr(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.err"))
    }

    /// What a process that is alone says of the tasks that are left.
    pub(crate) fn left(&self) -> PathBuf {
        self.folder.join("left.json")
    }

    /// The tokens of waits.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }
}
