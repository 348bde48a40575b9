//! An order service that loses no order, however often it is killed. See README.md beside this file.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

mod book;
mod cli;
mod deliver;
mod faults;
mod import;
mod order;
mod progress;
mod receiver;
mod shop;
mod signals;
mod summary;
mod trouble;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use task_retry::{Client, Worker, WorkerHandle};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::cli::Cli;
use crate::deliver::{Carrier, FALLBACK_AFTER, TIMEOUT, deliver, deliver_by_hand};
use crate::faults::Faults;
use crate::import::{Import, Imported};
use crate::receiver::Receiver;
use crate::shop::Shop;
use crate::summary::Summary;
use crate::trouble::Trouble;

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let trouble = Trouble::listen();
    let stop = signals::stop_token()?;
    let shop = shop::open(cli).await?;
    let client = shop.client();

    take_in(cli, shop.as_ref(), &stop).await?;
    if stop.is_cancelled() {
        return Ok(interrupted());
    }
    let book = Book::open(&Book::path(&cli.db)).context("cannot open the receiver's records")?;
    let carrier = carrier(cli, shop.as_ref(), &book).await?;
    let worker = start_worker(cli, client, carrier.clone())?;
    let ended = progress::watch(client, &carrier, &trouble, &stop).await;
    // Also after an error: what runs is finished or handed back, and the session closed.
    worker.shutdown().await;

    if !ended? {
        return Ok(interrupted());
    }
    let summary = Summary::of(shop.as_ref(), &book.entries()?).await?;
    print!("{summary}");
    Ok(if summary.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Writes the orders that are missing, each with its delivery.
async fn take_in(cli: &Cli, shop: &dyn Shop, stop: &CancellationToken) -> anyhow::Result<()> {
    let import = Import {
        shop,
        file: cli.orders.clone(),
        strict: cli.strict,
        stop: stop.clone(),
    };
    let Imported {
        new,
        known,
        malformed,
    } = import.run().await?;
    eprintln!(
        "{} taken in, {known} were there already, {} skipped",
        import::counted(new, "order"),
        import::counted(malformed, "malformed line")
    );
    Ok(())
}

/// Where deliveries go: the address given, or a receiver of our own.
async fn carrier(cli: &Cli, shop: &dyn Shop, book: &Book) -> anyhow::Result<Carrier> {
    if let Some(to) = &cli.to {
        return Ok(Carrier::new(to.clone(), cli.fallback_to.clone()));
    }
    let orders = shop.orders().await?;
    let faults = Faults::new(cli.seed, orders.values().map(String::as_str));
    let receiver = Receiver::start(book.clone(), faults).await?;
    Ok(Carrier::new(receiver.primary()?, Some(receiver.fallback()?)))
}

fn start_worker(cli: &Cli, client: &Client, carrier: Carrier) -> anyhow::Result<WorkerHandle> {
    let concurrency = usize::from(cli.concurrency);
    let has_fallback = carrier.has_fallback();
    let worker = Worker::builder(client)
        .name("orders")
        .state(carrier)
        .handler_with(deliver, |kind| {
            let kind = kind.timeout(TIMEOUT);
            if has_fallback {
                kind.fallback(FALLBACK_AFTER, deliver_by_hand)
            } else {
                kind
            }
        })
        .concurrency(concurrency)
        .build()?;
    Ok(worker.start())
}

fn interrupted() -> ExitCode {
    eprintln!("Stopped. The same command finishes the rest.");
    ExitCode::from(INTERRUPTED)
}
