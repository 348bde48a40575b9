//! Where settings come from, so that `build()` names the file or the variable of one that is wrong.

use std::collections::BTreeMap;

use crate::engine::BuildError;

/// The place of each setting that a file or the environment gave, by its key; that of a queue's limit by
/// `queue_limits.` and the queue.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Origins(BTreeMap<String, String>);

/// Settings are the same wherever they come from.
impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origins {}

/// The key of a queue's limit.
pub(in crate::engine) fn limit_of(queue: &str) -> String {
    format!("queue_limits.{queue}")
}

impl Origins {
    /// Notes that `source` gave the setting, under the name `given`.
    #[cfg(feature = "config")]
    pub(super) fn note(&mut self, key: String, source: &str, given: &str) {
        self.0.insert(key, format!("{source}: `{given}`"));
    }

    /// These, and those of `other` for settings that are not set here.
    pub(super) fn or(mut self, other: Self, is_set: impl Fn(&str) -> bool) -> Self {
        let open = other.0.into_iter().filter(|(key, _)| !is_set(key));
        self.0.extend(open);
        self
    }

    /// The error with the place of the first of these settings that code did not set.
    pub(in crate::engine) fn blame(&self, keys: &[&str], error: BuildError) -> BuildError {
        match keys.iter().find_map(|key| self.0.get(*key)) {
            Some(origin) => BuildError::Setting {
                origin: origin.clone(),
                error: Box::new(error),
            },
            None => error,
        }
    }
}
