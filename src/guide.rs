//! The guide: pages to read, each of them tested as code. A page whose feature is off says so.

#[cfg_attr(feature = "sqlite", doc = include_str!("../docs/guide/getting_started.md"))]
#[cfg_attr(not(feature = "sqlite"), doc = "This page needs the feature `sqlite`.")]
pub mod getting_started {}

#[doc = include_str!("../docs/guide/handlers.md")]
pub mod handlers {}

#[doc = include_str!("../docs/guide/stores.md")]
pub mod stores {}

#[cfg_attr(feature = "testing", doc = include_str!("../docs/guide/testing.md"))]
#[cfg_attr(not(feature = "testing"), doc = "This page needs the feature `testing`.")]
pub mod testing {}

#[doc = include_str!("../docs/guide/transactions.md")]
pub mod transactions {}
