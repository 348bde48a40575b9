//! The command line.

use std::path::PathBuf;

use clap::Parser;
use hyper::Uri;

/// The orders that are shipped with the example.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/orders/orders.jsonl");

/// Takes orders into a store and delivers each as an HTTP POST, whatever fails in between.
///
/// Each order is written together with the task that delivers it. Kill the program at any moment,
/// by Ctrl-C or `kill -9`, and start the same command again: it finishes the rest.
#[derive(Debug, Parser)]
#[command(name = "orders", after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// The SQLite database: the orders and their tasks. Made if it does not exist. The receiver's records stand beside it
    #[arg(long, value_name = "PATH", default_value = "orders.db")]
    pub(crate) db: PathBuf,

    /// Another store: postgres://…, mysql://…, redis://…, sled:PATH, each with the feature of its name
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,

    /// The orders to take in, one JSON object a line; those in the database already are left as they are
    #[arg(long, value_name = "FILE", default_value = SHIPPED, hide_default_value = true)]
    pub(crate) orders: PathBuf,

    /// Refuse a file with a malformed line as a whole, instead of reporting and skipping the line
    #[arg(long)]
    pub(crate) strict: bool,

    /// Deliver here (http:// only), instead of to a receiver in this process that fails like the real world
    #[arg(long, value_name = "URL", value_parser = http)]
    pub(crate) to: Option<Uri>,

    /// With --to: deliver here when an order was refused over and over. Without it there are only retries
    #[arg(long, value_name = "URL", value_parser = http, requires = "to")]
    pub(crate) fallback_to: Option<Uri>,

    /// Decides how the receiver in this process fails; the same seed fails the same way
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    pub(crate) seed: u64,

    /// Deliveries at the same time
    #[arg(long, visible_alias = "workers", value_name = "NUMBER", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) concurrency: u16,
}

const AFTER_HELP: &str = "\
Exit status: 0 every order is delivered or failed visibly, 1 an order is neither, or an error; \
2 a wrong command line; 130 stopped by Ctrl-C.";

fn http(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(_)) => Ok(uri),
        (Some("https"), _) => Err("the example speaks plain http only, to keep its build small".to_owned()),
        _ => Err("an address looks like http://host:port/path".to_owned()),
    }
}
