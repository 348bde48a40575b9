//! A graceful shutdown of a worker that the store always answered leaves nothing behind in its session.

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Closed { who, holds, .. } = fact else {
        return Ok(());
    };
    let host = &facts.hosts[who.host];
    // A close that comes late belongs to an earlier life, of which no more is known.
    let always_answered = host.life == who.life && host.failures == 0;
    if *holds > 0 && always_answered {
        return Err(format!(
            "host {} closes its session and leaves {holds} tasks in it",
            who.host
        ));
    }
    Ok(())
}
