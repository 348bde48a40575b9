//! Redis has no transaction that a task could join; this makes the compiler say so in words.
//!
//! A store without any [`Enlist`] gets "the method exists but its trait bounds were not satisfied". With two
//! implementations for types of which there is no value, the compiler looks at the transaction that was passed and shows the
//! message written on the trait.

use std::convert::Infallible;

use retry_core::store::{Enlist, Inserted, Result};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;

use crate::store::RedisStore;

/// No transaction.
struct Nothing(Infallible);

/// No transaction either.
struct NothingElse(Infallible);

impl Enlist<Nothing> for RedisStore {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(&self, tx: Nothing, _tasks: Result<Vec<NewTask>>, _now: Timestamp, _finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        match tx.0 {}
    }
}

impl Enlist<NothingElse> for RedisStore {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(&self, tx: NothingElse, _tasks: Result<Vec<NewTask>>, _now: Timestamp, _finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        match tx.0 {}
    }
}
