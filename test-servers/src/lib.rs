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
//!
//! Tests that need nothing special of a server run on [`shared`] ones, which are given by variables where somebody has them. A test
//! that kills or changes its server asks for its [`own`]. Where there is none, [`trial`] shows the test as ignored, with the
//! reason.
//!
//! [`Proxy`] stands before one and fails as a network does. Dropping the [`Server`] stops it and removes the folder; when the owner is killed instead, a guardian process does.

mod address;
mod error;
mod family;
mod find;
mod given;
mod guardian;
mod home;
mod kind;
mod logs;
mod names;
mod packages;
mod ports;
mod process;
mod proxy;
mod recipe;
mod running;
mod server;
mod setup;
mod shared;
mod small_disk;
mod trial;
mod user;
mod wait;

pub use address::Address;
pub use error::Error;
pub use family::kill as kill_with_descendants;
pub use given::{given, required};
pub use kind::Kind;
pub use logs::logged;
pub use names::unique;
pub use packages::{install, install_hint, installed, tool};
pub use proxy::{Fault, Proxy};
pub use running::{Running, running};
pub use server::{Server, start, start_in, start_with};
pub use shared::{Reach, Shared, shared};
pub use small_disk::{Ballast, OnDisk, again_on_small_disk, small_disk};
pub use trial::{ignore, needs, own, own_with, trial, trial_within};
