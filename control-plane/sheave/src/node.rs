//! `sheave node`: the kubelet of this machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Taint;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use sheave_kubelet::credentials::{self, Certificate, Join, Joined, Pair};
use sheave_kubelet::pod::dns::ClusterDns;
use sheave_kubelet::server::access::Access;
use sheave_kubelet::server::tls::{ServingCertificate, Tls};
use sheave_kubelet::server::{self, PodSource, Server};
use sheave_kubelet::{Kubelet, Options};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::files;

/// The port of every kubelet.
const PORT: u16 = 10250;

/// Command line of a node.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArguments {
    /// A kubeconfig that may ask for a certificate for this node, such as the server's `admin.kubeconfig`.
    #[arg(long, value_name = "FILE", conflicts_with = "join", required_unless_present = "join")]
    kubeconfig: Option<PathBuf>,
    /// What the server wrote into `join` in its data directory, or `sheave token create` printed.
    #[arg(long, value_name = "TOKEN@URL#CAHASH", env = "SHEAVE_JOIN", hide_env_values = true)]
    join: Option<String>,
    /// The node's name in the API; this machine's host name unless given.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where the node keeps what must survive a restart, such as volumes of pods; made when it is not there.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/sheave/node")]
    data_dir: PathBuf,
    /// Where logs of containers are, and log collectors look.
    #[arg(long, value_name = "FOLDER", default_value = "/var/log/pods")]
    pod_logs_dir: PathBuf,
    /// The socket of the container runtime.
    #[arg(long, value_name = "unix://PATH", default_value = "unix:///run/containerd/containerd.sock")]
    container_runtime_endpoint: String,
    /// Serve the image archives of this folder to the container runtime, as a registry at 127.0.0.1:5000.
    #[arg(long, value_name = "FOLDER")]
    image_dir: Option<PathBuf>,
    /// The cgroup below which pods live, in every hierarchy.
    #[arg(long, value_name = "PATH", default_value = "/")]
    cgroup_root: String,
    /// Address at which others reach this node; two of different families, separated by a comma. Unless given, the one
    /// from which it reaches the API server.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    node_ip: Vec<IpAddr>,
    /// Addresses of the cluster's DNS, separated by commas; without them pods ask whom the node asks.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    cluster_dns: Vec<IpAddr>,
    /// The cluster's domain.
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,
    /// The file that says whom the node asks for names.
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf")]
    resolv_conf: PathBuf,
    /// Most pods on this node.
    #[arg(long, value_name = "NUMBER", default_value_t = 110)]
    max_pods: u32,
    /// Labels of the node beside the usual ones: KEY=VALUE, separated by commas.
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    node_labels: Vec<(String, String)>,
    /// Taints that the node registers with: KEY=VALUE:EFFECT or KEY:EFFECT, separated by commas.
    #[arg(long, value_name = "KEY=VALUE:EFFECT", value_delimiter = ',', value_parser = taint)]
    register_with_taints: Vec<Taint>,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    kubelet: Kubelet,
    server: Server,
    /// Ends the renewal of certificates.
    stop: CancellationToken,
    renewing: JoinSet<()>,
    /// Serves images; ends with the node.
    registry: Option<JoinSet<()>>,
}

// === impl Node ===

impl Node {
    /// Joins the cluster where it has not yet, and starts the kubelet and its server.
    ///
    /// # Errors
    /// When the cluster does not take the node, or something of this machine is missing.
    pub async fn start(arguments: NodeArguments) -> Result<Self> {
        let way = arguments.way().await?;
        let registry = match &arguments.image_dir {
            Some(folder) => Some(serve_images(folder.clone()).await?),
            None => None,
        };
        let options = arguments.options(way.server())?;
        let folder = options.data_directory.join("pki");
        files::make_private_folder(&folder)?;
        let name = options.node_name.clone();
        let joined = match way {
            Way::Token(join) => credentials::join(&join, &name, &folder).await,
            Way::Config(config) => credentials::join_as(*config, &name, &folder).await,
        };
        let joined = joined.with_context(|| format!("node {name} cannot join the cluster"))?;
        let (addresses, port) = (options.addresses.clone(), options.port);
        let kubelet = Kubelet::start(joined.client.clone(), options)?;
        let (stop, mut renewing) = (CancellationToken::new(), JoinSet::new());
        let shown = Arc::new(ServingCertificate::default());
        let serving = Certificate::serving(&folder, &name, &addresses);
        renewing.spawn(credentials::keep(serving, joined.client.clone(), show_serving(&shown), stop.clone()));
        let own = Certificate::client(&folder, &name);
        renewing.spawn(credentials::keep(own, joined.client.clone(), show_client(&joined), stop.clone()));
        let tls = Arc::new(Tls::new(&joined.authority, shown)?);
        let access = Access::new(joined.client, &name);
        let pods: Arc<dyn PodSource> = Arc::new(kubelet.pods());
        let node = Arc::new(server::Node { name, pods, runtime: kubelet.runtime().service(), access });
        let listen: Vec<SocketAddr> = addresses.iter().map(|address| (*address, port).into()).collect();
        let server = Server::spawn(&listen, tls, node).await?;
        Ok(Self { kubelet, server, stop, renewing, registry })
    }

    /// Stops it; containers run on.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.server.stop().await;
        self.kubelet.stop().await;
        while self.renewing.join_next().await.is_some() {}
        if let Some(mut registry) = self.registry {
            registry.shutdown().await;
        }
    }
}

fn show_serving(shown: &Arc<ServingCertificate>) -> impl Fn(&Pair) -> Result<(), String> + Send + use<> {
    let shown = Arc::clone(shown);
    move |pair| shown.set(&pair.chain, &pair.key).map_err(|error| error.to_string())
}

fn show_client(joined: &Joined) -> impl Fn(&Pair) -> Result<(), String> + Send + use<> {
    let certificate = Arc::clone(&joined.certificate);
    move |pair| certificate.set(pair).map_err(|error| error.to_string())
}

/// How a node gets to its cluster.
enum Way {
    Token(Join),
    Config(Box<Config>),
}

// === impl Way ===

impl Way {
    fn server(&self) -> &http::Uri {
        match self {
            Self::Token(join) => join.server(),
            Self::Config(config) => &config.cluster_url,
        }
    }
}

// === impl NodeArguments ===

impl NodeArguments {
    async fn way(&self) -> Result<Way> {
        if let Some(join) = &self.join {
            return Ok(Way::Token(join.trim().parse()?));
        }
        let Some(file) = &self.kubeconfig else { bail!("give --join or --kubeconfig") };
        let path = file.display();
        let kubeconfig = Kubeconfig::read_from(file).with_context(|| format!("cannot read the kubeconfig {path}"))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Ok(Way::Config(Box::new(config.with_context(|| format!("cannot use the kubeconfig {path}"))?)))
    }

    fn options(self, server: &http::Uri) -> Result<Options> {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let addresses = if self.node_ip.is_empty() { vec![address_toward(server)?] } else { self.node_ip };
        if !self.cgroup_root.starts_with('/') {
            bail!("--cgroup-root {}: write a path that begins with a slash", self.cgroup_root);
        }
        Ok(Options {
            node_name: self.name.unwrap_or_else(|| hostname.to_lowercase()),
            hostname,
            addresses,
            data_directory: self.data_dir,
            log_directory: self.pod_logs_dir,
            runtime_endpoint: self.container_runtime_endpoint,
            cgroup_root: self.cgroup_root,
            dns: ClusterDns { servers: self.cluster_dns, domain: self.cluster_domain },
            resolv_conf: self.resolv_conf,
            max_pods: self.max_pods,
            labels: self.node_labels.into_iter().collect::<BTreeMap<_, _>>(),
            taints: self.register_with_taints,
            port: PORT,
        })
    }
}

/// Serves a folder of images on the loopback address, until the set is dropped.
async fn serve_images(folder: PathBuf) -> Result<JoinSet<()>> {
    let address = sheave_image_registry::DEFAULT_ADDRESS;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot serve images on {address}: end what listens there"))?;
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        if let Err(error) = sheave_image_registry::serve(listener, &folder).await {
            tracing::error!(%error, "images are not served any more: start the node again");
        }
    });
    Ok(serving)
}

/// The address of this machine from which it reaches the server: connecting a UDP socket sends nothing.
fn address_toward(server: &http::Uri) -> Result<IpAddr> {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = server.port_u16().unwrap_or(443);
    let find = || {
        let server =
            (host, port).to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other("it has no address"))?;
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.local_addr().map(|address: SocketAddr| address.ip())
    };
    find().with_context(|| format!("cannot tell from which address this node reaches {server}: give --node-ip"))
}

fn label(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => bail!("{text:?} is no label: write KEY=VALUE"),
    }
}

fn taint(text: &str) -> Result<Taint> {
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let Some((what, effect)) = text.rsplit_once(':').filter(|(_, effect)| effects.contains(effect)) else {
        bail!("{text:?} is no taint: write KEY=VALUE:EFFECT, with an effect of {}", effects.join(", "));
    };
    let (key, value) = what.split_once('=').map_or((what, None), |(key, value)| (key, Some(value.to_owned())));
    Ok(Taint { key: key.to_owned(), value, effect: effect.to_owned(), time_added: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_address_is_the_one_toward_the_server() {
        for (server, expected) in [("https://127.0.0.1:6443", "127.0.0.1"), ("https://[::1]:6443", "::1")] {
            assert_eq!(address_toward(&server.parse().unwrap()).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn labels_and_taints_are_read_as_kubectl_writes_them() {
        assert_eq!(label("disk=ssd").unwrap(), ("disk".to_owned(), "ssd".to_owned()));
        assert!(label("disk").is_err());
        let full = taint("dedicated=gpu:NoSchedule").unwrap();
        assert_eq!(
            (full.key.as_str(), full.value.as_deref(), full.effect.as_str()),
            ("dedicated", Some("gpu"), "NoSchedule")
        );
        assert_eq!(taint("dedicated:NoExecute").unwrap().value, None);
        assert!(taint("dedicated:Never").is_err());
    }
}
