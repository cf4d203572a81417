//! The toolchain of the kernel programs: nightly Rust with its own sources, and bpf-linker.

use std::process::Command;

use anyhow::Result;

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
    let linker = process::find("bpf-linker")?;
    let compiler = rustup_nightly().or_else(debian)?;
    Some(format!("{compiler}, {}", linker.display()))
}

/// rustup's nightly, when it has the library's sources.
fn rustup_nightly() -> Option<String> {
    let version = process::output("rustup", &["run", "nightly", "rustc", "--version"])?;
    let sysroot = process::output("rustup", &["run", "nightly", "rustc", "--print", "sysroot"])?;
    has_library_sources(&sysroot).then_some(version)
}

/// Debian's compiler, when it has the library's sources.
fn debian() -> Option<String> {
    let sysroot = process::output("/usr/bin/rustc", &["--print", "sysroot"])?;
    let version = process::output("/usr/bin/rustc", &["--version"])?;
    has_library_sources(&sysroot).then_some(version)
}

fn has_library_sources(sysroot: &str) -> bool {
    std::path::Path::new(sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
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
    let rustup = |words: &[&str]| process::run(Command::new("rustup").args(words)).is_ok();
    let sources = rustup_nightly().is_some()
        || rustup(&["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"]);
    sources && (process::find("bpf-linker").is_some() || cargo_tools::install("bpf-linker", &[]).is_ok())
}
