//! Runs other programs: what they print goes through as it is, and a failure is a sentence.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use test_servers::kill_with_descendants;

use crate::clock::{self, Stopwatch};

/// A `cargo` command line in the workspace, of the same toolchain that runs this tool.
pub(crate) fn cargo(root: &Path, line: &str) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root).args(line.split_whitespace());
    command
}

/// Where cargo puts what it builds: beside this very program.
pub(crate) fn programs() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let folder = own.parent().ok_or("this program is in no folder")?;
    Ok(folder.to_owned())
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    println!("$ {}", shown(&command));
    let status = command
        .status()
        .map_err(|error| format!("cannot start {}: {error}", shown(&command)))?;
    verdict(&command, status)
}

/// Runs a command that must end by itself within `limit`, and has `look` see each line that it prints. What it prints is passed on as
/// it comes: a test that hangs is known by the line that it has begun. One that does not end is killed with all that it started.
pub(crate) fn run_watched(
    mut command: Command,
    limit: Duration,
    mut look: impl FnMut(&str),
) -> Result<(), String> {
    println!("$ {}", shown(&command));
    let watch = Stopwatch::start();
    let child = command.stdout(Stdio::piped()).spawn();
    let cannot = |error| format!("cannot run {}: {error}", shown(&command));
    let mut child = child.map_err(cannot)?;
    let pieces = pieces(child.stdout.take().ok_or("its output is not there")?);
    let (mut lines, mut over) = (Lines::default(), false);
    loop {
        let left = limit.saturating_sub(watch.elapsed());
        match pieces.recv_timeout(if over { LAST_WORDS } else { left }) {
            Ok(piece) => lines.pass_on(&piece, &mut look).map_err(cannot)?,
            Err(RecvTimeoutError::Disconnected) => break,
            // Somebody who is no descendant any more holds its output.
            Err(RecvTimeoutError::Timeout) if over => break,
            Err(RecvTimeoutError::Timeout) => {
                over = true;
                kill_with_descendants(&[child.id()]);
                // Also where there is no program that kills.
                let _ = child.kill();
            }
        }
    }
    lines.end(&mut look);
    let status = child.wait().map_err(cannot)?;
    match over {
        true => Err(too_long(&command, limit)),
        false => verdict(&command, status),
    }
}

/// How long the output of what was killed is listened to for what it had printed before.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is printed, piece by piece, until the end.
fn pieces(mut output: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 8 * 1024];
        loop {
            let piece = match output.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => buffer[..read].to_vec(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            if send.send(piece).is_err() {
                return;
            }
        }
    });
    receive
}

/// The lines of what comes in pieces.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn pass_on(&mut self, piece: &[u8], look: &mut impl FnMut(&str)) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(piece)?;
        out.flush()?;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end(look);
            }
        }
        Ok(())
    }

    fn end(&mut self, look: &mut impl FnMut(&str)) {
        if !self.begun.is_empty() {
            look(String::from_utf8_lossy(&self.begun).trim_end());
            self.begun.clear();
        }
    }
}

/// Runs a command that must end by itself within `limit`, and kills it when it does not.
pub(crate) fn run_within(mut command: Command, limit: Duration) -> Result<(), String> {
    println!("$ {}", shown(&command));
    let watch = Stopwatch::start();
    let child = command.stdin(Stdio::null()).spawn();
    let cannot = |error| format!("cannot run {}: {error}", shown(&command));
    let mut child = child.map_err(cannot)?;
    loop {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            return verdict(&command, status);
        }
        if watch.elapsed() > limit {
            child.kill().and_then(|()| child.wait()).map_err(cannot)?;
            return Err(too_long(&command, limit));
        }
        clock::nap();
    }
}

/// Runs a command and returns what it printed; if it failed, prints it.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", shown(&command)))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    verdict(&command, output.status).inspect_err(|_| println!("{}", told.trim_end()))?;
    Ok(told)
}

/// Whether a command starts and succeeds; what it prints is thrown away.
pub(crate) fn works(mut command: Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn verdict(command: &Command, status: ExitStatus) -> Result<(), String> {
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", shown(command)))
    }
}

fn too_long(command: &Command, limit: Duration) -> String {
    format!(
        "{} still ran after {} s and was killed",
        shown(command),
        limit.as_secs()
    )
}

/// The command as one would type it, with the variables it sets.
fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| {
            Some(format!(
                "{}='{}'",
                name.to_string_lossy(),
                value?.to_string_lossy()
            ))
        })
        .collect();
    let program = Path::new(command.get_program());
    words.push(
        program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned(),
    );
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn an_exit_code_decides() {
        assert_eq!(run(shell("exit 0")), Ok(()));
        assert!(run(shell("exit 3")).is_err());
        assert!(run(Command::new("a-program-that-does-not-exist")).is_err());
    }

    #[test]
    fn what_is_printed_is_seen() {
        let mut seen = Vec::new();
        let look = |line: &str| seen.push(line.to_owned());
        assert_eq!(
            run_watched(shell("echo one; echo; printf two"), LONG, look),
            Ok(())
        );
        assert_eq!(seen, ["one", "", "two"]);
        assert!(run_watched(shell("echo lost; exit 3"), LONG, |_| ()).is_err());
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let message = run_within(shell("exec tail -f /dev/null"), SHORT).unwrap_err();
        assert!(message.contains("killed"), "{message}");
        assert_eq!(run_within(shell("exit 0"), LONG), Ok(()));
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let mut child = String::new();
        // The one that hangs holds the output open.
        let hangs = shell("tail -f /dev/null & echo $!; wait");
        let look = |line: &str| line.clone_into(&mut child);
        let message = run_watched(hangs, Duration::from_secs(1), look).unwrap_err();
        assert!(message.contains("killed"), "{message}");
        assert!(!child.is_empty(), "it is passed on");
        let told = Command::new("ps").args(["-o", "stat=", "-p", &child]).output();
        let state = String::from_utf8(told.unwrap().stdout).unwrap();
        // One whose new parent does not collect it has ended as well.
        assert!(
            matches!(state.trim().chars().next(), None | Some('Z')),
            "it runs: {state}"
        );
    }

    #[test]
    fn the_shown_line_can_be_typed() {
        let mut command = cargo(Path::new("."), "test --workspace");
        command.env("RETRY_REQUIRE", "all");
        assert_eq!(shown(&command), "RETRY_REQUIRE='all' cargo test --workspace");
    }
}
