//! Names of images, as layouts write them and as requests ask for them.

/// Where short names are from.
const DEFAULT_REGISTRY: &str = "docker.io";

/// A repository: registry and path, `docker.io/library/busybox`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Repository {
    pub(crate) registry: String,
    pub(crate) path: String,
}

// === impl Repository ===

impl Repository {
    /// Reads `[registry/]path[:tag]` as people and tools write it; without a tag, `latest`.
    pub(crate) fn parse(reference: &str) -> (Self, String) {
        let without_digest = reference.split('@').next().unwrap_or_default();
        let (registry, rest) = match without_digest.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            Some(_) | None => (DEFAULT_REGISTRY, without_digest),
        };
        let (path, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
        (Self::new(registry, path), tag.to_owned())
    }

    /// The repository with this path in this registry, under its usual names.
    pub(crate) fn new(registry: &str, path: &str) -> Self {
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
            other => other,
        };
        let is_short = registry == DEFAULT_REGISTRY && !path.contains('/');
        let path = if is_short { format!("library/{path}") } else { path.to_owned() };
        Self { registry: registry.to_owned(), path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        for (written, registry, path, tag) in [
            ("busybox", "docker.io", "library/busybox", "latest"),
            ("docker.io/library/busybox:1.28", "docker.io", "library/busybox", "1.28"),
            ("index.docker.io/busybox", "docker.io", "library/busybox", "latest"),
            ("fluent/fluentd:v0.14.10", "docker.io", "fluent/fluentd", "v0.14.10"),
            ("gcr.io/kuar-demo/kuard-amd64:blue", "gcr.io", "kuar-demo/kuard-amd64", "blue"),
            ("registry.k8s.io/pause:3.9", "registry.k8s.io", "pause", "3.9"),
            ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c"),
            ("nginx:1.25@sha256:00", "docker.io", "library/nginx", "1.25"),
        ] {
            let (repository, read) = Repository::parse(written);
            let read = (repository.registry.as_str(), repository.path.as_str(), read.as_str());
            assert_eq!(read, (registry, path, tag), "{written}");
        }
    }
}
