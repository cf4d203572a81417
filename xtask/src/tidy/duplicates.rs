//! One version of each crate that the root Cargo.toml names, in the whole graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use crate::workspace;

/// Crates of which somebody else brings a second version, and who.
const EXCEPTIONS: &[(&str, &str)] =
    &[("base64", "jsonwebtoken is one version behind kube"), ("rand", "tungstenite is one version behind")];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let manifest: toml::Table = toml::from_str(&std::fs::read_to_string(root.join("Cargo.toml"))?)?;
    let named = manifest["workspace"]["dependencies"].as_table().cloned().unwrap_or_default();
    let named = named.keys().map(String::as_str).collect::<BTreeSet<_>>();
    Ok(complain(&named, &workspace::metadata(true)?))
}

fn complain(named: &BTreeSet<&str>, metadata: &serde_json::Value) -> Vec<String> {
    let mut versions = BTreeMap::<&str, BTreeSet<&str>>::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (name, version) = (package["name"].as_str(), package["version"].as_str());
        if let (Some(name), Some(version)) = (name.filter(|name| named.contains(name)), version) {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions
        .into_iter()
        .filter(|(name, versions)| versions.len() > 1 && !EXCEPTIONS.iter().any(|(excepted, _)| excepted == name))
        .map(|(name, versions)| {
            let versions = versions.into_iter().collect::<Vec<_>>().join(" and ");
            format!("Cargo.lock: {name} {versions}: name the version that the others use in the root Cargo.toml")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_version_of_a_named_crate_is_refused_and_of_another_is_not() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "kube", "version": "4.0.0" },
            { "name": "kube", "version": "5.0.0" },
            { "name": "syn", "version": "2.0.0" },
            { "name": "syn", "version": "3.0.0" },
        ]});
        let complaints = complain(&BTreeSet::from(["kube"]), &metadata);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("kube 4.0.0 and 5.0.0"));
    }
}
