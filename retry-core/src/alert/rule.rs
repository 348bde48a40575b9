//! Rules: which failed attempts are worth an alert.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::expr::{Expression, InvalidRule};
use crate::task::State;

/// What a rule is judged on: a task right after one of its attempts failed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Facts<'a> {
    /// The number of the attempt that failed, from 1; it starts anew with every step and rerun.
    pub attempts: u32,
    /// Lost leases in a row.
    pub crashes: u32,
    /// How often the task was rerun.
    pub reruns: u32,
    /// The kind.
    pub kind: &'a str,
    /// The queue.
    pub queue: &'a str,
    /// The level: `urgent`, `high`, `normal` or `low`.
    pub priority: &'a str,
    /// The state after the failure: [`State::Pending`] while it is retried.
    pub state: State,
    /// The time since the task was enqueued.
    pub age: Duration,
    /// The error, at most 8 KiB of it.
    pub error: &'a str,
}

type Closure = dyn Fn(&Facts<'_>) -> bool + Send + Sync;

#[derive(Clone)]
enum Test {
    Never,
    Always,
    Attempts(u32, u32),
    Expression(Arc<Expression>),
    Closure(Arc<Closure>),
}

/// Decides whether a failed attempt is worth an alert.
///
/// ```
/// use retry_core::alert::AlertRule;
///
/// # fn main() -> Result<(), retry_core::alert::InvalidRule> {
/// let builder = AlertRule::attempts(2..5); // the default
/// let text = AlertRule::parse("attempts > 1 && attempts < 5 && kind != 'newsletter'")?;
/// let closure = AlertRule::when("no space", |facts| facts.error.contains("No space left"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AlertRule {
    name: Arc<str>,
    test: Test,
}

impl AlertRule {
    fn new(name: impl AsRef<str>, test: Test) -> Self {
        let name = Arc::from(name.as_ref());
        Self { name, test }
    }

    /// No failed attempt. (A task that ends as failed is told all the same.)
    #[must_use]
    pub fn never() -> Self {
        Self::new("never", Test::Never)
    }

    /// Every failed attempt.
    #[must_use]
    pub fn always() -> Self {
        Self::new("always", Test::Always)
    }

    /// Attempts with these numbers; the first is 1.
    #[must_use]
    pub fn attempts(numbers: impl RangeBounds<u32>) -> Self {
        let least = match numbers.start_bound() {
            Bound::Included(least) => *least,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let (name, most) = match numbers.end_bound() {
            Bound::Included(most) => (format!("attempts >= {least} && attempts <= {most}"), *most),
            Bound::Excluded(0) => return Self::never(),
            Bound::Excluded(end) => (format!("attempts >= {least} && attempts < {end}"), end - 1),
            Bound::Unbounded => (format!("attempts >= {least}"), u32::MAX),
        };
        Self::new(name, Test::Attempts(least, most))
    }

    /// A rule as text, in a subset of the Common Expression Language: `attempts > 1 && attempts < 5`.
    ///
    /// | | |
    /// |---|---|
    /// | fields | those of [`Facts`]: the numbers `attempts`, `crashes`, `reruns`; the texts `kind`, `queue`, `priority`, `state`, `error`; the duration `age` |
    /// | values | `5`, `-5`, `"text"`, `'text'`, `true`, `false`, `duration("1h30m")` |
    /// | operators | `\|\|`, `&&`, `!`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `in ["a", "b"]`, `%` with a number above 0, parentheses |
    /// | functions | `text.contains(part)`, `text.startsWith(part)`, `text.endsWith(part)` |
    ///
    /// `priority` and `state` are compared with their own names only, and have no order: `state == 'retried'` and
    /// `priority < 'high'` are mistakes. So is a list without a value.
    ///
    /// # Errors
    /// [`InvalidRule`] names the place and what is allowed there: a wrong field, name, function, type or syntax; more than
    /// 1,024 bytes; more than 32 levels of nesting.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidRule> {
        let text = text.as_ref();
        let expression = Expression::parse(text)?;
        Ok(Self::new(text.trim(), Test::Expression(Arc::new(expression))))
    }

    /// A rule in Rust. `name` stands for it in alerts and tells cool-downs apart. The closure is called where the
    /// attempt's outcome is recorded, so it must be quick and must not block; if it panics, the attempt is told.
    #[must_use]
    pub fn when(name: impl AsRef<str>, closure: impl Fn(&Facts<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::new(name, Test::Closure(Arc::new(closure)))
    }

    /// The name: its text, or what it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Whether the facts fit.
    #[must_use]
    pub fn fits(&self, facts: &Facts<'_>) -> bool {
        match &self.test {
            Test::Never => false,
            Test::Always => true,
            Test::Attempts(least, most) => (*least..=*most).contains(&facts.attempts),
            Test::Expression(expression) => expression.fits(facts),
            Test::Closure(closure) => {
                catch_unwind(AssertUnwindSafe(|| closure(facts))).unwrap_or_else(|_| {
                    tracing::error!(rule = %self.name, "an alert rule panicked; the attempt is told");
                    true
                })
            }
        }
    }
}

impl Default for AlertRule {
    /// From the second failed attempt to the fourth: `attempts > 1 && attempts < 5`.
    fn default() -> Self {
        Self::new("attempts > 1 && attempts < 5", Test::Attempts(2, 4))
    }
}

impl TryFrom<&str> for AlertRule {
    type Error = InvalidRule;
    fn try_from(text: &str) -> Result<Self, InvalidRule> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AlertRule {
    type Error = InvalidRule;
    fn try_from(text: String) -> Result<Self, InvalidRule> {
        Self::parse(text)
    }
}

impl fmt::Debug for AlertRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AlertRule").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(rule: &AlertRule, attempts: u32) -> bool {
        rule.fits(&Facts {
            attempts,
            crashes: 0,
            reruns: 0,
            kind: "k",
            queue: "q",
            priority: "normal",
            state: State::Pending,
            age: Duration::ZERO,
            error: "e",
        })
    }

    #[test]
    fn the_default_is_its_text() {
        let (rule, text) = (AlertRule::default(), AlertRule::default().name().to_owned());
        let parsed = AlertRule::parse(&text).unwrap();
        for attempts in 0..10 {
            assert_eq!(fits(&rule, attempts), (2..5).contains(&attempts), "{attempts}");
            assert_eq!(fits(&parsed, attempts), fits(&rule, attempts), "{attempts}");
        }
    }

    #[test]
    fn ranges_keep_their_ends() {
        let exclusive = (Bound::Excluded(2), Bound::Excluded(5));
        for (rule, wanted) in [
            (AlertRule::attempts(2..5), 2..=4),
            (AlertRule::attempts(2..=5), 2..=5),
            (AlertRule::attempts(exclusive), 3..=4),
            (AlertRule::attempts(..3), 0..=2),
            (AlertRule::attempts(7..), 7..=u32::MAX),
        ] {
            let parsed = AlertRule::parse(rule.name()).unwrap();
            for attempts in (0..12).chain([u32::MAX]) {
                assert_eq!(
                    fits(&rule, attempts),
                    wanted.contains(&attempts),
                    "{rule:?} {attempts}"
                );
                assert_eq!(
                    fits(&parsed, attempts),
                    wanted.contains(&attempts),
                    "{rule:?} {attempts}"
                );
            }
        }
        assert!(!fits(&AlertRule::attempts(..0), 0) && !fits(&AlertRule::never(), 1));
        assert!(fits(&AlertRule::always(), 1));
    }

    #[test]
    fn a_closure_that_panics_tells() {
        let rule = AlertRule::when("boom", |_| std::panic::resume_unwind(Box::new("boom")));
        assert!(fits(&rule, 1));
        assert!(fits(&AlertRule::when("third", |facts| facts.attempts == 3), 3));
    }
}
