//! Builds the kernel programs and leaves their object where `object.rs` embeds it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use ebpf_toolchain::{Build, Machine, Toolchain};

/// The kernel crate, and the folders and files that its object is made from, relative to the workspace.
const PACKAGE: &str = "dataplane-ebpf";
const SOURCES: [&str; 6] = [
    "dataplane-ebpf/src",
    "dataplane-ebpf/Cargo.toml",
    "dataplane-common/src",
    "dataplane-common/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() -> ExitCode {
    match embed_kernel_programs() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn embed_kernel_programs() -> Result<()> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir.parent().context("the agent lies below the workspace's root")?;
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let toolchain = Toolchain::find(&Machine::from_environment())?;
    let target_dir = target_dir(&out_dir).join("kernel");
    let architecture = variable("CARGO_CFG_TARGET_ARCH")?;
    let build = Build { workspace, package: PACKAGE, target_dir: &target_dir, architecture: &architecture };
    let (object, warnings) = build.run(&toolchain)?;
    // No other build sees most of the kernel crate, so that a check which denies warnings must deny these here.
    println!("cargo::rerun-if-env-changed=CI");
    if std::env::var("CI").as_deref() == Ok("true") && !warnings.is_empty() {
        bail!("{PACKAGE} compiles with warnings:\n{warnings}");
    }
    for line in warnings.lines() {
        println!("cargo::warning={line}");
    }
    let embedded = out_dir.join("dataplane.o");
    std::fs::copy(&object, &embedded).with_context(|| format!("cannot copy {}", object.display()))?;
    Ok(())
}

/// The target folder of the outer build, where all its profiles share one kernel build.
///
/// Cargo marks the folder as a cache, and the folder per target within it as well: the outermost one is meant.
fn target_dir(out_dir: &Path) -> &Path {
    out_dir.ancestors().filter(|folder| folder.join("CACHEDIR.TAG").is_file()).last().unwrap_or(out_dir)
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("cargo sets {name} for build scripts"))
}
