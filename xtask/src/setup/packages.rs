//! Debian's packages: one row each, installed together in one call.

use std::process::Command;

use anyhow::Result;

use super::Requirement;
use super::system::System;
use crate::process;

/// Package and what it is needed for.
const PACKAGES: &[(&str, &str)] = &[
    ("protobuf-compiler", "CRI's gRPC code"),
    ("libprotobuf-dev", "CRI's gRPC code (well-known types)"),
    ("containerd", "container runtime of the nodes"),
    ("runc", "container runtime of the nodes"),
    ("containernetworking-plugins", "loopback, bridge and ptp for pods"),
    ("busybox-static", "images and test hosts"),
    ("iproute2", "routes of a cluster's server; looking into test hosts"),
    ("curl", "tests that speak HTTP as a user would"),
    ("openssl", "certificates in tests"),
    ("git", "tidy, and the commit in benchmarks"),
    ("iptables", "kube-proxy's rules as a baseline"),
    ("nftables", "kube-proxy's rules as a baseline"),
    ("tcpdump", "looking into test hosts"),
    ("e2fsprogs", "small disks that fill up in tests"),
    ("etcd-server", "the store's baseline"),
];

/// One row a package.
pub(super) fn requirements(system: &System) -> Vec<Requirement> {
    let known = system.is_known();
    PACKAGES
        .iter()
        .map(|&(name, purpose)| Requirement {
            name: name.to_owned(),
            purpose,
            found: installed(name),
            how: if known { format!("apt-get install {name}") } else { format!("your system's package of {name}") },
            install: Box::new(move || install(&[name])),
        })
        .collect()
}

/// Installs all missing packages in one transaction, which is much quicker than one by one.
pub(super) fn install_missing() -> Result<()> {
    let missing = PACKAGES.iter().map(|row| row.0).filter(|name| installed(name).is_none()).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    println!("install  from Debian: {}", missing.join(" "));
    install(&missing)
}

/// The installed version of `package`.
pub(super) fn installed(package: &str) -> Option<String> {
    let shown = process::output("dpkg-query", &["-W", "-f", "${db:Status-Status} ${Version}", package])?;
    shown.strip_prefix("installed ").map(str::to_owned)
}

/// Installs `packages`; the package lists are fetched first, because a fresh machine has none.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    process::run(apt()?.args(["update", "-q"]))?;
    process::run(apt()?.args(["install", "-q", "-y", "--no-install-recommends"]).args(packages))
}

fn apt() -> Result<Command> {
    let mut command = process::as_root("env")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}
