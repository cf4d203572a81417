//! `cargo xtask`: every task of the project behind one door, one file per command.

mod bench;
mod build;
mod deny;
mod down;
mod exec;
mod image;
mod place;
mod process;
mod setup;
mod test;
mod tidy;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sheave's tasks. Start with `cargo xtask setup`.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find what this machine has, install the rest.
    Setup(setup::Arguments),
    /// Build everything, kernel programs included.
    Build(build::Arguments),
    /// Run the tests: all suites but `e2e` and `fuzz`, or the named ones.
    Test(test::Arguments),
    /// Check the rules that a machine can hold.
    Tidy,
    /// Check bans, licences and sources of all dependencies, offline.
    Deny,
    /// Make container images without a registry.
    Image(image::Arguments),
    /// Start a cluster of test hosts on this machine, or what is missing of it.
    Up(up::Arguments),
    /// End a cluster of test hosts and remove everything of it.
    Down(down::Arguments),
    /// Run a command in a host of a cluster.
    Exec(exec::Arguments),
    /// Measure.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Setup(arguments) => setup::run(&arguments)?,
        Command::Build(arguments) => build::run(&arguments)?,
        Command::Test(arguments) => test::run(&arguments)?,
        Command::Tidy => tidy::run()?,
        Command::Deny => deny::run()?,
        Command::Image(arguments) => image::run(&arguments)?,
        Command::Up(arguments) => up::run(&arguments)?,
        Command::Down(arguments) => down::run(&arguments)?,
        Command::Exec(arguments) => return exec::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
