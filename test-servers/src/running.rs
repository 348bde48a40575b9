//! Servers that run now, whoever owns them: listed, killed and restarted from outside.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::home;
use crate::kind::Kind;
use crate::setup::Setup;

/// A server that another process owns.
#[derive(Debug)]
pub struct Running(Setup);

/// The servers of this machine's user.
///
/// # Errors
/// When the folder of servers cannot be read.
pub fn running() -> io::Result<Vec<Running>> {
    let found = home::folders()?;
    // One that is just being made or removed has no complete folder: it is not running.
    let complete = |(kind, folder): (Kind, PathBuf)| Setup::read(kind, &folder).ok().map(Running);
    Ok(found.into_iter().filter_map(complete).collect())
}

impl Running {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.0.kind
    }

    /// How a client reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The ports of its processes.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.0.ports
    }

    /// Its folder, as its owner has it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Kills every process (SIGKILL). The data stays.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Kills it, if it runs, and starts it again with the same data and ports. It still ends with its owner.
    ///
    /// # Errors
    /// [`Error::Failed`] when it does not answer.
    pub fn restart(&self) -> Result<(), Error> {
        self.0.kill();
        for process in 0..self.0.ports.len() {
            // Not collected: the processes belong to the owner's guardian, which finds them by their files.
            drop(self.0.run(process)?);
        }
        self.0.settle()
    }
}
