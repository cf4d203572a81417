//! The agent's settings: flags, else environment, else file, else defaults; a wrong value is refused by name.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use ipnetwork::IpNetwork;
use serde::Deserialize;
use sheave_cni::CniVersion;
use sheave_cni::protocol::DEFAULT_SOCKET;

use crate::datapath::{AttachMode, Config};
use crate::maps::Sizes;

/// What one source says. In the file the names are these in camelCase, as `nodeName`; on the command line
/// `--node-name`; in the environment `SHEAVE_NODE_NAME`. An empty value counts as none.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Layer {
    /// Name of this machine's Node object [default: the host name]
    #[arg(long, env = "SHEAVE_NODE_NAME")]
    node_name: Option<String>,
    /// URL of the API server, where the one of the pod's environment cannot be reached yet
    #[arg(long, env = "SHEAVE_API_SERVER")]
    api_server: Option<String>,
    /// A kubeconfig file to use instead of the pod's service account
    #[arg(long, env = "SHEAVE_KUBECONFIG")]
    kubeconfig: Option<String>,
    /// A file with a list of Node objects to use instead of an API server
    #[arg(long, env = "SHEAVE_NODES_FILE")]
    nodes_file: Option<String>,
    /// Where the CNI plugin finds the agent
    #[arg(long, env = "SHEAVE_SOCKET")]
    socket: Option<String>,
    /// Folder for what must outlive the agent and not the node [default: /run/sheave]
    #[arg(long, env = "SHEAVE_STATE_DIR")]
    state_dir: Option<String>,
    /// Where /metrics, /healthz and /readyz answer [default: 127.0.0.1:9961]
    #[arg(long, env = "SHEAVE_LISTEN")]
    listen: Option<String>,
    /// The interface that leads to other nodes [default: the one with the node's InternalIP]
    #[arg(long, env = "SHEAVE_UPLINK")]
    uplink: Option<String>,
    /// Largest packet of pods in bytes [default: the uplink's]
    #[arg(long, env = "SHEAVE_MTU")]
    mtu: Option<u32>,
    /// Whether pods speak to the outside under their node's address [default: true]
    #[arg(long, env = "SHEAVE_MASQUERADE")]
    masquerade: Option<bool>,
    /// Source ports of masqueraded packets; no NodePort may be among them [default: 61000-65535]
    #[arg(long, env = "SHEAVE_MASQUERADE_PORTS")]
    masquerade_ports: Option<String>,
    /// Networks outside the cluster that know a way to pods and see their own addresses
    #[arg(long, env = "SHEAVE_MASQUERADE_EXCLUSIONS", value_delimiter = ',')]
    masquerade_exclusions: Option<Vec<String>>,
    /// Seconds that an address stays unused after its pod has gone [default: 10]
    #[arg(long, env = "SHEAVE_ADDRESS_REUSE_SECONDS")]
    address_reuse_seconds: Option<u64>,
    /// Folder of the pinned maps, on a BPF file system [default: /sys/fs/bpf/sheave]
    #[arg(long, env = "SHEAVE_BPF_DIR")]
    bpf_dir: Option<String>,
    /// How programs are attached: auto or clsact (as below kernel 6.6) [default: auto]
    #[arg(long, env = "SHEAVE_ATTACH")]
    attach: Option<String>,
    /// Entries of the flow table [default: as docs/maps.md says]
    #[arg(long, env = "SHEAVE_FLOW_TABLE_SIZE")]
    flow_table_size: Option<u32>,
    /// A folder that shows the node's /proc/sys for writing [default: /proc/sys]
    #[arg(long, env = "SHEAVE_SYSCTL_ROOT")]
    sysctl_root: Option<String>,
    /// Folder to install the CNI plugins into; none: they are not installed
    #[arg(long, env = "SHEAVE_CNI_BIN_DIR")]
    cni_bin_dir: Option<String>,
    /// Folder to write the network configuration into; none: it is not written
    #[arg(long, env = "SHEAVE_CNI_CONF_DIR")]
    cni_conf_dir: Option<String>,
    /// Name of that file; the runtime takes the first of the folder [default: 05-sheave.conflist]
    #[arg(long, env = "SHEAVE_CNI_CONF_NAME")]
    cni_conf_name: Option<String>,
    /// Version of that file [default: 1.0.0, which containerd 1.6 knows]
    #[arg(long, env = "SHEAVE_CNI_VERSION")]
    cni_version: Option<String>,
    /// Folder that the plugins are copied from [default: /usr/lib/cni]
    #[arg(long, env = "SHEAVE_CNI_SOURCE_DIR")]
    cni_source_dir: Option<String>,
    /// What is logged: a level, or a list as `info,sheave_agent=debug` [default: info]
    #[arg(long, env = "SHEAVE_LOG")]
    log: Option<String>,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of this machine's Node object.
    pub node_name: String,
    /// Where nodes are read from.
    pub nodes: NodesSource,
    /// The plugin's way to the agent.
    pub socket: PathBuf,
    /// Folder for what must outlive the agent.
    pub state_dir: PathBuf,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
    /// Name of the uplink.
    pub uplink: Option<String>,
    /// Largest packet of pods in bytes.
    pub mtu: Option<u32>,
    /// Ports of the masquerade; none: there is no masquerade.
    pub masquerade_ports: Option<RangeInclusive<u16>>,
    /// Networks that see pods' own addresses.
    pub masquerade_exclusions: Vec<IpNetwork>,
    /// How long a freed address stays unused.
    pub reuse_delay: Duration,
    /// The datapath.
    pub datapath: Config,
    /// Folder that shows `/proc/sys`.
    pub sysctl_root: PathBuf,
    /// What to install.
    pub install: Install,
    /// What is logged.
    pub log: String,
}

/// Where nodes are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodesSource {
    /// The API server, by the pod's service account; at this URL if one is given.
    ServiceAccount(Option<String>),
    /// The API server, by this kubeconfig file; at this URL if one is given.
    Kubeconfig(PathBuf, Option<String>),
    /// A file.
    File(PathBuf),
}

/// What is put in place for the container runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Folder of the plugins.
    pub bin_dir: Option<PathBuf>,
    /// Folder of the network configuration.
    pub conf_dir: Option<PathBuf>,
    /// Name of the network configuration's file.
    pub conf_name: String,
    /// Version of the network configuration.
    pub version: CniVersion,
    /// Where the plugins come from.
    pub source_dir: PathBuf,
}

/// A setting cannot be what it is.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSetting {
    /// Its value is wrong.
    #[error("the setting `{name}` is {value:?}: {reason}")]
    Value {
        /// The setting, as in the file.
        name: &'static str,
        /// What it is.
        value: String,
        /// Why that cannot be.
        reason: String,
    },
    /// The file cannot be read.
    #[error("cannot read the settings in {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that is not a setting.
    #[error("the settings in {} are wrong: {source}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Which, and where.
        #[source]
        source: serde_yaml_ng::Error,
    },
}

/// Smallest MTU that IPv6 lives with (RFC 8200, section 5).
const SMALLEST_MTU: u32 = 1280;

// === impl Layer ===

impl Layer {
    /// Reads a file in YAML. An empty one says nothing.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the file and the setting.
    pub fn read(path: &Path) -> Result<Self, InvalidSetting> {
        let text =
            std::fs::read_to_string(path).map_err(|source| InvalidSetting::File { path: path.to_owned(), source })?;
        let content = |source| InvalidSetting::Content { path: path.to_owned(), source };
        Ok(serde_yaml_ng::from_str::<Option<Self>>(&text).map_err(content)?.unwrap_or_default())
    }

    /// The settings of this layer over those of another one below it, and the defaults.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the setting.
    pub fn over(self, below: Self) -> Result<Settings, InvalidSetting> {
        let text = |upper: Option<String>, lower: Option<String>| filled(upper).or_else(|| filled(lower));
        let path =
            |upper, lower, default: &str| PathBuf::from(text(upper, lower).unwrap_or_else(|| default.to_owned()));
        let folder = |upper, lower| text(upper, lower).map(PathBuf::from);
        let api_server = text(self.api_server, below.api_server);
        if let Some(url) = api_server.as_ref().filter(|url| !url.starts_with("https://") && !url.starts_with("http://"))
        {
            return Err(invalid("apiServer", url, "a URL begins with https://"));
        }
        let nodes = match (text(self.nodes_file, below.nodes_file), text(self.kubeconfig, below.kubeconfig)) {
            (Some(file), _) => NodesSource::File(file.into()),
            (None, Some(kubeconfig)) => NodesSource::Kubeconfig(kubeconfig.into(), api_server),
            (None, None) => NodesSource::ServiceAccount(api_server),
        };
        let ports = text(self.masquerade_ports, below.masquerade_ports);
        let ports = ports_of(ports.as_deref().unwrap_or("61000-65535"))?;
        let masquerade = self.masquerade.or(below.masquerade).unwrap_or(true);
        let exclusions = self.masquerade_exclusions.or(below.masquerade_exclusions).unwrap_or_default();
        let exclusions = exclusions.iter().filter(|text| !text.is_empty());
        let delay = self.address_reuse_seconds.or(below.address_reuse_seconds).unwrap_or(10);
        let conf_name =
            text(self.cni_conf_name, below.cni_conf_name).unwrap_or_else(|| "05-sheave.conflist".to_owned());
        if conf_name.contains('/') || !conf_name.ends_with(".conflist") {
            return Err(invalid("cniConfName", conf_name, "it is the name of a file that ends in .conflist"));
        }
        let version = text(self.cni_version, below.cni_version).unwrap_or_else(|| "1.0.0".to_owned());
        let listen = text(self.listen, below.listen).unwrap_or_else(|| "127.0.0.1:9961".to_owned());
        Ok(Settings {
            node_name: text(self.node_name, below.node_name).unwrap_or_else(host_name),
            nodes,
            socket: path(self.socket, below.socket, DEFAULT_SOCKET),
            state_dir: path(self.state_dir, below.state_dir, "/run/sheave"),
            listen: parsed("listen", &listen, "it must be ADDRESS:PORT, such as 127.0.0.1:9961")?,
            uplink: text(self.uplink, below.uplink),
            mtu: mtu_of(self.mtu.or(below.mtu))?,
            masquerade_ports: masquerade.then_some(ports),
            masquerade_exclusions: exclusions.map(|text| network_of(text)).collect::<Result<_, _>>()?,
            reuse_delay: Duration::from_secs(delay),
            datapath: Config {
                pins: path(self.bpf_dir, below.bpf_dir, "/sys/fs/bpf/sheave"),
                sizes: sizes_of(self.flow_table_size.or(below.flow_table_size))?,
                attach: attach_of(text(self.attach, below.attach).as_deref())?,
            },
            sysctl_root: path(self.sysctl_root, below.sysctl_root, "/proc/sys"),
            install: Install {
                bin_dir: folder(self.cni_bin_dir, below.cni_bin_dir),
                conf_dir: folder(self.cni_conf_dir, below.cni_conf_dir),
                conf_name,
                version: version
                    .parse()
                    .map_err(|()| invalid("cniVersion", version, "the plugin does not speak it"))?,
                source_dir: path(self.cni_source_dir, below.cni_source_dir, "/usr/lib/cni"),
            },
            log: text(self.log, below.log).unwrap_or_else(|| "info".to_owned()),
        })
    }
}

// === impl Settings ===

impl Settings {
    /// The journal of endpoints.
    pub fn journal(&self) -> PathBuf {
        self.state_dir.join("endpoints")
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn mtu_of(mtu: Option<u32>) -> Result<Option<u32>, InvalidSetting> {
    match mtu {
        Some(mtu) if !(SMALLEST_MTU..=65_535).contains(&mtu) => {
            Err(invalid("mtu", mtu, "it must be from 1280, IPv6's smallest, to 65535"))
        }
        mtu => Ok(mtu),
    }
}

fn ports_of(text: &str) -> Result<RangeInclusive<u16>, InvalidSetting> {
    let range =
        text.split_once('-').and_then(|(first, last)| Some(first.trim().parse().ok()?..=last.trim().parse().ok()?));
    let usable = |range: &RangeInclusive<u16>| *range.start() >= 1024 && range.end() > range.start();
    range.filter(usable).ok_or_else(|| invalid("masqueradePorts", text, "it must be FIRST-LAST, from 1024 on"))
}

fn network_of(text: &str) -> Result<IpNetwork, InvalidSetting> {
    let network = text.trim().parse::<IpNetwork>().ok().filter(|network| network.ip() == network.network());
    network.ok_or_else(|| invalid("masqueradeExclusions", text, "it is no network, such as 10.0.0.0/8 or fd00::/8"))
}

fn attach_of(text: Option<&str>) -> Result<AttachMode, InvalidSetting> {
    match text {
        None | Some("auto") => Ok(AttachMode::Auto),
        Some("clsact") => Ok(AttachMode::Clsact),
        Some(other) => Err(invalid("attach", other, "it is auto or clsact")),
    }
}

fn sizes_of(flows: Option<u32>) -> Result<Sizes, InvalidSetting> {
    let sizes = Sizes::default();
    match flows {
        Some(flows) if flows < 1024 => Err(invalid("flowTableSize", flows, "it must be 1024 at least")),
        Some(flows) => Ok(Sizes { flows, ..sizes }),
        None => Ok(sizes),
    }
}

fn parsed<T: FromStr>(name: &'static str, text: &str, reason: &str) -> Result<T, InvalidSetting> {
    text.parse().map_err(|_| invalid(name, text, reason))
}

fn invalid(name: &'static str, value: impl Display, reason: &str) -> InvalidSetting {
    InvalidSetting::Value { name, value: value.to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        serde_yaml_ng::from_str::<Option<Layer>>(text).unwrap().unwrap_or_default()
    }

    fn settings(text: &str) -> Result<Settings, InvalidSetting> {
        Layer::default().over(layer(text))
    }

    #[test]
    fn an_upper_layer_wins_value_by_value_and_empty_says_nothing() {
        let upper = layer("{ nodeName: upper, uplink: '', mtu: 1400 }");
        let lower = layer("{ nodeName: lower, uplink: eth9, listen: '[::1]:1' }");
        let settings = upper.over(lower).unwrap();
        assert_eq!(settings.node_name, "upper");
        assert_eq!(settings.uplink.as_deref(), Some("eth9"));
        assert_eq!((settings.mtu, settings.listen.port()), (Some(1400), 1));
        assert_eq!(settings.masquerade_ports, Some(61000..=65535), "a default");
    }

    #[test]
    fn a_wrong_value_is_refused_by_name() {
        for (text, name) in [
            ("mtu: 1279", "mtu"),
            ("listen: here", "listen"),
            ("masqueradePorts: 70000-80000", "masqueradePorts"),
            ("masqueradePorts: 65535-61000", "masqueradePorts"),
            ("masqueradePorts: 1-65535", "masqueradePorts"),
            ("masqueradeExclusions: [10.0.0.1/8]", "masqueradeExclusions"),
            ("masqueradeExclusions: [inside]", "masqueradeExclusions"),
            ("attach: xdp", "attach"),
            ("flowTableSize: 1", "flowTableSize"),
            ("cniVersion: 0.2.0", "cniVersion"),
            ("cniConfName: ../x.conflist", "cniConfName"),
            ("cniConfName: sheave.conf", "cniConfName"),
            ("apiServer: 192.168.77.2:6443", "apiServer"),
        ] {
            let error = settings(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the setting `{name}` is ")), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_with_an_unknown_or_mistyped_setting_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.yaml");
        for (text, word) in [("mtuu: 1400", "mtuu"), ("mtu: large", "mtu"), ("[]", "sequence")] {
            std::fs::write(&path, text).unwrap();
            let error = Layer::read(&path).unwrap_err().to_string();
            assert!(error.contains("agent.yaml") && error.contains(word), "{error}");
        }
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(Layer::read(&path).is_ok());
        assert!(Layer::read(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn nodes_come_from_the_most_particular_source() {
        let source = |text| settings(text).unwrap().nodes;
        assert_eq!(source(""), NodesSource::ServiceAccount(None));
        assert_eq!(source("apiServer: https://a"), NodesSource::ServiceAccount(Some("https://a".into())));
        assert_eq!(source("kubeconfig: /k"), NodesSource::Kubeconfig("/k".into(), None));
        assert_eq!(source("{ kubeconfig: /k, nodesFile: /n }"), NodesSource::File("/n".into()));
    }
}
