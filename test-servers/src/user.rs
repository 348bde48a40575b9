//! The account that servers run under: the caller's own, but never root's.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The account without rights that every system has.
const NOBODY: &str = "nobody";

/// Another account to run under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

/// The user id of this process.
pub(crate) fn own_uid() -> u32 {
    let place =
        fs::metadata("/proc/self").or_else(|_| fs::metadata(std::env::var_os("HOME").unwrap_or_default()));
    place.map_or(0, |data| data.uid())
}

/// The account to change to: none for an ordinary user.
pub(crate) fn account() -> io::Result<Option<Account>> {
    if own_uid() != 0 {
        return Ok(None);
    }
    let table = fs::read_to_string("/etc/passwd")?;
    let found = parse(&table, NOBODY);
    let missing = || io::Error::other("servers do not run as root, and there is no account `nobody`");
    found.map(Some).ok_or_else(missing)
}

fn parse(table: &str, name: &str) -> Option<Account> {
    let line = table.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { uid, gid })
}

/// Makes `command` run under the account, in a process group of its own: Ctrl-C in a terminal does not reach it.
pub(crate) fn run_as(command: &mut Command, account: Option<Account>) {
    command.process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// Gives a folder or file to the account.
pub(crate) fn give(path: &Path, account: Option<Account>) -> io::Result<()> {
    match account {
        Some(account) => chown(path, Some(account.uid), Some(account.gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let table = "nobody2:x:7:8::/:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        let found = parse(table, "nobody");
        assert_eq!(
            found,
            Some(Account {
                uid: 65534,
                gid: 65533
            })
        );
        assert_eq!(parse(table, "nob"), None);
    }
}
