//! OCI archives: an image layout (image-spec, image-layout.md) in one tar file.
//!
//! Layers are not compressed: they travel over a loopback address, and unpacking is what a pod waits for.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::catalog::Start;
use crate::tree::{Tree, TreeError};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Where a layout's reader looks for the name: the specification's own annotation, and containerd's for whole names.
const NAME_ANNOTATIONS: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// A whole name of an image: registry, repository and tag, `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(String);

/// An image layout that is being put together.
#[derive(Debug, Default)]
pub struct Archive {
    blobs: BTreeMap<Digest, Vec<u8>>,
    manifests: Vec<Value>,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A layer or the archive itself.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The file.
    #[error("cannot write {path}: {source}")]
    File {
        /// The archive.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl Digest ===

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{hash}"))
    }

    fn hexadecimal(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// === impl Reference ===

impl Reference {
    /// The whole name of what people write: `busybox` means `docker.io/library/busybox:latest`.
    pub fn of(written: &str) -> Self {
        let (registry, repository) = match written.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest.to_owned()),
            Some(_) => ("docker.io", written.to_owned()),
            None => ("docker.io", format!("library/{written}")),
        };
        let tag = if repository.contains(':') { "" } else { ":latest" };
        Self(format!("{registry}/{repository}{tag}"))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// === impl Archive ===

impl Archive {
    /// Adds an image of these layers, the lowest first, under all these names. Gives the digest of its manifest.
    pub fn add_image(
        &mut self,
        references: &[Reference],
        layers: &[Tree],
        start: &Start,
    ) -> Result<Digest, ArchiveError> {
        let mut descriptors = Vec::new();
        for layer in layers {
            let mut bytes = Vec::new();
            layer.write(&mut bytes)?;
            descriptors.push(self.add_blob(LAYER, bytes));
        }
        // An uncompressed layer is its own diff.
        let diffs: Vec<_> = descriptors.iter().map(|layer| layer["digest"].clone()).collect();
        let configuration = self.add_blob(CONFIGURATION, configuration(start, &diffs).to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": descriptors,
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let descriptor = self.add_blob(MANIFEST, bytes);
        for reference in references {
            let mut named = descriptor.clone();
            named["platform"] = json!({ "architecture": architecture(), "os": "linux" });
            named["annotations"] = NAME_ANNOTATIONS.map(|key| (key, reference.to_string())).into_iter().collect();
            self.manifests.push(named);
        }
        Ok(digest)
    }

    /// Writes the archive; a reader sees the old file or the new one, never a part.
    pub fn write(&self, path: &Path) -> Result<(), ArchiveError> {
        let mut tree = Tree::default();
        tree.file("oci-layout", 0o644, r#"{"imageLayoutVersion":"1.0.0"}"#);
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests });
        tree.file("index.json", 0o644, index.to_string());
        for (digest, bytes) in &self.blobs {
            tree.file(&format!("blobs/sha256/{}", digest.hexadecimal()), 0o644, bytes.as_slice());
        }
        let failed = |source| ArchiveError::File { path: path.to_owned(), source };
        let partial = path.with_extension(format!("partial.{}", std::process::id()));
        let file = File::create(&partial).map_err(failed)?;
        tree.write(BufWriter::new(file))?;
        fs::rename(&partial, path).map_err(failed)
    }

    /// Adds a blob; gives its descriptor.
    fn add_blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = Digest::of(&bytes);
        let descriptor = json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() });
        self.blobs.insert(digest, bytes);
        descriptor
    }
}

/// The image's configuration (image-spec, config.md), without a time of creation.
fn configuration(start: &Start, diffs: &[Value]) -> Value {
    let ports = start.ports.iter().map(|port| ((*port).to_owned(), json!({}))).collect::<serde_json::Map<_, _>>();
    let mut config = json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "WorkingDir": "/",
    });
    if let Some(variables) = config["Env"].as_array_mut() {
        variables.extend(start.environment.iter().map(|variable| Value::from(*variable)));
    }
    for (key, words) in [("Entrypoint", start.entrypoint), ("Cmd", start.command)] {
        if !words.is_empty() {
            config[key] = words.into();
        }
    }
    if !ports.is_empty() {
        config["ExposedPorts"] = ports.into();
    }
    json!({
        "architecture": architecture(), "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": diffs },
    })
}

/// This machine's architecture as images call it (Go's words).
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_means_a_whole_name() {
        for (written, whole) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.28", "docker.io/library/busybox:1.28"),
            ("microsoft/azure-vote-front:redis-v1", "docker.io/microsoft/azure-vote-front:redis-v1"),
            ("gcr.io/kuar-demo/kuard-amd64:blue", "gcr.io/kuar-demo/kuard-amd64:blue"),
            ("k8s.gcr.io/busybox", "k8s.gcr.io/busybox:latest"),
            ("localhost:5000/web", "localhost:5000/web:latest"),
            ("localhost/web", "localhost/web:latest"),
        ] {
            assert_eq!(Reference::of(written).to_string(), whole, "{written}");
        }
    }

    #[test]
    fn the_same_image_has_the_same_digest_under_whatever_name() {
        let mut tree = Tree::default();
        tree.file("bin/true", 0o755, "");
        let digest = |name: &str| {
            let mut archive = Archive::default();
            archive.add_image(&[Reference::of(name)], &[tree.clone()], &Start::NOTHING).unwrap()
        };
        assert_eq!(digest("one"), digest("two"));
    }

    #[test]
    fn a_layer_that_two_images_share_is_in_the_archive_once() {
        let mut tree = Tree::default();
        tree.file("bin/true", 0o755, "");
        let mut archive = Archive::default();
        for (name, variable) in [("one", "A=1"), ("two", "A=2")] {
            let start = Start { environment: Box::leak(Box::new([&*variable.to_owned().leak()])), ..Start::NOTHING };
            archive.add_image(&[Reference::of(name)], &[tree.clone()], &start).unwrap();
        }
        // One layer, two configurations, two manifests.
        assert_eq!(archive.blobs.len(), 5);
        assert_eq!(archive.manifests.len(), 2);
    }
}
