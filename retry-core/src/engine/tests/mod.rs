//! The worker on a store in memory and a clock moved by hand: no sleeping, no threads, one seed.

pub(crate) mod faulty;
pub(crate) mod harness;
mod listener;

mod abnormal;
mod alerts;
mod build;
mod cancels;
mod chaos;
mod checkpoints;
mod fallbacks;
mod idle;
mod leases;
mod limits;
mod outages;
mod outcomes;
mod parts;
mod privacy;
mod repeats;
mod rescue;
mod retries;
mod shutdown;
mod splits;
mod threads;
mod tick;
mod waits;
