//! The tests that a run of the tests showed as ignored, counted by their reasons.

use std::collections::BTreeMap;

/// Reasons, and how many tests told each.
#[derive(Debug, Default)]
pub(super) struct Ignored(BTreeMap<String, usize>);

impl Ignored {
    /// Looks at a line that the tests print.
    pub(super) fn look(&mut self, line: &str) {
        let Some((_, ignored)) = line
            .strip_prefix("test ")
            .and_then(|test| test.split_once(" ... ignored"))
        else {
            return;
        };
        let reason = ignored.trim();
        let reason = reason
            .strip_prefix('(')
            .and_then(|reason| reason.strip_suffix(')'))
            .unwrap_or("no reason told");
        *self.0.entry(reason.to_owned()).or_default() += 1;
    }

    /// What the summary says of them: nothing if there are none, else a line for each reason.
    pub(super) fn told(&self) -> Vec<String> {
        let mut reasons: Vec<_> = self.0.iter().collect();
        reasons.sort_by_key(|(_, tests)| std::cmp::Reverse(**tests));
        let told = |(reason, tests): (&String, &usize)| format!("{tests} ignored: {reason}");
        reasons.into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted() {
        let mut ignored = Ignored::default();
        for line in [
            "running 4 tests",
            "test a::kill  ... ignored (needs a server (any))",
            "test a::works ... ok",
            "test b::kill  ... ignored (needs a server (any))",
            "test src/lib.rs - (line 3) ... ignored",
            "test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            ignored.look(line);
        }
        assert_eq!(
            ignored.told(),
            ["2 ignored: needs a server (any)", "1 ignored: no reason told"]
        );
        assert!(Ignored::default().told().is_empty());
    }
}
