//! The guide: one page a subject, with examples that are compiled and run.

#[doc = include_str!("../docs/guide/alerts.md")]
pub mod alerts {}
