//! How a wait's token travels from the worker to whoever completes it: a file each, named by the task.

use std::path::{Path, PathBuf};

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

/// Where the tokens are that were used.
pub(crate) const USED: &str = "tokens/.used";

fn used(folder: &Path) -> PathBuf {
    folder.join(".used")
}

/// Takes a token away that was used.
pub(crate) fn remove(folder: &Path, token: WaitToken) {
    let name = token.task.to_string();
    // Another one who completes may have been first.
    let _ = std::fs::rename(folder.join(&name), used(folder).join(&name));
}

/// Puts those back that were used: the completion may be forgotten whose answer came when the power had been cut.
pub(crate) fn put_back(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(used(folder)).context("the used tokens")? {
        let entry = entry?;
        std::fs::rename(entry.path(), folder.join(entry.file_name())).context("putting a token back")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use retry_core::id::TaskId;

    use super::*;

    #[test]
    fn a_used_token_can_be_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens");
        std::fs::create_dir_all(dir.path().join(USED)).unwrap();
        let text = format!("{}.1.{:016x}", TaskId::from_bytes([7; 16]), 9);
        let token: WaitToken = text.parse().unwrap();
        put(&tokens, 5, token).unwrap();
        assert_eq!(all(&tokens, 9), [(5, token)]);
        remove(&tokens, token);
        remove(&tokens, token);
        assert_eq!(all(&tokens, 9), []);
        put_back(&tokens).unwrap();
        assert_eq!(all(&tokens, 9), [(5, token)]);
    }
}
