//! Shows how far the deliveries are, and ends when none is open: a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::name::Queue;
use task_retry::store::{CountScope, Counts, StoreErrorKind};
use task_retry::task::State;
use task_retry::{Client, Error};
use tokio_util::sync::CancellationToken;

use crate::deliver::Carrier;
use crate::order::QUEUE;
use crate::trouble::Trouble;

/// How often the store is asked; a count is cheap, and the eye is slow.
const PERIOD: Duration = Duration::from_millis(200);

/// Between two plain lines.
const LINE_EVERY: u64 = 10;

/// Waits until no delivery is open, or until told to stop. Answers whether all ended.
pub(crate) async fn watch(
    client: &Client,
    carrier: &Carrier,
    trouble: &Trouble,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let clock = SystemClock::new();
    let scope = CountScope {
        queue: Some(Queue::new(QUEUE)?),
        exact: false,
    };
    let show = Show::new();
    let mut last = Counts::default();
    for round in 0.. {
        match client.count(&scope).await {
            Ok(counts) if open(&counts) == 0 => {
                show.finish(&counts, &message(carrier, trouble));
                return Ok(true);
            }
            Ok(counts) => {
                show.update(round, &counts, &message(carrier, trouble));
                last = counts;
            }
            // The worker goes on trying until the store is back; so does the eye.
            Err(error) if passes(&error) => show.update(round, &last, &format!("trying again: {error}")),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = clock.sleep_until(clock.monotonic() + PERIOD) => {}
        }
    }
    show.say("Stopping; what is under way may finish. Ctrl-C once more ends it on the spot.");
    show.finish(&last, &message(carrier, trouble));
    Ok(false)
}

/// Whether the store is only away, and not broken.
fn passes(error: &Error) -> bool {
    matches!(error, Error::Store(error) if matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Busy))
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

    /// Prints a line, not on the bar's.
    fn say(&self, line: &str) {
        match self {
            Self::Bar(bar) => bar.println(line),
            Self::Lines => eprintln!("{line}"),
        }
    }

    fn update(&self, round: u64, counts: &Counts, message: &str) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(ended(counts) + open(counts));
                bar.set_position(ended(counts));
                bar.set_message(message.to_owned());
            }
            Self::Lines if round.is_multiple_of(LINE_EVERY) => self.line(counts, message),
            Self::Lines => {}
        }
    }

    fn finish(&self, counts: &Counts, message: &str) {
        match self {
            Self::Bar(bar) => {
                self.update(0, counts, message);
                bar.abandon();
                // The bar stays, and what follows is not on its line.
                eprintln!();
            }
            Self::Lines => self.line(counts, message),
        }
    }

    fn line(&self, counts: &Counts, message: &str) {
        let (ended, all) = (ended(counts), ended(counts) + open(counts));
        eprintln!("{ended}/{all} orders · {message}");
    }
}

/// What keeps the orders back: the store, or else the receiver.
fn message(carrier: &Carrier, trouble: &Trouble) -> String {
    match (trouble.now(), carrier.setbacks()) {
        (Some(why), _) => format!("trying again: {why}"),
        (None, setbacks) => told(setbacks),
    }
}

fn told(setbacks: (u64, String)) -> String {
    match setbacks {
        (0, _) => "no setbacks yet".to_owned(),
        (1, last) => format!("1 setback: {last}"),
        (n, last) => format!("{n} setbacks, last: {last}"),
    }
}
