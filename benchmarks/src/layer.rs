//! The three layers at which a workload can be measured.

use anyhow::Result;

use crate::args::{Run, Workload};
use crate::row::{self, Printer};
use crate::stats::{Sample, Table};
use crate::{bare, full, raw};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Layer {
    /// The driver alone.
    Bare,
    /// The store alone.
    Raw,
    /// Client, worker and store.
    Full,
}

impl Layer {
    const fn text(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Raw => "raw",
            Self::Full => "full",
        }
    }

    /// One repetition of a workload.
    pub(crate) async fn run(self, workload: Workload, run: &Run) -> Result<Vec<Sample>> {
        match self {
            Self::Bare => bare::run(workload, run).await,
            Self::Raw => raw::run(workload, run).await,
            Self::Full => full::run(workload, run).await,
        }
    }

    /// All repetitions of all asked workloads, printed.
    pub(crate) async fn print(self, run: &Run, threads: usize) -> Result<()> {
        let mut printer = Printer::new(run.store.name(), row::settings(self.text(), run, threads));
        for workload in run.workloads() {
            let mut table = Table::default();
            for _ in 0..run.reps.max(1) {
                for sample in self.run(workload, run).await? {
                    table.add(sample);
                }
            }
            for series in table.series() {
                printer.print(series);
            }
        }
        Ok(())
    }
}
