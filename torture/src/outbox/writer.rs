//! A process that writes orders, each with its task in the outbox, and commits most of them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use retry_core::seams::{Random as _, SeededRandom};

use super::source;
use crate::args::Child;
use crate::clock::Watch;
use crate::enqueuer::Wish;

/// How long a writer rests for each order: what the workers can bear.
const REST: Duration = Duration::from_millis(8);

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Commit,
    RollBack,
    /// The order stays, and the task of another order goes with a savepoint.
    Savepoint,
}

pub(crate) async fn run(child: &Child) -> Result<()> {
    let place = child.place()?;
    let from = child.source.as_deref().context("no source is named")?;
    let source = source::by_url(from, &child.folder)?;
    let client = place.connect().await?;
    let mut shop = source.shop().await?;
    let wish = Wish::listen();
    let watch = Watch::start();
    let random = SeededRandom::new(child.seed ^ (child.slot << 32) ^ child.generation);
    // Numbers that no other process uses. The odd ones are never committed.
    let first = (child.slot << 40) | (child.generation << 20);
    let mut n = first;
    while !wish.is_end() {
        watch.pause(REST).await;
        if !wish.is_all() {
            continue;
        }
        n += 2;
        let fate = match random.next_u64() % 8 {
            0 | 1 => Fate::RollBack,
            2 => Fate::Savepoint,
            _ => Fate::Commit,
        };
        if let Err(error) = shop.order(&client, n, fate).await {
            // Whether it was committed is in the table of orders.
            eprintln!("order {n}: {error:#}");
            watch.pause(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}
