//! How a case ends: well, or with a failure that teaches the law it broke.

use std::fmt;

use retry_core::store::StoreError;

use crate::laws;

/// The result of a case.
pub type Verdict<T = ()> = Result<T, Failure>;

/// A broken law: what was done, what the store answered, what it may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The law, such as `L3`; empty when a call failed that every law wants to succeed.
    pub law: String,
    /// What was checked.
    pub what: String,
    /// What the store answered.
    pub given: String,
    /// What it may answer.
    pub allowed: String,
    /// The calls before, with their answers, oldest first.
    pub trail: Vec<String>,
}

impl Failure {
    /// A failure without a trail; the runner adds it.
    pub fn new(
        law: &str,
        what: impl Into<String>,
        given: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self {
            law: law.to_owned(),
            what: what.into(),
            given: given.into(),
            allowed: allowed.into(),
            trail: Vec::new(),
        }
    }

    /// A call that failed although its request is in order.
    pub fn call(what: impl Into<String>, error: &StoreError) -> Self {
        let given = format!("{:?}, {:?}: {error}", error.certainty(), error.kind());
        Self::new("", what, given, "Ok: the request keeps every bound and rule")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = laws::text(&self.law) {
            writeln!(f, "{} is broken: {text}", self.law)?;
        }
        writeln!(f, "  checked: {}", self.what)?;
        writeln!(f, "  given:   {}", self.given)?;
        writeln!(f, "  allowed: {}", self.allowed)?;
        if !self.trail.is_empty() {
            writeln!(f, "  what was done:")?;
        }
        for (number, line) in (1..).zip(&self.trail) {
            writeln!(f, "  {number:>3}. {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Fails unless the answer equals the only one allowed.
///
/// # Errors
/// The answer differs.
pub fn equal<T: fmt::Debug + PartialEq>(law: &str, what: &str, given: T, allowed: T) -> Verdict {
    if given == allowed {
        return Ok(());
    }
    let (given, allowed) = difference(&given, &allowed);
    Err(Failure::new(law, what, given, allowed))
}

/// Fails unless `right`.
///
/// # Errors
/// It is not right.
pub fn holds<T: fmt::Debug>(law: &str, what: &str, right: bool, given: T, allowed: &str) -> Verdict {
    if right {
        return Ok(());
    }
    Err(Failure::new(law, what, format!("{given:?}"), allowed))
}

/// Both values as text; of long ones that have the same shape, only the lines that differ.
pub(crate) fn difference<T: fmt::Debug>(given: &T, allowed: &T) -> (String, String) {
    const SHORT: usize = 160;
    let (short_given, short_allowed) = (format!("{given:?}"), format!("{allowed:?}"));
    let (given, allowed) = (format!("{given:#?}"), format!("{allowed:#?}"));
    let (given, allowed): (Vec<&str>, Vec<&str>) = (given.lines().collect(), allowed.lines().collect());
    if short_given.len().max(short_allowed.len()) <= SHORT || given.len() != allowed.len() {
        return (short_given, short_allowed);
    }
    let differing = given
        .iter()
        .zip(&allowed)
        .filter(|(given, allowed)| given != allowed);
    let (given, allowed): (Vec<&str>, Vec<&str>) = differing
        .map(|(given, allowed)| (given.trim(), allowed.trim()))
        .unzip();
    (
        format!("… {}", given.join(" … ")),
        format!("… {}", allowed.join(" … ")),
    )
}
