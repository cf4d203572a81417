//! The command line.

mod ask;
mod cleanup;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::probe::{self, Report};
use crate::settings::{Layer, Settings};

/// Sheave's per-node agent.
#[derive(Debug, Parser)]
#[command(name = "sheave-agent", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keeps this node's pod network: answers the CNI plugin, follows the API server. Ends with SIGTERM; the network
    /// goes on.
    Run(Options),
    /// What the running agent knows and does.
    Status(Question),
    /// The attached containers.
    Endpoints(Question),
    /// How full the kernel's maps are.
    Maps(Question),
    /// Dropped packets with their reasons, live.
    Monitor(Question),
    /// Takes everything away that an agent has ever made on this node. Pods have no network afterwards.
    Cleanup(Options),
    /// Finds out, by trying, which of the features that Sheave uses this kernel has. Changes nothing that stays.
    Probe {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Options {
    /// A file with settings, in YAML
    #[arg(long, env = "SHEAVE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Layer,
}

#[derive(Debug, clap::Args)]
struct Question {
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Where the agent answers.
    #[arg(long, env = "SHEAVE_SOCKET", default_value = sheave_cni::protocol::DEFAULT_SOCKET)]
    socket: PathBuf,
}

// === impl Arguments ===

impl Arguments {
    /// Does what the command line says.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Run(options) => {
                let settings = options.settings()?;
                start_log(&settings.log)?;
                crate::run::run(settings)
            }
            Command::Cleanup(options) => cleanup::run(&options.settings()?),
            Command::Status(question) => ask::status(&question.socket, question.json),
            Command::Endpoints(question) => ask::endpoints(&question.socket, question.json),
            Command::Maps(question) => ask::maps(&question.socket, question.json),
            Command::Monitor(question) => ask::monitor(&question.socket, question.json),
            Command::Probe { json } => print_report(&probe::run()?, json),
        }
    }
}

// === impl Options ===

impl Options {
    fn settings(self) -> Result<Settings> {
        let file = self.config.filter(|path| !path.as_os_str().is_empty());
        let below = file.map(|path| Layer::read(&path)).transpose()?.unwrap_or_default();
        Ok(self.settings.over(below)?)
    }
}

fn start_log(filter: &str) -> Result<()> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("the setting `log` is {filter:?}: {error}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    Ok(())
}

fn print_report(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
