//! `cargo xtask setup`: finds what this machine has and installs the rest; `--check` only looks.
//!
//! Every step is idempotent: what is there is left alone. Root is used only for Debian's packages.

mod cargo_tools;
mod ebpf;
mod kubectl;
mod packages;
mod system;

use anyhow::{Result, bail};

use system::System;

/// Options of `setup`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print what is there and what is missing; change nothing. Exits non-zero when something is missing.
    #[arg(long)]
    check: bool,
}

// === impl Arguments ===

impl Arguments {
    /// As without any option: install what is missing.
    pub(crate) fn install() -> Self {
        Self { check: false }
    }
}

/// The kubectl to use: the machine's, else the unpacked one.
pub(crate) fn kubectl() -> Option<std::path::PathBuf> {
    kubectl::any()
}

/// One thing that the project needs of a machine.
struct Requirement {
    /// What it is called.
    name: String,
    /// What it is needed for.
    purpose: &'static str,
    /// What was found, such as a version; none when it is missing.
    found: Option<String>,
    /// How to get it, for a person.
    how: String,
    /// Gets it on a system that this command knows.
    install: Box<dyn Fn() -> Result<()>>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let system = System::detect();
    println!("system: {system}");
    if arguments.check {
        return check(&system);
    }
    if !system.is_known() {
        return refuse(&system);
    }
    packages::install_missing()?;
    for requirement in requirements(&system) {
        if let Some(found) = &requirement.found {
            println!("have     {:<26} {found}", requirement.name);
            continue;
        }
        println!("install  {:<26} {} ({})", requirement.name, requirement.how, requirement.purpose);
        (requirement.install)()?;
    }
    let missing = missing(&system);
    if !missing.is_empty() {
        bail!("still missing after installation: {}; see the messages above", missing.join(", "));
    }
    println!("everything is in place");
    Ok(())
}

/// Everything needed, in the order in which it is installed.
fn requirements(system: &System) -> Vec<Requirement> {
    let mut all = cargo_tools::toolchain();
    all.extend(packages::requirements(system));
    all.push(ebpf::requirement(system));
    all.extend(kubectl::requirements());
    all.extend(cargo_tools::tools());
    all
}

fn missing(system: &System) -> Vec<String> {
    requirements(system).into_iter().filter(|row| row.found.is_none()).map(|row| row.name).collect()
}

fn check(system: &System) -> Result<()> {
    println!("{:<8} {:<26} {:<40} how to get it", "", "what", "needed for");
    let mut missing = Vec::new();
    for row in requirements(system) {
        let (state, detail) = match &row.found {
            Some(found) => ("have", found),
            None => ("missing", &row.how),
        };
        println!("{state:<8} {:<26} {:<40} {detail}", row.name, row.purpose);
        if row.found.is_none() {
            missing.push(row.name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("missing: {}; `cargo xtask setup` installs them on Debian 12", missing.join(", "))
}

/// A system without a recipe: says what to install by hand.
fn refuse(system: &System) -> Result<()> {
    println!("there is no recipe for {system}. Install by hand:");
    let rows = requirements(system).into_iter().filter(|row| row.found.is_none()).collect::<Vec<_>>();
    for row in &rows {
        println!("  {:<26} {:<40} {}", row.name, row.purpose, row.how);
    }
    if rows.is_empty() {
        println!("  nothing: all of it is here");
        return Ok(());
    }
    bail!("{} things are missing and this command knows only Debian 12", rows.len())
}
