//! Rules for kernel maps: each stands in docs/maps.md, and only two places know their names.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// The documentation of every map.
const DOCUMENT: &str = "docs/maps.md";
/// Who may name a map in a string: the programs that declare it, the agent's map module, tests of either.
const KNOWS_NAMES: &[&str] = &["dataplane-ebpf/", "agent/src/maps", "agent/src/map", "tests/", "docs/"];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let maps = declared(root)?;
    let document = std::fs::read_to_string(root.join(DOCUMENT)).unwrap_or_default();
    let mut complaints = maps
        .iter()
        .filter(|map| !document.contains(&format!("`{map}`")))
        .map(|map| format!("{DOCUMENT}: the map `{map}` is missing"))
        .collect::<Vec<_>>();
    for map in &maps {
        complaints.extend(foreign_mentions(root, map)?);
    }
    Ok(complaints)
}

/// The statics under `#[map]` or `#[btf_map]` in the kernel crate.
fn declared(root: &Path) -> Result<Vec<String>> {
    let text = git(root, &["grep", "-h", "-A3", "-E", r"^\s*#\[(btf_)?map", "--", "dataplane-ebpf/"])?;
    let statics = text.lines().filter_map(|line| line.trim().split_once("static ")?.1.split_once(':'));
    Ok(statics.map(|(name, _)| name.trim().to_owned()).collect())
}

/// String literals with a map's name outside the places that may know it.
fn foreign_mentions(root: &Path, map: &str) -> Result<Vec<String>> {
    let literal = format!("\"{map}\"");
    let files = git(root, &["grep", "-l", "-F", &literal, "--", "*.rs"])?;
    let foreign = files.lines().filter(|file| !KNOWS_NAMES.iter().any(|place| file.starts_with(place)));
    Ok(foreign.map(|file| format!("{file}: names the map {literal}: ask the agent's map module instead")).collect())
}

/// git's output; grep's "nothing found" is empty output.
fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().context("cannot start git")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
