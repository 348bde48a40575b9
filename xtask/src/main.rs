//! The project's own tool: `cargo xtask ci` is the whole gate, `cargo xtask tidy` its checks of the source tree.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks on its standard output"
)]

mod args;
mod clock;
mod gate;
mod process;
mod relay;
mod root;
mod servers;
mod sim;
mod tidy;
mod torture;

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
        Command::Ci { install, only } => {
            (!install || told(servers::install(&test_servers::Kind::ALL))) && gate::run(&root, &only)
        }
        Command::Sim { words } => told(sim::simulate(&root, &words)),
        Command::Torture { words } => told(torture::torture(&root, &words)),
        Command::RelayMutants { only } => told(relay::mutants(&root, &only)),
        Command::SimMutants { only } => told(sim::mutants(&root, &only)),
        Command::Servers(request) => told(servers::run(&request)),
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

/// Prints what failed; whether nothing did.
fn told(result: Result<(), String>) -> bool {
    result
        .inspect_err(|message| eprintln!("xtask: {message}"))
        .is_ok()
}
