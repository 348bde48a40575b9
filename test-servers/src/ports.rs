//! Ports that nobody uses.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Ports below it leave room for a cluster's second port, which is 10,000 higher.
const HIGHEST: u16 = 55_000;

/// How often the system is asked for a port before giving up.
const TRIES: usize = 200;

/// `count` different free ports of the loopback address.
pub(crate) fn free(count: usize) -> io::Result<Vec<u16>> {
    // All are held until the last is found, so that they differ.
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..TRIES {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let usable = port < HIGHEST;
        held.push(listener);
        if usable {
            ports.push(port);
        }
        if ports.len() == count {
            return Ok(ports);
        }
    }
    Err(io::Error::other("no free port"))
}
