//! A new session is opened only after the store said that the old one is lost.

use crate::sim::fact::{Fact, Op};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Sent {
        who,
        part,
        op: Op::Open,
        ..
    } = fact
    else {
        return Ok(());
    };
    match facts.hosts[who.host].parts[*part].session {
        Some(session) => Err(format!(
            "host {} opens a session while it has {session}",
            who.host
        )),
        None => Ok(()),
    }
}
