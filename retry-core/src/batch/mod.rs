//! Batches: one task split into many, run on all machines, reduced to one outcome.
//!
//! A [`Batch`] is a kind with three functions. [`Ctx::split`](crate::executor::Ctx::split) is what its first step does, and
//! any handler may do the same; [`Reduced`] is what its last step reads. How a batch stands,
//! [`Client::batch`](crate::client::Client::batch) tells; failed shards are rerun by
//! [`Client::rerun_failed_children`](crate::client::Client::rerun_failed_children).

mod kind;
mod reduced;
mod shards;
mod split;

pub use kind::{Batch, Splitter};
pub use reduced::{FailedShard, ReduceError, Reduced};
pub use shards::{Shard, Shards};
pub use split::SplitError;
