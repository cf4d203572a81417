//! The per-node agent: loads the kernel programs and keeps their maps true.

use clap::{Parser, Subcommand};
use sheave_agent::probe::{self, Report};

/// Sheave's per-node agent.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Finds out, by trying, which of the features that Sheave uses this kernel has. Changes nothing that stays.
    Probe {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Probe { json } => print_report(&probe::run()?, json),
    }
}

fn print_report(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
