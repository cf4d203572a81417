//! `cargo xtask exec`: a command in a host of a cluster, with all its namespaces and its cgroup.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use testbed::{Host, Topology};

use crate::place::Name;

/// Options of `exec`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// Where: `n1`, `n2` ..., `server`, or `client`, which is outside the cluster.
    host: String,
    /// What to run there; a shell when nothing is given.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Gives the command's exit code.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let topology = arguments.name.place()?.open()?;
    let host = find(&topology, &arguments.host)?;
    let shell = ["bash".to_owned()];
    let words = if arguments.command.is_empty() { &shell[..] } else { &arguments.command };
    let (program, rest) = words.split_first().context("no command was given")?;
    // The error's words hold those of its cause: as a chain they would come twice.
    let status = host.command(program)?.args(rest).status().map_err(|error| anyhow!("{error}"))?;
    // Like a shell: 128 and the signal's number for a command that a signal ended.
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default();
    let code = status.code().unwrap_or(128 + signal);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn find<'a>(topology: &'a Topology, name: &str) -> Result<&'a Host> {
    let hosts = topology.nodes().iter().map(|node| &**node).chain([&**topology.server(), topology.client()]);
    let hosts: Vec<_> = hosts.collect();
    if let Some(host) = hosts.iter().find(|host| host.name().role().to_string() == name) {
        return Ok(host);
    }
    let names: Vec<_> = hosts.iter().map(|host| host.name().role().to_string()).collect();
    bail!("no host {name} in this cluster: there are {}", names.join(", "))
}
