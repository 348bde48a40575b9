//! What is special to SQLite: files, locks, processes, transactions, wake-ups.

mod child;
mod commit;
mod crash;
mod errors;
mod group;
mod in_tx;
mod laws;
mod leased;
mod numbers;
mod options;
mod outbox;
mod parents;
mod processes;
mod support;
mod transaction;
mod wake;
