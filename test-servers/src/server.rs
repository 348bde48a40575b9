//! One running server, owned by the process that started it.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::family;
use crate::guardian::Guardian;
use crate::home::{self, Place};
use crate::kind::Kind;
use crate::ports;
use crate::setup::{self, Setup};

/// How often another port is tried when somebody took the one that was free a moment ago.
const TRIES: usize = 3;

/// A running server. Dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    /// A place for each process; none that was killed.
    children: Mutex<Vec<Option<Child>>>,
    /// Dropped before the claim on the folder: what still runs ends, and the folder goes.
    guardian: Option<Guardian>,
    _place: Place,
}

/// Starts a server with durable settings.
///
/// # Errors
/// [`Error::Missing`] when its programs are not installed, [`Error::Failed`] when it does not start.
pub fn start(kind: Kind) -> Result<Server, Error> {
    start_with(kind, &[])
}

/// Starts a server with settings of its own, by the server's names: `("fsync", "off")`.
///
/// # Errors
/// As [`start`].
pub fn start_with(kind: Kind, settings: &[(&str, &str)]) -> Result<Server, Error> {
    create(kind, settings, None)
}

/// Starts a server, with settings as [`start_with`], whose folder is in `home` in place of the temporary one: on a disk that will
/// lose its power, say. The account that servers run under must be able to reach it. No file there is held open while the server is
/// killed, and what the server's tools wrote before its first start, which they do not sync, is on the disk.
///
/// # Errors
/// As [`start`].
pub fn start_in(home: &Path, kind: Kind, settings: &[(&str, &str)]) -> Result<Server, Error> {
    create(kind, settings, Some(home))
}

fn create(kind: Kind, settings: &[(&str, &str)], home: Option<&Path>) -> Result<Server, Error> {
    let mut last = None;
    for _ in 0..TRIES {
        match Server::create(kind, settings, home) {
            Ok(server) => return Ok(server),
            Err(error @ Error::Missing { .. }) => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::failed(kind, "not tried")))
}

impl Server {
    fn create(kind: Kind, settings: &[(&str, &str)], home: Option<&Path>) -> Result<Self, Error> {
        let broken = |error| Error::failed(format_args!("{kind}: its folder"), error);
        let recipe = crate::recipe::of(kind)?;
        let ports = ports::free(recipe.processes()).map_err(broken)?;
        let place = match home {
            Some(home) => home::within(home, kind, ports[0]).map_err(broken)?,
            None => home::claim(kind, ports[0]).map_err(broken)?,
        };
        let guardian = Guardian::start(&place.folder, recipe.signal()).map_err(broken)?;
        let setup = Setup::new(kind, recipe, &place.folder, ports, settings).map_err(broken)?;
        setup.create()?;
        if home.is_some() {
            sync(&place.folder)?;
        }
        let server = Self {
            children: Mutex::new(setup.ports.iter().map(|_| None).collect()),
            setup,
            guardian: Some(guardian),
            _place: place,
        };
        server.run()?;
        server.setup.join()?;
        server.setup.settle()?;
        Ok(server)
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.setup.kind
    }

    /// How a client reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        self.setup.url()
    }

    /// The ports of its processes, on the loopback address.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.setup.ports
    }

    /// Its folder: the data in `data`, what each process prints in `0.log`, `1.log`, …
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.setup.folder
    }

    /// Kills every process at once (SIGKILL), with all that it started, and waits until they are gone. The data stays.
    pub fn kill(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        family::kill(&children.iter().flatten().map(Child::id).collect::<Vec<_>>());
        for mut child in children.iter_mut().filter_map(Option::take) {
            // Also where there is no program that kills.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.setup.wait_closed();
    }

    /// Kills one process (SIGKILL) with all that it started, by its place among the [`ports`](Self::ports), and waits until it is gone. The others go on.
    pub fn kill_process(&self, process: usize) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut child) = children.get_mut(process).and_then(Option::take) else {
            return;
        };
        family::kill(&[child.id()]);
        let _ = child.kill();
        let _ = child.wait();
        self.setup.wait_closed_at(process);
    }

    /// Starts what was killed, or ended by itself, again, with the same data and ports; returns when all answer and serve together.
    ///
    /// # Errors
    /// [`Error::Failed`] when a process does not answer.
    pub fn revive(&self) -> Result<(), Error> {
        self.run()?;
        self.setup.settle()
    }

    /// Kills it, if it runs, and starts it again with the same data and ports.
    ///
    /// # Errors
    /// [`Error::Failed`] when it does not answer.
    pub fn restart(&self) -> Result<(), Error> {
        self.kill();
        self.revive()
    }

    fn run(&self) -> Result<(), Error> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        for (process, child) in children.iter_mut().enumerate() {
            let lives = |child: &mut Child| matches!(child.try_wait(), Ok(None));
            if !child.as_mut().is_some_and(lives) {
                *child = Some(self.setup.run(process)?);
            }
        }
        Ok(())
    }
}

/// Brings all that was written on the disk of a folder there.
fn sync(folder: &Path) -> Result<(), Error> {
    let status = Command::new("sync").arg("-f").arg(folder).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::failed("sync -f", status)),
        Err(error) => Err(Error::failed("sync -f", error)),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let children = self.children.get_mut().unwrap_or_else(PoisonError::into_inner);
        for child in children.iter_mut().flatten() {
            setup::end(child, self.setup.signal());
        }
        drop(self.guardian.take());
        // The threads of a large process hold its ports for a moment longer than it counts as alive.
        self.setup.wait_closed();
    }
}
