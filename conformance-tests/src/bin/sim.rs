//! The simulator's command line; `cargo xtask sim` builds it optimised and runs it.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks on its standard output"
)]

use std::process::ExitCode;

use conformance_tests::sim::campaign;

fn main() -> ExitCode {
    ExitCode::from(campaign::main(std::env::args().skip(1), &|line| {
        println!("{line}")
    }))
}
