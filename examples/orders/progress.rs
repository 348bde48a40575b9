//! Shows how far the deliveries are, and ends when none is open: a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use task_retry::Client;
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::name::Queue;
use task_retry::sqlite::SqliteStore;
use task_retry::store::{CountScope, Counts};
use task_retry::task::State;
use tokio_util::sync::CancellationToken;

use crate::deliver::Carrier;
use crate::order::QUEUE;

/// How often the store is asked; a count is cheap, and the eye is slow.
const PERIOD: Duration = Duration::from_millis(200);

/// Between two plain lines.
const LINE_EVERY: u64 = 10;

/// Waits until no delivery is open, or until told to stop. Answers whether all ended.
pub(crate) async fn watch(
    client: &Client<SqliteStore>,
    carrier: &Carrier,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let clock = SystemClock::new();
    let scope = CountScope {
        queue: Some(Queue::new(QUEUE)?),
        exact: false,
    };
    let show = Show::new();
    for round in 0.. {
        let counts = client.count(&scope).await?;
        if open(&counts) == 0 {
            break;
        }
        show.update(round, &counts, carrier);
        tokio::select! {
            () = stop.cancelled() => break,
            () = clock.sleep_until(clock.monotonic() + PERIOD) => {}
        }
    }
    let counts = client.count(&scope).await?;
    show.finish(&counts, carrier);
    Ok(open(&counts) == 0)
}

fn open(counts: &Counts) -> u64 {
    let unfinished = State::ALL.into_iter().filter(|state| !state.is_final());
    unfinished.map(|state| counts.of(state)).sum()
}

fn ended(counts: &Counts) -> u64 {
    let ended = State::ALL.into_iter().filter(|state| state.is_final());
    ended.map(|state| counts.of(state)).sum()
}

/// A bar, or lines.
enum Show {
    Bar(ProgressBar),
    Lines,
}

impl Show {
    fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines;
        }
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} orders · {elapsed} · {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style))
    }

    fn update(&self, round: u64, counts: &Counts, carrier: &Carrier) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(ended(counts) + open(counts));
                bar.set_position(ended(counts));
                bar.set_message(setbacks(carrier));
            }
            Self::Lines if round.is_multiple_of(LINE_EVERY) => self.line(counts, carrier),
            Self::Lines => {}
        }
    }

    fn finish(&self, counts: &Counts, carrier: &Carrier) {
        match self {
            Self::Bar(bar) => {
                self.update(0, counts, carrier);
                bar.abandon();
            }
            Self::Lines => self.line(counts, carrier),
        }
    }

    fn line(&self, counts: &Counts, carrier: &Carrier) {
        let (ended, all) = (ended(counts), ended(counts) + open(counts));
        eprintln!("{ended}/{all} orders · {}", setbacks(carrier));
    }
}

fn setbacks(carrier: &Carrier) -> String {
    match carrier.setbacks() {
        (0, _) => "no setbacks yet".to_owned(),
        (1, last) => format!("1 setback: {last}"),
        (n, last) => format!("{n} setbacks, last: {last}"),
    }
}
