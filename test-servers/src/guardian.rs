//! A process that outlives its owner by just enough to clean up after it.
//!
//! It waits for the end of its standard input. The owner holds the other end, so it ends with the owner, however that dies.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Reads until the end of input, then stops the processes named in the folder that work in it, as [`works_in`](crate::process::works_in)
/// says it, and removes it. The folder is `$1`, the signal `$2`.
const SCRIPT: &str = r#"
while read -r _; do :; done
dir=$(cd "$1" && pwd -P)
mentions() { for word in "$dir" $(head -n 1 "$1/state" 2>/dev/null); do case "$(ps -o args= -p "$2")" in *"$word"*) return 0 ;; esac; done; return 1; }
works_in() {
  [ -e /proc/self/cwd ] || { mentions "$1" "$2"; return; }
  case "$(readlink "/proc/$2/cwd")" in "$dir"|"$dir"/*) return 0 ;; esac
  return 1
}
pids() { for pid in $(cat "$1"/*.pid 2>/dev/null); do works_in "$1" "$pid" && echo "$pid"; done; }
alive() { for pid in $(pids "$1"); do case "$(ps -o stat= -p "$pid")" in ''|Z*) ;; *) return 0 ;; esac; done; return 1; }
stop() { for pid in $(pids "$1"); do kill "-$2" "$pid" 2>/dev/null; done; }
stop "$1" "$2"
tries=0
while alive "$1" && [ "$tries" -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
stop "$1" KILL
rm -rf "$1"
"#;

/// Cleans up when it is dropped, or when this process is gone.
#[derive(Debug)]
pub(crate) struct Guardian(Child);

impl Guardian {
    /// Watches over the folder from now on.
    pub(crate) fn start(folder: &Path, signal: &str) -> io::Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(folder)
            .arg(signal)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
