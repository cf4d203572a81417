//! `sheave`: control plane and node in one binary.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use ipnetwork::IpNetwork;
use sheave::cluster::ClusterArguments;
use sheave::listen::Listen;
use sheave::node::{Node, NodeArguments};
use sheave::server::{Options, Server};
use sheave::token::{self, TokenArguments};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A small, complete Kubernetes.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What is logged, as tracing's filters write it.
    #[arg(long, global = true, env = "SHEAVE_LOG", default_value = "info")]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Run the control plane: API server, store, controllers, scheduler.
    Server(ServerArguments),
    /// Run a node: the kubelet, over a container runtime that is there already.
    Node(NodeArguments),
    /// Let nodes join.
    Token(TokenArguments),
}

#[derive(clap::Args)]
struct ServerArguments {
    /// Where everything is kept that must survive a restart; made when it is not there.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Where to listen: ADDRESS:PORT, or fd:N for an open socket. May be given several times.
    #[arg(long, value_name = "ADDRESS:PORT|fd:N", default_value = "0.0.0.0:6443")]
    listen: Vec<Listen>,
    /// Where other machines reach this server; the endpoint of the `kubernetes` Service.
    #[arg(long, value_name = "ADDRESS")]
    advertise_address: Option<IpAddr>,
    /// Range of cluster IPs; two of different families, separated by a comma, for dual stack.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.96.0.0/12,fd00:10:96::/112")]
    service_cidr: Vec<IpNetwork>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_new(&arguments.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sheave: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start tokio")?;
    match command {
        Command::Server(arguments) => runtime.block_on(serve(Options {
            listen: arguments.listen,
            advertise_address: arguments.advertise_address,
            event_ttl: arguments.cluster.event_ttl,
            controllers: arguments.cluster.options(&arguments.service_cidr)?,
            service_cidrs: arguments.service_cidr,
            ..Options::new(&arguments.data_dir)
        })),
        Command::Node(arguments) => runtime.block_on(keep_node(arguments)),
        Command::Token(arguments) => runtime.block_on(token::run(arguments)),
    }
}

/// Runs until SIGTERM or SIGINT.
async fn serve(options: Options) -> Result<()> {
    let stopped = stop_signal()?;
    tokio::pin!(stopped);
    let server = tokio::select! {
        server = Server::start(options) => server?,
        () = &mut stopped => return Ok(()),
    };
    stopped.await;
    server.stop().await;
    Ok(())
}

/// Runs until SIGTERM or SIGINT; containers run on.
async fn keep_node(arguments: NodeArguments) -> Result<()> {
    let stopped = stop_signal()?;
    let node = Node::start(arguments).await?;
    stopped.await;
    node.stop().await;
    Ok(())
}

/// Ends with the first SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
