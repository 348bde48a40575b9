//! Rows on the standard output, separated by tabs.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks on its standard output"
)]

use crate::args::Run;
use crate::stats::{Series, figure};

/// Prints series; the header comes with the first.
#[derive(Debug)]
pub(crate) struct Printer {
    store: &'static str,
    settings: String,
    printed: bool,
}

impl Printer {
    pub(crate) const fn new(store: &'static str, settings: String) -> Self {
        Self {
            store,
            settings,
            printed: false,
        }
    }

    pub(crate) fn print(&mut self, series: &Series) {
        if !std::mem::replace(&mut self.printed, true) {
            println!("store\tworkload\tn\tmedian\tmin\tmax\tunit\tsettings");
        }
        println!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            self.store,
            series.name,
            series.n,
            figure(series.median()),
            figure(series.min()),
            figure(series.max()),
            series.unit.text(),
            self.settings
        );
    }
}

/// Prints one line as it is.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// What the figures of a run depend on.
pub(crate) fn settings(layer: &str, run: &Run, threads: usize) -> String {
    let mut settings = vec![layer.to_owned()];
    settings.extend(run.store.settings(run));
    if layer == "full" {
        settings.push(format!(
            "concurrency={} prefetch={}",
            run.concurrency, run.prefetch
        ));
    }
    settings.push(format!("batch={}", crate::full::BATCH));
    settings.push(format!("threads={threads} reps={}", run.reps));
    settings.join(" ")
}
