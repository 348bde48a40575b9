//! Real processes: the test's own program, started again with a role.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::{crash, export, processes};

const ROLE: &str = "RETRY_SLED_CHILD";
const FILE: &str = "RETRY_SLED_FILE";

/// A child process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// Open as long as the child is to wait.
    _stdin: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

/// The command that starts this program in a role.
pub(crate) fn command(program: &Path, role: &str, file: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", "child::the_child", "--nocapture", "--quiet"])
        .env(ROLE, role)
        .env(FILE, file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

pub(crate) fn start(role: &str, file: &Path) -> Process {
    Process::of(command(&std::env::current_exe().unwrap(), role, file))
}

impl Process {
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take();
        Self {
            child,
            _stdin: stdin,
            lines,
        }
    }

    /// The next line that the role said; none at its end. What the test runner says is passed over.
    pub(crate) fn says(&mut self) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("> ").map(str::to_owned))
    }

    /// As a power cut of the process: nothing in it runs any more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells the parent a line.
pub(crate) fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {line}").unwrap();
    out.flush().unwrap();
}

/// Waits until the parent lets the child go on.
pub(crate) fn wait() {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// Does nothing in the parent; in a child it is the role.
#[test]
fn the_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let file = std::path::PathBuf::from(std::env::var_os(FILE).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "work" => crash::work_for_ever(&file).await,
            "hold" => processes::hold(&file).await,
            "import" => export::import_for_ever(&file),
            other => panic!("there is no role {other}"),
        }
    });
}
