//! The folder that holds the servers' folders, and what is left there by owners that were killed with their guardians.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::guardian::Guardian;
use crate::kind::Kind;
use crate::user;

/// A server's folder, owned as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    /// None for a folder in a place of the caller's: nobody sweeps there.
    _claim: Option<Claim>,
}

/// Says that the folder's owner lives.
#[derive(Debug)]
struct Claim {
    lock: PathBuf,
    _owner: File,
}

/// The folder of all servers of this user.
fn home() -> io::Result<PathBuf> {
    let home = env::temp_dir().join(format!("task-retry-servers-{}", user::own_uid()));
    fs::create_dir_all(&home)?;
    Ok(home)
}

/// One process at a time makes or sweeps folders.
fn turn(home: &Path) -> io::Result<File> {
    let file = File::create(home.join("turn"))?;
    file.lock()?;
    Ok(file)
}

/// A new folder for a server at this port. Sweeps what dead owners left.
pub(crate) fn claim(kind: Kind, port: u16) -> io::Result<Place> {
    let home = home()?;
    let _turn = turn(&home)?;
    sweep(&home)?;
    let name = format!("{kind}-{port}");
    let lock = home.join(format!("{name}.lock"));
    let owner = File::create(&lock)?;
    owner.try_lock().map_err(io::Error::other)?;
    let folder = home.join(name);
    fs::create_dir(&folder)?;
    Ok(Place {
        folder,
        _claim: Some(Claim { lock, _owner: owner }),
    })
}

/// A new folder for a server at this port, in a place of the caller's. No file there is held open.
pub(crate) fn within(home: &Path, kind: Kind, port: u16) -> io::Result<Place> {
    fs::create_dir_all(home)?;
    let folder = home.join(format!("{kind}-{port}"));
    fs::create_dir(&folder)?;
    Ok(Place { folder, _claim: None })
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.lock);
    }
}

/// Ends the servers whose owners are dead.
fn sweep(home: &Path) -> io::Result<()> {
    for entry in home.read_dir()? {
        let lock = entry?.path();
        if lock.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let dead = File::open(&lock).is_ok_and(|file| file.try_lock().is_ok());
        if dead {
            // A guardian whose owner is already gone.
            drop(Guardian::start(&lock.with_extension(""), "KILL")?);
            fs::remove_file(&lock)?;
        }
    }
    Ok(())
}

/// The kind and folder of each server.
pub(crate) fn folders() -> io::Result<Vec<(Kind, PathBuf)>> {
    let home = home()?;
    let mut found = Vec::new();
    for entry in home.read_dir()? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let kind = name.rsplit_once('-').and_then(|(kind, _)| kind.parse().ok());
        if let (true, Some(kind)) = (path.is_dir(), kind) {
            found.push((kind, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A server that is left: its folder, its owner's claim that nobody holds, and a process by its id.
    fn left(home: &Path, name: &str, pid: u32) -> PathBuf {
        let folder = home.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("0.pid"), format!("{pid}\n")).expect("its file");
        File::create(home.join(format!("{name}.lock"))).expect("its claim");
        folder
    }

    fn process(folder: &Path) -> Child {
        let mut command = Command::new("cat");
        command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        command.spawn().expect("it starts")
    }

    #[test]
    fn a_sweep_ends_what_is_left_and_nobody_else() {
        let home = env::temp_dir().join(format!("sweep-{}", std::process::id()));
        fs::create_dir_all(home.join("redis-1")).expect("a folder");
        let mut server = process(&home.join("redis-1"));
        // The id of this one was a server's before the machine gave it away again.
        let mut stranger = process(&home);
        let folders = [
            left(&home, "redis-1", server.id()),
            left(&home, "redis-2", stranger.id()),
        ];
        sweep(&home).expect("a sweep");
        assert!(folders.iter().all(|folder| !folder.exists()));
        assert!(!server.wait().expect("it ended").success(), "killed");
        assert_eq!(stranger.try_wait().expect("its state"), None, "it lives");
        stranger.kill().and_then(|()| stranger.wait()).expect("it ends");
        fs::remove_dir_all(home).expect("it goes");
    }
}
