//! A disk so small that it is soon full, for tests of what a server then answers.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the disk to the program that was started again on it.
const DISK: &str = "RETRY_SMALL_DISK";

/// Mounts a file system of `$1` MiB at `$2` and becomes the rest of the words.
const MOUNT: &str = "mount -t tmpfs -o size=\"${1}m\",mode=1777 small \"$2\" && shift 2 && exec \"$@\"";

/// How a program ended that was started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnDisk {
    /// It succeeded.
    Passed,
    /// It failed; what it printed.
    Failed(String),
    /// There can be no such disk here, and why.
    Impossible(String),
}

/// The small disk, in a program that [`again_on_small_disk`] started. Its temporary folder is there, so its servers are, too.
#[must_use]
pub fn small_disk() -> Option<PathBuf> {
    env::var_os(DISK).map(PathBuf::from)
}

/// Starts this program again, with other arguments, and with a disk of `mib` MiB as its temporary folder. The disk is mounted where
/// nobody else sees it, and goes with the program.
///
/// # Errors
/// The program cannot be started.
pub fn again_on_small_disk(mib: u32, arguments: &[&str]) -> io::Result<OnDisk> {
    let folder = env::temp_dir().join(format!("task-retry-disk-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let apart = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", MOUNT, "sh"]);
        unshare.arg(mib.to_string()).arg(&folder).args(command);
        unshare
    };
    let may = apart(&["true"]).stdin(Stdio::null()).output();
    let ended = match may {
        Err(error) => OnDisk::Impossible(format!("unshare: {error}")),
        Ok(said) if !said.status.success() => OnDisk::Impossible(format!(
            "a file system of its own is needed; run as root ({})",
            String::from_utf8_lossy(&said.stderr).trim()
        )),
        Ok(_) => {
            let said = apart(&[])
                .arg(env::current_exe()?)
                .args(arguments)
                .env("TMPDIR", &folder)
                .env(DISK, &folder)
                .stdin(Stdio::null())
                .output()?;
            if said.status.success() {
                OnDisk::Passed
            } else {
                let text = [said.stdout, said.stderr].concat();
                OnDisk::Failed(String::from_utf8_lossy(&text).into_owned())
            }
        }
    };
    // The mount is gone with those who saw it; nothing is in the folder.
    let _ = fs::remove_dir(&folder);
    Ok(ended)
}

/// Something on a disk that takes the room of others; dropping it frees the room.
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Ballast {
    /// Fills the disk at `folder` but for `left` bytes.
    ///
    /// # Errors
    /// What is written cannot be taken back.
    pub fn fill(folder: &Path, left: u64) -> io::Result<Self> {
        let path = folder.join("ballast");
        let mut file = File::create(&path)?;
        let block = vec![1; 64 * 1024];
        let mut written: u64 = 0;
        loop {
            match file.write(&block) {
                Ok(n) => written += n as u64,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
        file.set_len(written.saturating_sub(left))?;
        Ok(Self(path))
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        // It is gone with the disk at the latest.
        let _ = fs::remove_file(&self.0);
    }
}
