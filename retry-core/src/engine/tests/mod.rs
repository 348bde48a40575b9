//! The worker on a store in memory and a clock moved by hand: no sleeping, no threads, one seed.

pub(crate) mod faulty;
pub(crate) mod harness;
mod listener;

mod abnormal;
mod alerts;
mod batches;
mod born;
mod build;
mod cancels;
mod chaos;
mod checkpoints;
mod contexts;
mod fallbacks;
mod idle;
mod inline;
mod leases;
mod limits;
mod outages;
mod outcomes;
mod parts;
mod privacy;
mod purges;
mod quick;
mod repeats;
mod rescue;
mod retries;
mod runtimes;
mod shutdown;
mod splits;
mod threads;
mod tick;
mod tick_bounds;
mod tries;
mod waits;
