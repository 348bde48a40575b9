//! How a wait's token travels from the worker to whoever completes it: a file each, named by the task.

use std::path::Path;

use anyhow::{Context as _, Result};
use retry_core::task::WaitToken;

/// Hands a token over.
pub(crate) fn put(folder: &Path, n: u64, token: WaitToken) -> Result<()> {
    let (draft, path) = (
        folder.join(format!(".{}-{}", token.task, std::process::id())),
        folder.join(token.task.to_string()),
    );
    std::fs::write(&draft, format!("{n} {token}")).context("writing a token")?;
    std::fs::rename(&draft, &path).context("handing a token over")
}

/// The tokens that wait, up to `limit`.
pub(crate) fn all(folder: &Path, limit: usize) -> Vec<(u64, WaitToken)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let visible = |name: &std::ffi::OsStr| !name.as_encoded_bytes().starts_with(b".");
    entries
        .flatten()
        .filter(|entry| visible(&entry.file_name()))
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path()).ok()?;
            let (n, token) = text.split_once(' ')?;
            Some((n.parse().ok()?, token.parse().ok()?))
        })
        .take(limit)
        .collect()
}

/// Takes a token away.
pub(crate) fn remove(folder: &Path, token: WaitToken) {
    let _ = std::fs::remove_file(folder.join(token.task.to_string()));
}
