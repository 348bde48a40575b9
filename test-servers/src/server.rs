//! One running server, owned by the process that started it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::guardian::Guardian;
use crate::home::{self, Place};
use crate::kind::Kind;
use crate::recipe::{self, Recipe, Site};
use crate::user::{self, Account};
use crate::{ports, wait};

/// How often another port is tried when somebody took the one that was free a moment ago.
const TRIES: usize = 3;

/// A running server. Dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    recipe: Box<dyn Recipe>,
    ports: Vec<u16>,
    settings: Vec<(String, String)>,
    account: Option<Account>,
    children: Mutex<Vec<Child>>,
    // Dropped in this order: the processes end and the folder goes before the claim on it.
    _guardian: Guardian,
    place: Place,
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
        let recipe = recipe::of(kind)?;
        let ports = ports::free(recipe.processes()).map_err(broken)?;
        let account = user::account().map_err(broken)?;
        let place = home::claim(kind, ports[0]).map_err(broken)?;
        let guardian = Guardian::start(&place.folder, recipe.signal()).map_err(broken)?;
        user::give(&place.folder, account).map_err(broken)?;
        let server = Self {
            kind,
            recipe,
            ports,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            account,
            children: Mutex::default(),
            _guardian: guardian,
            place,
        };
        server.recipe.create(server.site())?;
        server.run()?;
        server.recipe.join(server.site())?;
        Ok(server)
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How a client reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        self.recipe.url(&self.ports)
    }

    /// The ports of its processes, on the loopback address.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Its folder: the data in `data`, what each process prints in `0.log`, `1.log`, …
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.place.folder
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
    }

    /// Kills it, if it runs, and starts it again with the same data and ports.
    ///
    /// # Errors
    /// [`Error::Failed`] when it does not answer.
    pub fn restart(&self) -> Result<(), Error> {
        self.kill();
        self.run()
    }

    /// Starts every process and waits until each answers.
    fn run(&self) -> Result<(), Error> {
        for process in 0..self.ports.len() {
            let mut child = self.spawn(process)?;
            let mut ended = None;
            let ready = wait::until(|| {
                ended = child.try_wait().ok().flatten();
                ended.is_some() || self.recipe.ready(self.site(), process)
            });
            self.children
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(child);
            if !ready || ended.is_some() {
                let why = ended.map_or("it does not answer".to_owned(), |status| status.to_string());
                let said = fs::read_to_string(self.log(process)).unwrap_or_default();
                return Err(Error::failed(
                    format_args!("{} did not start ({why})", self.kind),
                    said.trim(),
                ));
            }
        }
        Ok(())
    }

    fn spawn(&self, process: usize) -> Result<Child, Error> {
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut command: Command = self.recipe.command(self.site(), process, &settings);
        user::run_as(&mut command, self.account);
        let broken = |error| Error::failed(format_args!("{}: process {process}", self.kind), error);
        let log = File::create(self.log(process)).map_err(broken)?;
        let child = command
            .current_dir(&self.place.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(broken)?)
            .stderr(log)
            .spawn()
            .map_err(broken)?;
        let pid = self.place.folder.join(format!("{process}.pid"));
        fs::write(pid, child.id().to_string()).map_err(broken)?;
        Ok(child)
    }

    fn log(&self, process: usize) -> PathBuf {
        self.place.folder.join(format!("{process}.log"))
    }

    fn site(&self) -> Site<'_> {
        Site {
            folder: &self.place.folder,
            ports: &self.ports,
            account: self.account,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let children = self.children.get_mut().unwrap_or_else(PoisonError::into_inner);
        for child in children {
            end(child, self.recipe.signal());
        }
    }
}

/// Ends a process and collects it: until then it counts as alive.
fn end(child: &mut Child, signal: &str) {
    let asked = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(child.id().to_string())
        .status();
    let gone = asked.is_ok() && wait::until(|| matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
    if !gone {
        let _ = child.kill().and_then(|()| child.wait());
    }
}
