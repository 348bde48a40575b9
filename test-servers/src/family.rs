//! A process and all that it started, killed at the same moment: PostgreSQL's backends would otherwise outlive their parent, and
//! answer what they were just asked.

use std::process::{Command, Stdio};

use crate::wait;

/// Kills processes and their descendants (SIGKILL), and waits until no descendant runs; they themselves are waited for by whoever
/// started them. What a process left to another parent lives on.
pub fn kill(parents: &[u32]) {
    // Those that stand still start no others.
    for parent in parents {
        signal("STOP", *parent);
    }
    let table = table(&["-A", "-o", "pid=,ppid="]);
    let others: Vec<u32> = parents
        .iter()
        .flat_map(|parent| descendants(*parent, &table))
        .collect();
    for member in parents.iter().chain(&others) {
        signal("KILL", *member);
    }
    wait::until(|| others.iter().all(|member| is_gone(*member)));
}

/// Whether the signal could be sent.
pub(crate) fn signal(name: &str, pid: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(pid.to_string());
    kill.stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What `ps` says.
fn table(arguments: &[&str]) -> String {
    let said = Command::new("ps").args(arguments).stderr(Stdio::null()).output();
    said.map_or_else(
        |_| String::new(),
        |said| String::from_utf8_lossy(&said.stdout).into_owned(),
    )
}

/// Whoever has `pid` among its parents, of lines of a process and its parent.
fn descendants(pid: u32, table: &str) -> Vec<u32> {
    let pair = |line: &str| {
        let mut words = line.split_whitespace().map(str::parse);
        Some((words.next()?.ok()?, words.next()?.ok()?))
    };
    let pairs: Vec<(u32, u32)> = table.lines().filter_map(pair).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = pairs
            .iter()
            .filter(|(child, of)| *of == parent && *child != parent);
        found.extend(children.map(|(child, _)| *child));
    }
    found.split_off(1)
}

/// One that nobody has waited for yet has ended as well.
fn is_gone(pid: u32) -> bool {
    let state = table(&["-o", "stat=", "-p", &pid.to_string()]);
    state.trim().is_empty() || state.trim().starts_with('Z')
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn a_family_is_all_that_descends() {
        let table = "   1    0\n  10    1\n  11   10\n  12   11\n  13    1\n";
        assert_eq!(descendants(10, table), [11, 12]);
        assert_eq!(descendants(13, table), [0; 0]);
    }

    #[test]
    fn children_die_with_their_parent() {
        let mut parent = Command::new("sh")
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let child = line.trim().parse().unwrap();
        assert!(!is_gone(child));
        kill(&[parent.id()]);
        assert!(is_gone(child));
        assert!(!parent.wait().unwrap().success());
    }
}
