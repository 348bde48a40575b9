//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// The orders that are shipped with the example.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/reports/orders.csv");

/// Makes a nightly report: splits it by customer, works the parts out in several processes, kills one of them half-way, and
/// reduces the parts into one file, which it checks against a plain computation.
#[derive(Debug, Parser)]
#[command(name = "reports", after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// The store: sqlite:PATH, postgres://…, mysql://…, redis://…, each with the feature of its name
    #[arg(long, value_name = "URL", default_value = "sqlite:reports.db")]
    pub(crate) store: String,

    /// The orders, a CSV file
    #[arg(long, value_name = "FILE", default_value = SHIPPED, hide_default_value = true)]
    pub(crate) orders: PathBuf,

    /// The folder that gets the report; it must exist
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,

    /// Worker processes
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) workers: u8,

    /// Kill nobody
    #[arg(long)]
    pub(crate) in_peace: bool,

    /// Be a worker with this name, until the standard input ends
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) work_as: Option<String>,
}

const AFTER_HELP: &str = "\
Exit status: 0 the report is right, 1 it is wrong, or an error; 2 a wrong command line.";
