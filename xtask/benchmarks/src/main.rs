//! What `cargo xtask bench` measures, each beside its baseline in the same run.

mod connection;
mod control_plane;
mod machine;
mod node;
mod process;
mod report;
mod sample;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

/// Measures Sheave beside its peers, on this machine, in one run.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Fewer and shorter runs.
    #[arg(long, global = true)]
    quick: bool,
    /// Also write the figures as JSON.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Also write the report as Markdown.
    #[arg(long, global = true)]
    markdown: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// API server and store: start, memory, creates, reads, lists, watches; etcd beside it.
    ControlPlane,
    /// Pods on a node: from created to Running; the container runtime's own calls beside it.
    Node(node::Arguments),
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if cfg!(debug_assertions) {
        bail!("a debug build says nothing about speed: run `cargo xtask bench`, which builds with --release");
    }
    let report = match &arguments.what {
        What::ControlPlane => control_plane::run(arguments.quick).await?,
        What::Node(node) => node::run(node, arguments.quick).await?,
    };
    let markdown = report.markdown();
    println!("{markdown}");
    if let Some(path) = &arguments.markdown {
        std::fs::write(path, &markdown).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
