//! Throw-away database servers for tests: real ones, on private ports, gone with the process that started them.
//!
//! ```no_run
//! use test_servers::{Kind, start};
//!
//! let server = start(Kind::Postgres)?;
//! println!("{}", server.url());
//! server.kill();     // SIGKILL, as a crash of the machine's only server would be
//! server.restart()?; // the same data, the same port
//! # Ok::<(), test_servers::Error>(())
//! ```
//!
//! A server comes from binaries that are installed ([`install_hint`] says how to get them), keeps its data in a folder of its own
//! under the system's temporary folder, listens on the loopback address only and syncs every commit. It never runs as root.
//! [`Proxy`] stands before one and fails as a network does. Dropping the [`Server`] stops it and removes the folder; when the owner is killed instead, a guardian process does.

mod error;
mod find;
mod guardian;
mod home;
mod kind;
mod logs;
mod packages;
mod ports;
mod proxy;
mod recipe;
mod running;
mod server;
mod setup;
mod small_disk;
mod user;
mod wait;

pub use error::Error;
pub use kind::Kind;
pub use logs::logged;
pub use packages::{install, install_hint, installed, tool};
pub use proxy::{Fault, Proxy};
pub use running::{Running, running};
pub use server::{Server, start, start_with};
pub use small_disk::{Ballast, OnDisk, again_on_small_disk, small_disk};
