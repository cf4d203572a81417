//! Rust's own tools: the toolchain's components and the programs that cargo installs.

use std::process::Command;

use super::Requirement;
use crate::process;

/// Components of the toolchain that runs us.
pub(super) fn toolchain() -> Vec<Requirement> {
    ["clippy", "fmt"]
        .map(|tool| {
            let component = if tool == "fmt" { "rustfmt" } else { tool };
            Requirement {
                name: component.to_owned(),
                purpose: "the checks before a commit",
                found: process::output("cargo", &[tool, "--version"]),
                how: format!("rustup component add {component}"),
                install: Box::new(move || process::run(Command::new("rustup").args(["component", "add", component]))),
            }
        })
        .into()
}

/// Programs from crates.io.
pub(super) fn tools() -> Vec<Requirement> {
    [("cargo-deny", "licences, bans, sources"), ("cargo-fuzz", "the fuzz suite")]
        .map(|(name, purpose)| Requirement {
            name: name.to_owned(),
            purpose,
            found: process::find(name).map(|path| path.display().to_string()),
            how: format!("cargo install --locked {name}"),
            install: Box::new(move || install(name, &[])),
        })
        .into()
}

/// `cargo install NAME` outside the workspace, whose flags and folder are not for other people's programs.
pub(super) fn install(name: &str, options: &[&str]) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(std::env::temp_dir()).args(["install", "--locked", name]).args(options);
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTUP_TOOLCHAIN"] {
        cargo.env_remove(variable);
    }
    if name == "bpf-linker" {
        cargo.env("LLVM_PREFIX", super::ebpf::LLVM_PREFIX);
    }
    process::run(&mut cargo)
}
