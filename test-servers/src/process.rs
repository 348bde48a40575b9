//! Whose process an id is: the system gives the id of one that ended to another.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Whether the process is a server's in this folder: it was started there, and stays there or below. Where the system does not tell
/// that, its command line names the folder or one of its ports. One that ended works nowhere.
pub(crate) fn works_in(folder: &Path, ports: &[u16], pid: &str) -> bool {
    if !Path::new("/proc/self/cwd").exists() {
        return mentions(folder, ports, pid);
    }
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|works| works.starts_with(folder))
}

fn mentions(folder: &Path, ports: &[u16], pid: &str) -> bool {
    let told = Command::new("ps").args(["-o", "args=", "-p", pid]).output();
    let told = told.map(|told| String::from_utf8_lossy(&told.stdout).into_owned());
    let words = ports.iter().map(u16::to_string);
    let mut words = words.chain([folder.display().to_string()]);
    told.is_ok_and(|told| words.any(|word| told.contains(&word)))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Stdio};

    use super::*;

    /// A process that works in a folder until its input ends.
    fn worker(folder: &Path) -> Child {
        let mut command = Command::new("cat");
        command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        command.spawn().expect("it starts")
    }

    #[test]
    fn a_process_elsewhere_is_somebody_elses() {
        let home = std::env::temp_dir().join(format!("whose-process-{}", std::process::id()));
        let (mine, other) = (home.join("redis-1"), home.join("redis-12"));
        fs::create_dir_all(mine.join("data")).expect("a folder");
        fs::create_dir_all(&other).expect("a folder");
        for (works, is_mine) in [
            (&mine, true),
            (&mine.join("data"), true),
            (&other, false),
            (&home, false),
        ] {
            let mut child = worker(works);
            let pid = child.id().to_string();
            assert_eq!(works_in(&mine, &[1], &pid), is_mine, "{}", works.display());
            child.kill().and_then(|()| child.wait()).expect("it ends");
            assert!(!works_in(&mine, &[1], &pid), "nobody has this id now");
        }
        fs::remove_dir_all(home).expect("it goes");
    }

    #[test]
    fn a_command_line_names_the_folder_or_a_port() {
        let folder = std::env::temp_dir();
        let mut child = Command::new("tail")
            .args(["-f", "/dev/null", "-n", "40123"])
            .spawn()
            .expect("it starts");
        let pid = child.id().to_string();
        assert!(mentions(&folder, &[40_123], &pid));
        assert!(mentions(Path::new("/dev/null"), &[], &pid));
        assert!(!mentions(Path::new("/nowhere/redis-1"), &[40_124], &pid));
        child.kill().and_then(|()| child.wait()).expect("it ends");
    }
}
