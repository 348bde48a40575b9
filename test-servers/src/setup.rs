//! What a server consists of, and how its processes are started: the same for its owner and for one who restarts it from outside.

use std::fs::{self, File};
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::error::Error;
use crate::family;
use crate::kind::Kind;
use crate::process;
use crate::recipe::{self, Recipe, Site};
use crate::user::{self, Account};
use crate::wait;

/// The file in a server's folder that says how to start it: the ports on the first line, then a setting a line.
const STATE: &str = "state";

/// How often a process is started that ends at once.
const TRIES: usize = 5;

/// A server's parts, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) folder: PathBuf,
    pub(crate) ports: Vec<u16>,
    settings: Vec<(String, String)>,
    account: Option<Account>,
    recipe: Box<dyn Recipe>,
}

impl Setup {
    /// A new server in an empty folder.
    pub(crate) fn new(
        kind: Kind,
        recipe: Box<dyn Recipe>,
        folder: &Path,
        ports: Vec<u16>,
        settings: &[(&str, &str)],
    ) -> io::Result<Self> {
        let account = user::account()?;
        user::give(folder, account)?;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let setup = Self {
            kind,
            folder: folder.to_owned(),
            ports,
            settings: settings.iter().map(own).collect(),
            account,
            recipe,
        };
        setup.write()?;
        Ok(setup)
    }

    /// The server whose folder this is.
    pub(crate) fn read(kind: Kind, folder: &Path) -> Result<Self, Error> {
        let broken = |why: &dyn std::fmt::Display| Error::failed(folder.join(STATE).display(), why);
        let text = fs::read_to_string(folder.join(STATE)).map_err(|error| broken(&error))?;
        let mut lines = text.lines();
        let ports = lines.next().unwrap_or_default().split(' ').map(str::parse);
        let setting = |line: &str| {
            let (name, value) = line.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Ok(Self {
            kind,
            folder: folder.to_owned(),
            ports: ports.collect::<Result<_, _>>().map_err(|error| broken(&error))?,
            settings: lines.filter_map(setting).collect(),
            account: user::account().map_err(|error| broken(&error))?,
            recipe: recipe::of(kind)?,
        })
    }

    fn write(&self) -> io::Result<()> {
        let ports: Vec<_> = self.ports.iter().map(u16::to_string).collect();
        let mut text = ports.join(" ");
        for (name, value) in &self.settings {
            text.push_str(&format!("\n{name}={value}"));
        }
        fs::write(self.folder.join(STATE), text)
    }

    pub(crate) fn url(&self) -> String {
        self.recipe.url(&self.ports)
    }

    pub(crate) fn signal(&self) -> &'static str {
        self.recipe.signal()
    }

    pub(crate) fn create(&self) -> Result<(), Error> {
        self.recipe.create(self.site())
    }

    pub(crate) fn join(&self) -> Result<(), Error> {
        self.recipe.join(self.site())
    }

    /// Starts a process that does not run, and waits until it answers.
    pub(crate) fn run(&self, process: usize) -> Result<Child, Error> {
        self.recipe.forget_crash(self.site(), process);
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.start(process) {
                // What a killed server leaves in the system for a moment can be in the way.
                Err(Error::Failed(_)) if tries > 0 => {}
                result => return result,
            }
        }
    }

    /// Waits until the processes, each of which answers, serve together.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        match wait::until(|| self.recipe.agreed(self.site())) {
            true => Ok(()),
            false => Err(Error::failed(self.kind, "its processes did not agree")),
        }
    }

    fn start(&self, process: usize) -> Result<Child, Error> {
        let mut child = self.spawn(process)?;
        let mut ended = None;
        let ready = wait::until(|| {
            ended = child.try_wait().ok().flatten();
            ended.is_some() || self.recipe.ready(self.site(), process)
        });
        if ready && ended.is_none() {
            return Ok(child);
        }
        end(&mut child, self.signal());
        let why = ended.map_or("it does not answer".to_owned(), |status| status.to_string());
        let said = fs::read_to_string(self.log(process)).unwrap_or_default();
        Err(Error::failed(
            format_args!("{} did not start ({why})", self.kind),
            said.trim(),
        ))
    }

    /// Kills what runs (SIGKILL), whoever started it. An id of its files may be another's process by now: that one lives on.
    pub(crate) fn kill(&self) {
        let ours = |process| {
            let pid = fs::read_to_string(self.pid(process)).ok()?;
            let pid = pid.trim();
            process::works_in(&self.folder, &self.ports, pid).then(|| pid.parse().ok())?
        };
        family::kill(&(0..self.ports.len()).filter_map(ours).collect::<Vec<_>>());
        self.wait_closed();
    }

    /// Waits until nothing listens any more: PostgreSQL's children live a moment longer than their parent.
    pub(crate) fn wait_closed(&self) {
        for process in 0..self.ports.len() {
            self.wait_closed_at(process);
        }
    }

    /// Waits until nothing listens at the port of a process any more.
    pub(crate) fn wait_closed_at(&self, process: usize) {
        wait::until(|| TcpStream::connect(("127.0.0.1", self.ports[process])).is_err());
    }

    fn spawn(&self, process: usize) -> Result<Child, Error> {
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut command = self.recipe.command(self.site(), process, &settings);
        user::run_as(&mut command, self.account);
        let broken = |error| Error::failed(format_args!("{}: process {process}", self.kind), error);
        let log = File::create(self.log(process)).map_err(broken)?;
        let child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(broken)?)
            .stderr(log)
            .spawn()
            .map_err(broken)?;
        fs::write(self.pid(process), format!("{}\n", child.id())).map_err(broken)?;
        Ok(child)
    }

    fn log(&self, process: usize) -> PathBuf {
        self.folder.join(format!("{process}.log"))
    }

    fn pid(&self, process: usize) -> PathBuf {
        self.folder.join(format!("{process}.pid"))
    }

    fn site(&self) -> Site<'_> {
        Site {
            folder: &self.folder,
            ports: &self.ports,
            account: self.account,
        }
    }
}

/// Ends a process and collects it: until then it counts as alive.
pub(crate) fn end(child: &mut Child, name: &str) {
    let asked = family::signal(name, child.id());
    let gone = asked && wait::until(|| matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
    if !gone {
        let _ = child.kill().and_then(|()| child.wait());
    }
}
