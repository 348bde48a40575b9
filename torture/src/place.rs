//! Where the files of a run are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The folder of a run and, perhaps elsewhere, the store's file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) file: PathBuf,
}

impl Place {
    /// Creates what is missing.
    pub(crate) fn new(folder: &Path, file: PathBuf) -> Result<Self> {
        for part in ["logs", "tokens"] {
            let part = folder.join(part);
            std::fs::create_dir_all(&part).with_context(|| part.display().to_string())?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            file,
        })
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

    /// The tokens of waits.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }
}
