//! sled: a folder that one process at a time can open, so that everybody works in that one.

use std::path::{Path, PathBuf};

use anyhow::Result;
use async_trait::async_trait;
use retry_sled::SledStore;

use crate::place::{Orders, Subject};

#[derive(Debug)]
pub(crate) struct Sled {
    folder: PathBuf,
    url: String,
}

impl Sled {
    /// The store in `folder`, or in a folder of its own in `home` when none is named.
    pub(crate) fn new(folder: &str, home: &Path) -> Self {
        let folder = match folder.strip_prefix("//").unwrap_or(folder) {
            "" => home.join("tasks"),
            folder => PathBuf::from(folder),
        };
        Self {
            url: format!("sled:{}", folder.display()),
            folder,
        }
    }
}

#[async_trait]
impl Subject for Sled {
    fn url(&self) -> &str {
        &self.url
    }

    fn is_alone(&self) -> bool {
        true
    }

    async fn prepare(&self) -> Result<()> {
        SledStore::open(&self.folder)?;
        Ok(())
    }

    async fn orders(&self) -> Result<Option<Box<dyn Orders>>> {
        Ok(None)
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        Ok(Vec::new())
    }

    async fn left(&self) -> Result<Vec<String>> {
        // What a process that died left in the folder is removed by the next opening, and told by the store's own tests.
        Ok(Vec::new())
    }

    async fn damage(&self) -> Result<Vec<String>> {
        let audit = SledStore::open(&self.folder)?.audit().await?;
        let mut found = audit.told;
        if audit.unreadable > 0 {
            found.push(format!("{} rows cannot be read", audit.unreadable));
        }
        if audit.problems > found.len() as u64 {
            found.push(format!("{} contradictions in all", audit.problems));
        }
        Ok(found)
    }
}
