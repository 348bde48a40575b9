//! The guide: pages to read, each of them tested as code. A page whose feature is off says so.

#[doc = include_str!("../docs/guide/alerts.md")]
pub mod alerts {}

#[doc = include_str!("../docs/guide/batches.md")]
pub mod batches {}

#[cfg_attr(feature = "config", doc = include_str!("../docs/configuration.md"))]
#[cfg_attr(not(feature = "config"), doc = "This page needs the feature `config`.")]
pub mod configuration {}

#[doc = include_str!("../docs/guide/context.md")]
pub mod context {}

#[doc = include_str!("../docs/guide/dedupe.md")]
pub mod dedupe {}

#[doc = include_str!("../docs/guide/evolution.md")]
pub mod evolution {}

#[cfg_attr(feature = "sqlite", doc = include_str!("../docs/guide/getting_started.md"))]
#[cfg_attr(not(feature = "sqlite"), doc = "This page needs the feature `sqlite`.")]
pub mod getting_started {}

#[doc = include_str!("../docs/guide/handlers.md")]
pub mod handlers {}

#[doc = include_str!("../docs/guide/outbox.md")]
pub mod outbox {}

#[doc = include_str!("../docs/guide/retries.md")]
pub mod retries {}

#[doc = include_str!("../docs/guide/sharding.md")]
pub mod sharding {}

#[cfg_attr(feature = "sinks", doc = include_str!("../docs/guide/sinks.md"))]
#[cfg_attr(not(feature = "sinks"), doc = "This page needs the feature `sinks`.")]
pub mod sinks {}

#[doc = include_str!("../docs/guide/stores.md")]
pub mod stores {}

#[cfg_attr(feature = "testing", doc = include_str!("../docs/guide/testing.md"))]
#[cfg_attr(not(feature = "testing"), doc = "This page needs the feature `testing`.")]
pub mod testing {}

#[doc = include_str!("../docs/guide/ticks.md")]
pub mod ticks {}

#[doc = include_str!("../docs/guide/transactions.md")]
pub mod transactions {}

#[doc = include_str!("../docs/guide/why.md")]
pub mod why {}
