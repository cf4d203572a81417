//! `cargo xtask bench`: measurements, each beside its baseline in the same run.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::{process, up, workspace};

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure.
    #[arg(default_value = "control-plane")]
    what: What,
    /// Fewer and shorter runs.
    #[arg(long)]
    quick: bool,
    /// Also write the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also write the report as Markdown.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// A group of measurements.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// API server and store.
    ControlPlane,
    /// Pods on a node; makes a cluster of test hosts, so it needs root.
    Node,
}

/// Builds with optimisation, and runs the benchmarks; they refuse a debug build.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut words: Vec<OsString> = Vec::new();
    match arguments.what {
        What::ControlPlane => {
            process::run(workspace::cargo().args(["build", "--release", "--locked", "-p", "sheave"]))?;
            words.push("control-plane".into());
        }
        What::Node => {
            let programs = up::programs("release")?;
            words.push("node".into());
            let options =
                [("--sheave", programs.sheave), ("--images", programs.images), ("--kubectl", programs.kubectl)];
            words.extend(options.into_iter().flat_map(|(option, path)| [option.into(), path.into()]));
        }
    }
    process::run(workspace::cargo().args(["build", "--release", "--locked", "-p", "benchmarks"]))?;
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--quiet", "--release", "--locked", "-p", "benchmarks", "--"]).args(words);
    if arguments.quick {
        cargo.arg("--quick");
    }
    for (option, path) in [("--json", &arguments.json), ("--markdown", &arguments.markdown)] {
        if let Some(path) = path {
            cargo.arg(option).arg(std::path::absolute(path)?);
        }
    }
    process::run(&mut cargo)
}
