//! The images that there are, one row each.
//!
//! Their names are those that manifests and tutorials use. Where an image is only a stand-in for the one of that name,
//! its row says so; `docs/images.md` lists them.

use crate::debian::Request;

/// An image: a row of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is called on the command line; its archive is `<name>.tar`.
    pub name: &'static str,
    /// The references that it answers to, as people write them.
    pub references: &'static [&'static str],
    /// What is in it, the lowest layer first.
    pub layers: &'static [Contents],
    /// How a container of it starts.
    pub start: Start,
}

/// What one layer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// busybox with its applets, and the files that every system has.
    Busybox,
    /// A program of this workspace.
    Program {
        /// The cargo package.
        package: &'static str,
        /// The binary in it.
        binary: &'static str,
        /// Where it goes in the image.
        path: &'static str,
    },
    /// Debian's packages with what they depend on.
    Packages {
        /// The packages.
        packages: &'static [&'static str],
        /// Dependencies that stay out.
        without: &'static [&'static str],
    },
    /// Plain files: path and text.
    Files(&'static [(&'static str, &'static str)]),
    /// Symbolic links: path and target.
    Links(&'static [(&'static str, &'static str)]),
    /// Empty folders that anybody may write to.
    Folders(&'static [&'static str]),
}

/// How a container starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The program, which a pod's `command` replaces.
    pub entrypoint: &'static [&'static str],
    /// Its arguments, or the whole command where there is no entrypoint; a pod's `args` replace it.
    pub command: &'static [&'static str],
    /// `NAME=value`.
    pub environment: &'static [&'static str],
    /// `8080/tcp`.
    pub ports: &'static [&'static str],
}

/// All images.
pub fn all() -> &'static [Image] {
    CATALOG
}

/// The image with this name, or one that answers to this reference.
pub fn find(name: &str) -> Option<&'static Image> {
    CATALOG.iter().find(|image| image.name == name || image.references.contains(&name))
}

const CATALOG: &[Image] = &[
    Image {
        name: "pause",
        references: &["registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.10", "k8s.gcr.io/pause:3.5"],
        layers: &[Contents::Program { package: "test-images", binary: "pause", path: "pause" }],
        start: Start { entrypoint: &["/pause"], ..Start::NOTHING },
    },
    Image {
        name: "busybox",
        // Alpine is busybox too, with another C library and a package manager, which needs a network.
        references: &[
            "busybox",
            "busybox:1.28",
            "busybox:1.36",
            "k8s.gcr.io/busybox",
            "registry.k8s.io/busybox",
            "gcr.io/google_containers/busybox",
            "alpine",
            "alpine:3",
        ],
        layers: &[Contents::Busybox],
        start: Start { command: &["sh"], ..Start::NOTHING },
    },
    Image {
        name: "testbox",
        references: &["sheave/testbox"],
        layers: &[
            Contents::Busybox,
            Contents::Program { package: "test-images", binary: "testbox", path: "usr/local/bin/testbox" },
        ],
        start: Start {
            entrypoint: &["/usr/local/bin/testbox"],
            command: &["serve"],
            ports: &["8080/tcp", "9000/tcp", "9000/udp"],
            ..Start::NOTHING
        },
    },
    Image {
        name: "sheave-agent",
        references: &["sheave/agent"],
        layers: &[
            // Of these the installer takes `loopback`, which runtimes call for every pod.
            Contents::Packages { packages: &["containernetworking-plugins"], without: &["iptables", "libc6"] },
            Contents::Program { package: "sheave-cni", binary: "sheave-cni", path: "usr/lib/cni/sheave-cni" },
            Contents::Program { package: "sheave-agent", binary: "sheave-agent", path: "usr/bin/sheave-agent" },
        ],
        start: Start { entrypoint: &["/usr/bin/sheave-agent"], command: &["run"], ..Start::NOTHING },
    },
    kuard(
        "kuard-blue",
        &["gcr.io/kuar-demo/kuard-amd64:blue", "gcr.io/kuar-demo/kuard-amd64:1", "gcr.io/kuar-demo/kuard-amd64"],
        &["KUARD_COLOUR=blue"],
    ),
    kuard(
        "kuard-green",
        &["gcr.io/kuar-demo/kuard-amd64:green", "gcr.io/kuar-demo/kuard-amd64:2"],
        &["KUARD_COLOUR=green"],
    ),
    kuard(
        "kuard-purple",
        &["gcr.io/kuar-demo/kuard-amd64:purple", "gcr.io/kuar-demo/kuard-amd64:3"],
        &["KUARD_COLOUR=purple"],
    ),
    Image {
        name: "redis",
        // Debian's version, whatever the tag says.
        references: &[
            "redis",
            "redis:alpine",
            "redis:3.2.7-alpine",
            "redis:5",
            "redis:6",
            "redis:7",
            "k8s.gcr.io/redis:e2e",
        ],
        layers: &[
            Contents::Busybox,
            Contents::Packages {
                packages: &["redis-server", "redis-tools", "redis-sentinel", "bash"],
                without: &["adduser", "lsb-base", "sysvinit-utils", "init-system-helpers", "base-files", "debianutils"],
            },
            Contents::Folders(&["data", "redis-data"]),
        ],
        start: Start {
            // Other pods shall reach it without a password, as with the image of this name.
            command: &["redis-server", "--protected-mode", "no", "--dir", "/data"],
            ports: &["6379/tcp"],
            ..Start::NOTHING
        },
    },
    Image {
        name: "nginx",
        // Debian's version, whatever the tag says.
        references: &[
            "nginx",
            "nginx:alpine",
            "nginx:1.7.1",
            "nginx:1.7.9",
            "nginx:1.9.1",
            "nginx:1.10.0",
            "nginx:1.14.2",
            "nginx:1.16.1",
            "nginx:1.25",
        ],
        layers: &[
            Contents::Busybox,
            Contents::Packages {
                packages: &["nginx", "bash"],
                without: &["iproute2", "debconf", "base-files", "debianutils"],
            },
            Contents::Links(&[("var/log/nginx/access.log", "/dev/stdout"), ("var/log/nginx/error.log", "/dev/stderr")]),
            Contents::Files(&[("etc/nginx/conf.d/default.conf", NGINX_SITE)]),
        ],
        start: Start { command: &["nginx", "-g", "daemon off;"], ports: &["80/tcp"], ..Start::NOTHING },
    },
];

/// What Debian's maintainer script would have linked.
const NGINX_SITE: &str = "\
server {
    listen 80 default_server;
    listen [::]:80 default_server;
    root /usr/share/nginx/html;
    index index.html;
}
";

/// The demo of a well-known book, with our own program of the same flags, ports and paths. It has no entrypoint: a pod
/// with arguments and no command fails, as the book's readers find out.
const fn kuard(name: &'static str, references: &'static [&'static str], environment: &'static [&'static str]) -> Image {
    const LAYERS: &[Contents] =
        &[Contents::Busybox, Contents::Program { package: "test-images", binary: "kuard", path: "kuard" }];
    let start = Start { entrypoint: &[], command: &["/kuard"], environment, ports: &["8080/tcp", "8443/tcp"] };
    Image { name, references, layers: LAYERS, start }
}

// === impl Start ===

impl Start {
    /// An image that does not say how it starts.
    pub const NOTHING: Self = Self { entrypoint: &[], command: &[], environment: &[], ports: &[] };
}

// === impl Image ===

impl Image {
    /// The cargo packages whose programs go in.
    pub fn cargo_packages(&self) -> impl Iterator<Item = &'static str> {
        self.layers.iter().filter_map(|contents| match contents {
            Contents::Program { package, .. } => Some(*package),
            _ => None,
        })
    }
}

// === impl Contents ===

impl Contents {
    pub(crate) fn request(packages: &'static [&'static str], without: &'static [&'static str]) -> Request {
        Request { packages, without }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::oci::Reference;

    #[test]
    fn no_two_images_answer_to_the_same_name() {
        let names: Vec<_> = CATALOG.iter().map(|image| image.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let references: Vec<_> =
            CATALOG.iter().flat_map(|image| image.references).map(|name| Reference::of(name)).collect();
        assert_eq!(references.iter().collect::<BTreeSet<_>>().len(), references.len());
    }

    #[test]
    fn an_image_is_found_by_its_name_and_by_its_references() {
        for name in ["nginx", "nginx:1.7.9", "gcr.io/kuar-demo/kuard-amd64:green", "kuard-blue"] {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(find("mysql").is_none());
    }
}
