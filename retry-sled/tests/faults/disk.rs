//! A file system of its own in a file, mounted, that can be shut down without its journal.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// `EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`: nothing that is not on the disk gets there any more.
const PYTHON: &str = "import fcntl, os, struct, sys; d = os.open(sys.argv[1], os.O_RDONLY); \
                      fcntl.ioctl(d, 0x8004587d, struct.pack('I', 2))";
const PERL: &str = "open(my $d, '<', $ARGV[0]) or die $!; my $flag = pack('L', 2); \
                    ioctl($d, 0x8004587d, $flag) or die $!;";

/// Says that this process has a name space of mounts of its own.
const APART: &str = "RETRY_SLED_APART";

/// Runs this program again in a name space of mounts of its own, and answers how that ended. A file system that is mounted
/// where others see it may be kept alive by them, and would come back from a power cut as dead as it went. None: it is apart
/// already, or cannot be.
pub(crate) fn run_apart() -> Option<ExitCode> {
    if std::env::var_os(APART).is_some() || tool(&["unshare", "--mount", "true"]).is_err() {
        return None;
    }
    let status = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().ok()?)
        .args(std::env::args_os().skip(1))
        .env(APART, "1")
        .status()
        .ok()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// How long an unmounted file system may live on.
const FREED: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// Mounted for as long as it lives.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
    shutdown: Vec<&'static str>,
}

impl Disk {
    /// Makes one of `mib` MiB, or says why it cannot be.
    pub(crate) fn new(mib: u32) -> Result<Self, String> {
        let tools = [("python3", "-c", PYTHON), ("perl", "-e", PERL)];
        let shutdown = tools
            .into_iter()
            .find(|(program, option, _)| tool(&[program, option, ""]).is_ok())
            .map(|(program, option, script)| vec![program, option, script])
            .ok_or("python3 or perl is needed to shut the file system down; install one")?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let disk = Self { folder, shutdown };
        std::fs::create_dir(disk.path()).map_err(|error| error.to_string())?;
        let mountable = |error: String| {
            format!("a file system of its own is needed; run as root where loop devices are ({error})")
        };
        tool(&["truncate", "-s", &format!("{mib}M"), &disk.image()]).map_err(mountable)?;
        tool(&["mkfs.ext4", "-q", "-F", &disk.image()]).map_err(mountable)?;
        disk.mount().map_err(mountable)?;
        disk.cut().map_err(mountable)?;
        disk.remount().map_err(mountable)?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn image(&self) -> String {
        text(&self.folder.path().join("image"))
    }

    fn mount(&self) -> Result<(), String> {
        let (image, path) = (self.image(), text(&self.path()));
        tool(&["mount", "-t", "ext4", "-o", "loop", &image, &path]).map(drop)
    }

    /// Cuts the power.
    pub(crate) fn cut(&self) -> Result<(), String> {
        let path = text(&self.path());
        let words: Vec<&str> = self.shutdown.iter().copied().chain([path.as_str()]).collect();
        tool(&words).map(drop)
    }

    /// The machine starts again.
    pub(crate) fn remount(&self) -> Result<(), String> {
        tool(&["umount", &text(&self.path())])?;
        // Somebody else, in a name space of mounts of his own, may keep the file system alive: it would come back dead.
        for _ in 0..FREED.as_millis() / PAUSE.as_millis() {
            if tool(&["losetup", "-j", &self.image()])?.is_empty() {
                return self.mount();
            }
            pause();
        }
        Err("somebody keeps the file system alive".to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also when it is not mounted.
        let _ = tool(&["umount", &text(&self.path())]);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Waits a moment in real time, in which the kernel lives.
fn pause() {
    let (_nobody, never) = std::sync::mpsc::channel::<()>();
    // The time-out is the pause.
    let _ = never.recv_timeout(PAUSE);
}

/// Runs a program; answers what it said.
fn tool(words: &[&str]) -> Result<String, String> {
    let told = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    if told.status.success() {
        return Ok(String::from_utf8_lossy(&told.stdout).into_owned());
    }
    Err(format!(
        "{}: {}",
        words[0],
        String::from_utf8_lossy(&told.stderr).trim()
    ))
}
