//! containerd in a node: its configuration, start and stop.
//!
//! Each node has a containerd of its own, with its own root, state, CNI folders and cgroups, all at the usual paths of
//! the node's own file system. Nothing is configured twice: what is not set here is containerd's default.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, DaemonError, Stopped};
use crate::node::{BootError, Node};

/// Name of the daemon, its log and its cgroup.
const NAME: &str = "containerd";

/// Paths in the node.
const CONFIGURATION: &str = "/etc/containerd/config.toml";
const REGISTRIES: &str = "/etc/containerd/certs.d";
const SOCKET: &str = "/run/containerd/containerd.sock";
const CNI_PLUGINS: &str = "/opt/cni/bin";
const CNI_CONFIGURATION: &str = "/etc/cni/net.d";

/// Where distributions put the CNI project's plugins.
const PACKAGED_CNI_PLUGINS: [&str; 2] = ["/usr/lib/cni", "/usr/libexec/cni"];

/// The plugin without which containerd cannot start a pod, whatever its network.
const LOOPBACK: &str = "loopback";

/// How long containerd gets to open its socket on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a cluster chooses about containerd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image that holds a pod's namespaces.
    pub sandbox_image: String,
    /// A registry that answers for all others, `http://127.0.0.1:5000`; without one, images are asked for where their
    /// names say.
    pub registry: Option<String>,
}

/// A containerd that runs in a node, or did. Dropping it leaves it running.
#[derive(Debug)]
pub struct Containerd {
    daemon: Daemon,
    socket: PathBuf,
}

/// Why containerd does not run.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    /// Its node is down.
    #[error(transparent)]
    Node(#[from] BootError),
    /// It could not be started or stopped.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A file that it needs.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The machine has no CNI plugins.
    #[error(
        "no CNI plugin `{LOOPBACK}` in {CNI_PLUGINS} or {}: install containernetworking-plugins",
        PACKAGED_CNI_PLUGINS.join(" or ")
    )]
    NoLoopbackPlugin,
    /// It ended, or did not open its socket in time.
    #[error("containerd {what}; its log is {log} and ends:\n{last_words}", log = log.display())]
    NotReady {
        /// What happened.
        what: &'static str,
        /// Where it writes.
        log: PathBuf,
        /// The end of that.
        last_words: String,
    },
}

// === impl Containerd ===

impl Containerd {
    /// Configures and starts containerd in a node, and waits until its socket takes connections. The CRI service behind
    /// it answers a moment later.
    pub fn start(node: &Node, settings: &Settings) -> Result<Self, ContainerdError> {
        let root = node.root()?;
        write(&root, CONFIGURATION, &settings.configuration())?;
        if let Some(registry) = &settings.registry {
            write(&root, &format!("{REGISTRIES}/_default/hosts.toml"), &registry_configuration(registry))?;
        }
        prepare_cni(&root)?;
        let daemon = node.daemon(NAME, "containerd")?.args(["--config", CONFIGURATION]).start()?;
        let containerd = Self { daemon, socket: root.join(SOCKET.trim_start_matches('/')) };
        containerd.wait_for_socket()?;
        Ok(containerd)
    }

    /// The containerd that runs in a node, also when another process started it.
    pub fn find(node: &Node) -> Option<Self> {
        let root = node.root().ok()?;
        Some(Self { daemon: node.find_daemon(NAME)?, socket: root.join(SOCKET.trim_start_matches('/')) })
    }

    /// Its socket, as a path of the machine.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its endpoint as the kubelet in the node names it.
    pub fn endpoint() -> String {
        format!("unix://{SOCKET}")
    }

    /// Its process and log.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Asks it to end and waits. Containers run on, and are found again by the next start.
    pub fn stop(&self) -> Result<Stopped, ContainerdError> {
        Ok(self.daemon.stop(PATIENCE)?)
    }

    fn wait_for_socket(&self) -> Result<(), ContainerdError> {
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&self.socket).is_err() {
            if !self.daemon.is_running() {
                return Err(self.not_ready("ended at once"));
            }
            if Instant::now() > deadline {
                return Err(self.not_ready("did not open its socket in time"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn not_ready(&self, what: &'static str) -> ContainerdError {
        let (log, last_words) = (self.daemon.log().to_owned(), self.daemon.last_words());
        ContainerdError::NotReady { what, log, last_words }
    }
}

// === impl Settings ===

impl Settings {
    /// containerd's configuration file, version 2.
    fn configuration(&self) -> String {
        let sandbox_image = quoted(&self.sandbox_image);
        format!(
            r#"# Written by the testbed at each start.
version = 2
# Snapshotters that nodes have no use for; each would be probed at start.
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {sandbox_image}
  # Pods ask for an oom_score_adj below what containerd may set without CAP_SYS_RESOURCE: clamp it instead of failing.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{CNI_CONFIGURATION}"

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{REGISTRIES}"
"#
        )
    }
}

/// A registry host file that sends every pull to one registry. Without `server`, containerd would try the original
/// registry after a miss.
fn registry_configuration(registry: &str) -> String {
    let registry = quoted(registry);
    format!("server = {registry}\n\n[host.{registry}]\n  capabilities = [\"pull\", \"resolve\"]\n")
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|character| match character {
        '"' | '\\' => format!("\\{character}"),
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        plain => plain.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// Makes the CNI folders, with the one plugin that containerd needs for itself.
fn prepare_cni(root: &Path) -> Result<(), ContainerdError> {
    let [plugins, configuration] = [CNI_PLUGINS, CNI_CONFIGURATION].map(|path| root.join(path.trim_start_matches('/')));
    for folder in [&plugins, &configuration] {
        fs::create_dir_all(folder).map_err(|source| ContainerdError::Write { path: folder.clone(), source })?;
    }
    let loopback = plugins.join(LOOPBACK);
    if loopback.exists() {
        return Ok(());
    }
    let packaged = PACKAGED_CNI_PLUGINS.iter().map(|folder| Path::new(folder).join(LOOPBACK));
    let packaged = packaged.into_iter().find(|plugin| plugin.exists()).ok_or(ContainerdError::NoLoopbackPlugin)?;
    fs::copy(packaged, &loopback).map_err(|source| ContainerdError::Write { path: loopback, source })?;
    Ok(())
}

/// Writes a file of the node.
fn write(root: &Path, path: &str, content: &str) -> Result<(), ContainerdError> {
    let path = root.join(path.trim_start_matches('/'));
    let folder = path.parent().unwrap_or(root);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, content));
    written.map_err(|source| ContainerdError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_quotes_stay_inside_their_strings() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
        assert_eq!(quoted("a\nb"), r#""a\u000ab""#);
    }

    #[test]
    fn the_configuration_is_toml_whatever_the_image_is_called() {
        for image in ["pause", "registry.k8s.io/pause:3.9", "a\"b\\c\nd"] {
            let settings = Settings { sandbox_image: image.to_owned(), registry: None };
            let configuration: toml::Table = settings.configuration().parse().unwrap();
            let cri = &configuration["plugins"]["io.containerd.grpc.v1.cri"];
            assert_eq!(cri["sandbox_image"].as_str(), Some(image));
            assert_eq!(cri["restrict_oom_score_adj"].as_bool(), Some(true));
        }
    }

    #[test]
    fn the_only_registry_is_both_server_and_host() {
        let configuration = registry_configuration("http://127.0.0.1:5000");
        assert!(configuration.starts_with("server = \"http://127.0.0.1:5000\"\n"), "{configuration}");
        assert!(configuration.contains("[host.\"http://127.0.0.1:5000\"]"), "{configuration}");
    }
}
