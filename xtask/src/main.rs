//! The project's own tool: `cargo xtask ci` is the whole gate, `cargo xtask tidy` its checks of the source tree.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks on its standard output"
)]

mod args;
mod clock;
mod gate;
mod process;
mod root;
mod tidy;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("xtask: {message}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    let root = root::find();
    let good = match command {
        Command::Help => {
            println!("{}", args::HELP);
            true
        }
        Command::ListSteps => {
            gate::list();
            true
        }
        Command::ListChecks => {
            tidy::list();
            true
        }
        Command::Ci { only } => gate::run(&root, &only),
        Command::Tidy => match tidy::run(&root) {
            Ok(()) => true,
            Err(message) => {
                eprintln!("tidy: {message}");
                false
            }
        },
    };
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
