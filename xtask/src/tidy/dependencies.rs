//! Rules for crates: dependencies point one way, versions and lints stand once in the root, nothing unused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::workspace;

/// What each crate of the workspace may build on among the others; development dependencies are free to look up.
///
/// This is the arrow diagram of ARCHITECTURE.md as data. A crate that is missing here is a complaint.
const ALLOWED: &[(&str, &[&str])] = &[
    ("dataplane-common", &[]),
    ("dataplane-ebpf", &["dataplane-common"]),
    ("ebpf-toolchain", &[]),
    ("sheave-cni", &[]),
    ("sheave-agent", &["dataplane-common", "ebpf-toolchain", "sheave-cni"]),
    ("sheave-api", &[]),
    ("sheave-patch", &["sheave-api"]),
    ("sheave-store", &[]),
    ("sheave-apiserver", &["sheave-api", "sheave-patch", "sheave-store", "sheave-streaming"]),
    ("sheave-controllers", &["sheave-api"]),
    ("sheave-scheduler", &["sheave-api"]),
    ("sheave-streaming", &[]),
    ("sheave-kubelet", &["sheave-api", "sheave-streaming"]),
    (
        "sheave",
        &[
            "sheave-apiserver",
            "sheave-controllers",
            "sheave-image-registry",
            "sheave-kubelet",
            "sheave-scheduler",
            "sheave-store",
            "sheave-streaming",
        ],
    ),
    ("sheave-image-registry", &[]),
    ("fuzz-targets", &["sheave-api", "sheave-apiserver", "sheave-patch", "sheave-store"]),
    ("images", &[]),
    ("testbed", &[]),
    ("cluster", &["testbed"]),
    ("test-support", &["dataplane-common", "testbed"]),
    ("packet-tests", &[]),
    ("netns-tests", &[]),
    ("cni-tests", &["sheave-agent", "sheave-cni", "test-support", "testbed"]),
    ("api-tests", &["sheave"]),
    ("simulated-nodes", &[]),
    ("test-images", &[]),
    ("e2e-tests", &["api-tests", "cluster", "test-support", "testbed"]),
    ("benchmarks", &["cluster", "sheave-scheduler"]),
    // Must build on a machine that has nothing but Rust, because it installs the rest: no protoc, no kernel crate.
    ("xtask", &["cluster", "ebpf-toolchain", "images", "testbed"]),
];

pub(super) fn check() -> Result<Vec<String>> {
    let metadata = workspace::metadata(false)?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let names = packages.iter().map(|package| text(&package["name"])).collect::<Vec<_>>();
    let mut complaints = Vec::new();
    for package in &packages {
        let name = text(&package["name"]);
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        complaints.extend(upward(&name, package, &names));
        complaints.extend(manifest_rules(&name, &manifest)?);
        complaints.extend(unused(&name, package, &manifest)?);
    }
    Ok(complaints)
}

/// Dependencies within the workspace that the table does not allow.
fn upward(name: &str, package: &serde_json::Value, workspace: &[String]) -> Vec<String> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
        return vec![format!("{name}: not in the table of xtask/src/tidy/dependencies.rs: say what it may build on")];
    };
    normal_dependencies(package)
        .filter(|dependency| workspace.contains(dependency) && !allowed.contains(&dependency.as_str()))
        .map(|dependency| format!("{name}: must not depend on {dependency}: see the arrows in ARCHITECTURE.md"))
        .collect()
}

fn normal_dependencies(package: &serde_json::Value) -> impl Iterator<Item = String> {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies.filter(|dependency| dependency["kind"] != "dev").map(|dependency| text(&dependency["name"]))
}

/// Versions and lints come from the root.
fn manifest_rules(name: &str, manifest: &Path) -> Result<Vec<String>> {
    let parsed: toml::Table = toml::from_str(&std::fs::read_to_string(manifest)?)?;
    let mut complaints = Vec::new();
    let lints = parsed.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        complaints.push(format!("{name}: needs `[lints] workspace = true`"));
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let table = parsed.get(section).and_then(toml::Value::as_table);
        for (dependency, value) in table.into_iter().flatten() {
            let from_root = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            if !from_root {
                complaints.push(format!("{name}: `{dependency}` must take its version from the root Cargo.toml"));
            }
        }
    }
    Ok(complaints)
}

/// Dependencies whose name occurs nowhere in the crate's sources.
fn unused(name: &str, package: &serde_json::Value, manifest: &Path) -> Result<Vec<String>> {
    let folder = manifest.parent().unwrap_or(manifest);
    let mut sources = String::new();
    read_sources(folder, &mut sources)?;
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let by_identifier: BTreeMap<String, String> = dependencies
        .map(|dependency| {
            let shown = dependency["rename"].as_str().unwrap_or_default();
            let shown = if shown.is_empty() { text(&dependency["name"]) } else { shown.to_owned() };
            (shown.replace('-', "_"), shown)
        })
        .collect();
    Ok(by_identifier
        .into_iter()
        .filter(|(identifier, _)| !sources.contains(identifier.as_str()))
        .map(|(_, shown)| format!("{name}: `{shown}` is not used: take it out of {}", manifest.display()))
        .collect())
}

/// All Rust sources of one crate, one after another, without those of crates below it.
fn read_sources(folder: &Path, into: &mut String) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() && !path.ends_with("target") {
                read_sources(&path, into)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(dependency: &str, kind: Option<&str>) -> serde_json::Value {
        serde_json::json!({ "dependencies": [{ "name": dependency, "kind": kind, "rename": null }] })
    }

    #[test]
    fn a_dependency_against_the_arrows_is_refused_and_one_along_them_passes() {
        let workspace = ["sheave-api", "sheave-apiserver", "sheave-store"].map(str::to_owned);
        let upward_of = |name: &str, dependency: &str, kind| upward(name, &package(dependency, kind), &workspace).len();
        assert_eq!(upward_of("sheave-api", "sheave-apiserver", None), 1);
        assert_eq!(upward_of("sheave-api", "sheave-apiserver", Some("dev")), 0);
        assert_eq!(upward_of("sheave-apiserver", "sheave-store", None), 0);
        assert_eq!(upward_of("sheave-api", "serde", None), 0);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_refused() {
        assert!(upward("stranger", &package("serde", None), &[])[0].contains("not in the table"));
    }
}
