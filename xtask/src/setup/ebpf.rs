//! The toolchain of the kernel programs: nightly Rust with its own sources, and bpf-linker.

use std::process::Command;

use anyhow::Result;
use ebpf_toolchain::{Machine, Toolchain};

use super::system::System;
use super::{Requirement, cargo_tools, packages};
use crate::process;

/// Where Debian's LLVM is, for building bpf-linker.
pub(super) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// Debian's matching compiler, library sources and LLVM, for machines where rustup cannot fetch components.
const DEBIAN_PACKAGES: &[&str] =
    &["rustc-web", "cargo-web", "rust-web-src", "llvm-22-dev", "libpolly-22-dev", "zlib1g-dev", "libzstd-dev", "gcc"];

pub(super) fn requirement(system: &System) -> Requirement {
    let how = if system.is_known() {
        "rustup's nightly with rust-src and bpf-linker, else the same from Debian's packages"
    } else {
        "rustup component add rust-src --toolchain nightly && cargo install bpf-linker"
    };
    Requirement {
        name: "eBPF toolchain".to_owned(),
        purpose: "building the kernel programs",
        found: find(),
        how: how.to_owned(),
        install: Box::new(install),
    }
}

/// The toolchain in words: which compiler, which linker.
fn find() -> Option<String> {
    Toolchain::find(&Machine::from_environment()).ok().map(|toolchain| toolchain.to_string())
}

/// The usual way first; where rustup cannot fetch components, Debian's packages.
fn install() -> Result<()> {
    if usual_way() {
        return Ok(());
    }
    println!("         rustup cannot fetch nightly with rust-src here: Debian's compiler and LLVM instead");
    packages::install(DEBIAN_PACKAGES)?;
    if process::find("bpf-linker").is_none() {
        cargo_tools::install("bpf-linker", &["--no-default-features", "--features", "llvm-22"])?;
    }
    Ok(())
}

fn usual_way() -> bool {
    let rustup = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"];
    let sources = process::run(Command::new("rustup").args(rustup)).is_ok();
    let linker = process::find("bpf-linker").is_some() || (sources && cargo_tools::install("bpf-linker", &[]).is_ok());
    linker && find().is_some()
}
