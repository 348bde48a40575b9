//! An exchange of unknown outcome is repeated with its edits only: a claim is never repeated.

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Sent {
        who, edits, claims, ..
    } = fact
    else {
        return Ok(());
    };
    let repeated = edits
        .iter()
        .any(|edit| facts.unknown_nonces.contains(&edit.nonce.get()));
    if repeated && !claims.is_empty() {
        return Err(format!(
            "host {} repeats an exchange of unknown outcome with {} claims",
            who.host,
            claims.len()
        ));
    }
    Ok(())
}
