//! A file of certificates, read when a sink is built.

use std::path::Path;

/// The text of a file with at least one certificate in PEM; none when there is no such file, or nothing of that in it.
pub(crate) fn read(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.contains("-----BEGIN CERTIFICATE-----").then_some(text)
}
