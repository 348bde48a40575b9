//! Power cuts: the files of the store, or of its server, are on an ext4 image that is shut down, without its journal, under the
//! running processes.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use retry_core::seams::{Random as _, SeededRandom};

use crate::args::Run;
use crate::clock::Watch;
use crate::crew::Crew;
use crate::report::line;
use crate::stores::Home;
use crate::tokens;

/// `EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`: nothing that is not on the disk gets there any more. Says in milliseconds when.
const PYTHON: &str = "import fcntl, os, struct, sys, time; d = os.open(sys.argv[1], os.O_RDONLY); \
    at = time.time(); fcntl.ioctl(d, 0x8004587d, struct.pack('I', 2)); print(int(at * 1000))";
const PERL: &str = "use Time::HiRes; open(my $d, '<', $ARGV[0]) or die $!; my $flag = pack('L', 2); \
    my $at = Time::HiRes::time(); ioctl($d, 0x8004587d, $flag) or die $!; print(int($at * 1000));";

/// The size of the image, which takes only as much as is written: PostgreSQL's journal may grow to 1 GiB.
const SIZE: &str = "2G";

/// How long a file system may live on when its users were killed: they have to be gone, and who copied the mounts of the machine.
const FREED: Duration = Duration::from_secs(20);

/// Set in a run whose mounts are its own.
const APART: &str = "TORTURE_MOUNTS_APART";

/// Runs this very command in a name space of mounts of its own, so that nobody who copies the machine's mounts keeps the file
/// system alive; how it ended. None: this is that run.
pub(crate) fn apart() -> Result<Option<ExitCode>> {
    if std::env::var_os(APART).is_some() {
        return Ok(None);
    }
    let words = ["unshare", "--mount", "--propagation", "private"];
    tool(&[&words[..], &["true"]].concat())?;
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(std::env::current_exe()?);
    let status = command
        .args(std::env::args_os().skip(1))
        .env(APART, "1")
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(Some(code.map_or(ExitCode::FAILURE, ExitCode::from)))
}

/// A file system of its own in a file, mounted. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    /// The command that shuts it down, but for the mount point.
    shutdown: Vec<&'static str>,
}

impl Disk {
    /// Makes one, or says why it cannot be.
    pub(crate) async fn new(folder: &Path) -> Result<Self> {
        let disk = Self {
            image: folder.join("disk.img"),
            mount: folder.join("disk"),
            shutdown: shutdown_tool()?,
        };
        std::fs::create_dir_all(&disk.mount)?;
        let image = disk.image.display().to_string();
        tool(&["truncate", "-s", SIZE, &image])?;
        tool(&["mkfs.ext4", "-q", "-F", &image])?;
        disk.mount()?;
        disk.cut().context("the file system cannot be shut down")?;
        disk.remount().await?;
        Ok(disk)
    }

    /// A home for stores on it.
    pub(crate) fn home(&self) -> Home<'_> {
        Home {
            files: &self.mount,
            servers: Some(&self.mount),
        }
    }

    fn mount(&self) -> Result<()> {
        let (image, mount) = (self.image.display().to_string(), self.mount.display().to_string());
        tool(&["mount", "-t", "ext4", "-o", "loop", &image, &mount])?;
        Ok(())
    }

    /// Cuts the power; answers when, in milliseconds.
    fn cut(&self) -> Result<i64> {
        let mount = self.mount.display().to_string();
        let words: Vec<&str> = self.shutdown.iter().copied().chain([mount.as_str()]).collect();
        tool(&words)?.trim().parse().context("the tool told no time")
    }

    /// The machine starts again.
    async fn remount(&self) -> Result<()> {
        let watch = Watch::start();
        // A server's children outlive it by a moment, and what they have open keeps the file system where it is.
        while let Err(busy) = tool(&["umount", &self.mount.display().to_string()]) {
            ensure!(
                watch.elapsed() < FREED,
                "{busy:#}, {FREED:?} after its users were killed"
            );
            watch.pause(Duration::from_millis(20)).await;
        }
        // As long as somebody keeps the file system alive it would come back dead.
        while !tool(&["losetup", "-j", &self.image.display().to_string()])?.is_empty() {
            ensure!(
                watch.elapsed() < FREED,
                "the image is still in use {FREED:?} after it was unmounted"
            );
            watch.pause(Duration::from_millis(20)).await;
        }
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also when it is not mounted.
        let _ = tool(&["umount", &self.mount.display().to_string()]);
    }
}

fn shutdown_tool() -> Result<Vec<&'static str>> {
    for (program, option, script) in [("python3", "-c", PYTHON), ("perl", "-e", PERL)] {
        if tool(&[program, option, ""]).is_ok() {
            return Ok(vec![program, option, script]);
        }
    }
    bail!("neither python3 nor perl is there to call the ioctl")
}

/// Runs a program; answers what it said.
fn tool(words: &[&str]) -> Result<String> {
    let mut command = Command::new(words[0]);
    let told = command.args(&words[1..]).stdin(Stdio::null()).output();
    let told = told.with_context(|| format!("{} cannot be run", words[0]))?;
    let error = String::from_utf8_lossy(&told.stderr);
    ensure!(told.status.success(), "{}: {}", words[0], error.trim());
    Ok(String::from_utf8_lossy(&told.stdout).into_owned())
}

/// Cuts the power again and again; each time the server must start, if there is one, and the store open, sound.
pub(crate) async fn cut(crew: &mut Crew, disk: &Disk, run: &Run, random: &SeededRandom) -> Result<()> {
    let cuts = if run.quick { 2 } else { run.cuts };
    let subject = Arc::clone(&crew.place.subject);
    for number in 1..=cuts {
        let wait = Duration::from_millis(1_500 + random.next_u64() % 2_500);
        crew.live(wait).await?;
        let from = disk.cut()?;
        // They go on for a moment on a disk that answers with errors.
        let moment = Duration::from_millis(random.next_u64() % 50);
        crew.watch.pause(moment).await;
        for index in 0..crew.slots.len() {
            crew.kill(index, Some(Duration::ZERO)).await?;
        }
        if let Some(server) = subject.server() {
            server.kill().await?;
        }
        crew.cut(from).await;
        tokens::put_back(&crew.place.tokens())?;
        disk.remount().await?;
        if let Some(server) = subject.server()
            && let Err(why) = server.start().await
        {
            if let Err(error) = server.keep(&crew.place.folder) {
                line(&format!("the server's data is not kept: {error:#}"));
            }
            return Err(why.context(format!("after cut {number} the server does not start")));
        }
        match subject.damage().await {
            Ok(damage) if damage.is_empty() => line(&format!("cut {number}: the store opens and is sound")),
            Ok(damage) => crew
                .problems
                .extend(damage.iter().map(|what| format!("after cut {number}: {what}"))),
            Err(error) => crew
                .problems
                .push(format!("after cut {number} the store does not open: {error:#}")),
        }
    }
    Ok(())
}
