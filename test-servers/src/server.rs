//! One running server, owned by the process that started it.

use std::path::Path;
use std::process::Child;
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
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
    children: Mutex<Vec<Child>>,
    // Dropped in this order: what still runs ends and the folder goes before the claim on it.
    _guardian: Guardian,
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
    let mut last = None;
    for _ in 0..TRIES {
        match Server::create(kind, settings) {
            Ok(server) => return Ok(server),
            Err(error @ Error::Missing { .. }) => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::failed(kind, "not tried")))
}

impl Server {
    fn create(kind: Kind, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let broken = |error| Error::failed(format_args!("{kind}: its folder"), error);
        let recipe = crate::recipe::of(kind)?;
        let ports = ports::free(recipe.processes()).map_err(broken)?;
        let place = home::claim(kind, ports[0]).map_err(broken)?;
        let guardian = Guardian::start(&place.folder, recipe.signal()).map_err(broken)?;
        let setup = Setup::new(kind, recipe, &place.folder, ports, settings).map_err(broken)?;
        setup.create()?;
        let server = Self {
            setup,
            children: Mutex::default(),
            _guardian: guardian,
            _place: place,
        };
        server.run()?;
        server.setup.join()?;
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

    /// Kills every process at once (SIGKILL) and waits until they are gone. The data stays.
    pub fn kill(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        for child in children.iter_mut() {
            let _ = child.kill();
        }
        for mut child in children.drain(..) {
            let _ = child.wait();
        }
        self.setup.wait_closed();
    }

    /// Kills it, if it runs, and starts it again with the same data and ports.
    ///
    /// # Errors
    /// [`Error::Failed`] when it does not answer.
    pub fn restart(&self) -> Result<(), Error> {
        self.kill();
        self.run()
    }

    fn run(&self) -> Result<(), Error> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        self.setup.run(&mut children)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let children = self.children.get_mut().unwrap_or_else(PoisonError::into_inner);
        for child in children {
            setup::end(child, self.setup.signal());
        }
    }
}
