//! The meters without the feature `metrics`: nothing is counted, and nothing is left of the calls.

use retry_core::time::Timestamp;

use super::Place;

#[derive(Debug)]
pub(crate) struct Meters;

#[expect(clippy::unused_self, reason = "the same calls as with the feature")]
impl Meters {
    pub(crate) const fn new(_: &str) -> Self {
        Self
    }

    pub(crate) const fn are_on(&self) -> bool {
        false
    }

    pub(crate) const fn published(&self, _: &str) {}

    pub(crate) const fn retried(&self, _: &str) {}

    pub(crate) const fn refused(&self, _: &str) {}

    pub(crate) const fn oldest(&self, _: Place, _: Option<Timestamp>, _: Timestamp) {}
}
