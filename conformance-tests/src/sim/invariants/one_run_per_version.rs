//! The version is a fencing token: a claim is run once. A store that lost acknowledged writes may give a version again;
//! then each of its claims may be run once.

use crate::sim::fact::{Fact, Run, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    // A task that is not stored is nobody else's.
    if run.tried {
        return Ok(());
    }
    let same = |other: &&Run| (other.fallback, other.again) == (run.fallback, run.again);
    let runs = 1 + facts.runs_under(run.id, run.version).filter(same).count();
    let claims = facts.grants_of(run.id, run.version);
    if runs > claims {
        return Err(format!(
            "{} version {} was claimed {claims} times and is started for the {runs}th time, on host {}",
            name(run.id),
            run.version,
            run.who.host
        ));
    }
    Ok(())
}
