//! The guide: one page for each thing one does with this crate.

#[doc = include_str!("../docs/guide/transactions.md")]
pub mod transactions {}
