//! Servers for tests that need nothing special: those which are given by variable, else one that is started.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use crate::address::Address;
use crate::error::Error;
use crate::given::given;
use crate::kind::Kind;
use crate::server::{Server, start};
use crate::trial::{end, ignore};

/// A server that tests share: others use it at the same time, and have used it before. A test takes a schema, database or namespace
/// with a [unique](crate::unique) name, removes it, and changes nothing else.
#[derive(Debug)]
pub struct Shared {
    kind: Kind,
    name: String,
    given: Option<String>,
    started: OnceLock<Result<Server, Error>>,
}

/// The servers of a kind that tests share: each that is [given]; none given, one that the first test starts and the last one drops.
#[must_use]
pub fn shared(kind: Kind) -> Vec<Arc<Shared>> {
    let server = |(place, given)| {
        Arc::new(Shared {
            kind,
            name: match place {
                0 => kind.name().to_owned(),
                place => format!("{kind}-{}", place + 1),
            },
            given,
            started: OnceLock::new(),
        })
    };
    match given(kind) {
        none if none.is_empty() => vec![server((0, None))],
        urls => urls.into_iter().map(Some).enumerate().map(server).collect(),
    }
}

impl Shared {
    /// What its tests begin their names with: the kind's name, and from the second on the place in the list of URLs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of a test on it: on the first server as it is, on the others behind the server's.
    #[must_use]
    pub fn named(&self, test: &str) -> String {
        if self.name == self.kind.name() {
            test.to_owned()
        } else {
            format!("{}::{test}", self.name)
        }
    }

    /// How a client reaches it; the first call may start it.
    ///
    /// # Errors
    /// [`Error::Missing`]: none is given, and its programs are not installed.
    ///
    /// # Panics
    /// It does not start.
    pub fn reached(&self) -> Result<String, &Error> {
        if let Some(url) = &self.given {
            return Ok(url.clone());
        }
        match self.started.get_or_init(|| start(self.kind)) {
            Ok(server) => Ok(server.url()),
            Err(missing @ Error::Missing { .. }) => Err(missing),
            Err(broken) => panic!("{broken}"),
        }
    }
}

/// A server that clients reach: a test's own, or a shared one.
pub trait Reach {
    /// How a client reaches it. Where there is none, the [`trial`](crate::trial) ends, as ignored or failed.
    fn url(&self) -> String;

    /// Whether it outlives the test: what is left there stays.
    fn is_given(&self) -> bool;

    /// Where it listens, for a [`Proxy`](crate::Proxy) before it. Where none can stand there, the trial ends as ignored.
    fn socket(&self) -> SocketAddr {
        let address = Address::of(&self.url());
        if address.is_verified() {
            ignore("needs a server to stand before: the URL has the name in its certificate looked at");
        }
        let Some(socket) = address.socket() else {
            ignore("needs a server to stand before: the URL leads to no port");
        };
        socket
    }
}

impl Reach for Server {
    fn url(&self) -> String {
        Self::url(self)
    }

    fn is_given(&self) -> bool {
        false
    }
}

impl Reach for Shared {
    fn url(&self) -> String {
        self.reached().unwrap_or_else(|error| end(error))
    }

    fn is_given(&self) -> bool {
        self.given.is_some()
    }
}
