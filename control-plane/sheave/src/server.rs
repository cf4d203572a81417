//! `sheave server`: store, API server, controllers and scheduler in one process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ipnetwork::IpNetwork;
use sheave_apiserver::{ApiServer, Identity, TokenKeys};
use sheave_controllers::Clients;
use sheave_store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::files::{self, Mode};
use crate::joining::{self, Token};
use crate::kubeconfig::kubeconfig;
use crate::listen::{self, Listen};
use crate::nodes::NodeConnector;
use crate::pki::{Authority, ServerNames};
use crate::tls::Acceptor;

/// How long a store that somebody else has open is waited for.
const IN_USE: Duration = Duration::from_secs(3);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything that must survive a restart.
    pub data_directory: PathBuf,
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// Where other machines reach this server; none: the first address that it listens on, else this machine's own.
    pub advertise_address: Option<IpAddr>,
    /// Ranges of cluster IPs, one or two of different families.
    pub service_cidrs: Vec<IpNetwork>,
    /// Which controllers run, and what they go by; root certificates and metrics are the server's to fill in.
    pub controllers: sheave_controllers::Options,
    /// How long an event stays after it was last written.
    pub event_ttl: Duration,
    /// Whether the scheduler runs.
    pub scheduler: bool,
}

/// A running server.
pub struct Server {
    api: ApiServer,
    authority: Arc<Authority>,
    addresses: Vec<SocketAddr>,
    kubeconfig: PathBuf,
    /// Ends controllers and scheduler, which write.
    writers: CancellationToken,
    /// Ends the listeners.
    listeners: CancellationToken,
    writing: JoinSet<()>,
    listening: JoinSet<()>,
}

// === impl Options ===

impl Options {
    /// Kubernetes' defaults over a data directory, on the loopback address and a port that is free.
    #[must_use]
    pub fn new(data_directory: &Path) -> Self {
        Self {
            data_directory: data_directory.to_owned(),
            listen: vec![Listen::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
            advertise_address: None,
            service_cidrs: Vec::new(),
            controllers: sheave_controllers::Options::default(),
            event_ttl: Duration::from_secs(3600),
            scheduler: true,
        }
    }
}

// === impl Server ===

impl Server {
    /// Starts a server; when this returns, requests are answered.
    ///
    /// # Errors
    /// When an address is taken, the data directory is damaged or another server has it.
    pub async fn start(options: Options) -> Result<Self> {
        let data = &options.data_directory;
        let pki = data.join("pki");
        files::make_private_folder(&pki)?;
        let mut sockets = Vec::new();
        for listen in &options.listen {
            sockets.push(listen.open().await?);
        }
        let addresses = sockets.iter().map(tokio::net::TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        let advertise = advertise(&options, &addresses)?;

        let authority = Arc::new(Authority::load_or_create(&pki)?);
        let path = data.join("store.redb");
        let store = Arc::new(open_store(&path).await?);
        let token_keys = Some(Arc::new(token_keys(&pki)?));
        let connector: Arc<dyn sheave_apiserver::Connect> = Arc::new(NodeConnector::new(Arc::clone(&authority))?);
        let mut api_options = sheave_apiserver::Options {
            advertise,
            token_keys,
            event_ttl: options.event_ttl,
            connector: Some(connector),
            ..Default::default()
        };
        if !options.service_cidrs.is_empty() {
            api_options.service_cidrs.clone_from(&options.service_cidrs);
        }
        let names = server_names(&addresses, advertise.ip(), &api_options.service_cidrs);
        let acceptor = Arc::new(Acceptor::new(&authority, &authority.server(&pki, &names)?)?);
        let api = ApiServer::start(store, api_options).await.context("cannot make the cluster's first objects")?;

        let (writers, listeners) = (CancellationToken::new(), CancellationToken::new());
        let mut listening = JoinSet::new();
        for socket in sockets {
            listening.spawn(listen::serve(socket, Arc::clone(&acceptor), api.clone(), listeners.clone()));
        }
        let join = data.join("join");
        open_for_nodes(&api.client(Identity::admin()), &join, &url(advertise), authority.certificate()).await?;
        let kubeconfig = data.join("admin.kubeconfig");
        write_kubeconfig(&kubeconfig, &authority, local(&addresses)?)?;
        let writing = spawn_writers(&api, &options, &authority, &writers);
        info!(?addresses, kubeconfig = %kubeconfig.display(), "the API is ready");
        Ok(Self { api, authority, addresses, kubeconfig, writers, listeners, writing, listening })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The administrator's kubeconfig file.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client in this process, with all rights.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.api.client(Identity::admin())
    }

    /// A kubeconfig of another user, with a client certificate of their own.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<String> {
        let pair = self.authority.client(user, groups)?;
        Ok(kubeconfig(&url(local(&self.addresses)?), self.authority.certificate(), user, &pair))
    }

    /// Ends it in order: controllers and scheduler, watches, then the requests that are under way.
    pub async fn stop(mut self) {
        info!("stopping");
        self.writers.cancel();
        while self.writing.join_next().await.is_some() {}
        self.api.drain();
        self.listeners.cancel();
        while self.listening.join_next().await.is_some() {}
    }
}

/// Controllers and scheduler, each with a client in this process and the identity that Kubernetes gives it.
fn spawn_writers(
    api: &ApiServer,
    options: &Options,
    authority: &Arc<Authority>,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let mut writing = JoinSet::new();
    let shared = api.client(Identity::user("system:kube-controller-manager", &[]));
    let server = api.clone();
    let clients = Clients::new(shared, move |account| server.client(Identity::service_account("kube-system", account)));
    let signer: Arc<dyn sheave_controllers::SignCertificates> = Arc::<Authority>::clone(authority);
    let controllers = sheave_controllers::Options {
        root_certificates: Some(authority.certificate().to_owned()),
        certificate_signer: Some(signer),
        ..options.controllers.clone()
    };
    let metrics = controllers.metrics.clone();
    api.add_metrics(move || metrics.render());
    writing.spawn(sheave_controllers::run(clients, controllers, shutdown.clone()));
    if options.scheduler {
        let client = api.client(Identity::user("system:kube-scheduler", &[]));
        writing.spawn(sheave_scheduler::run(client, sheave_scheduler::Options::default(), shutdown.clone()));
    }
    writing
}

/// Opens the store. The one before it may still be ending, and a child that a thread of this process is starting holds
/// every descriptor for a moment, so a store that is in use is tried again for a while.
async fn open_store(path: &Path) -> Result<Store> {
    let began = Instant::now();
    loop {
        match Store::open(path, sheave_apiserver::store_options()) {
            Err(sheave_store::OpenError::InUse { .. }) if began.elapsed() < IN_USE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened.with_context(|| format!("cannot open the store {}", path.display())),
        }
    }
}

/// The keys of service-account tokens, made when they are not there.
fn token_keys(pki: &Path) -> Result<TokenKeys> {
    let path = pki.join("service-account.key");
    if let Some(pkcs8) = files::read(&path)? {
        return TokenKeys::from_pkcs8(&pkcs8).with_context(|| format!("cannot use {}", path.display()));
    }
    let (keys, pkcs8) = TokenKeys::generate()?;
    files::write(&path, &pkcs8, Mode::Private)?;
    Ok(keys)
}

/// Says to everybody where the cluster is, and writes what a node needs to join it into `path`. Its token stays the same
/// as long as that file is there; `sheave token create` makes others, which end.
async fn open_for_nodes(client: &kube::Client, path: &Path, server: &str, authority: &str) -> Result<()> {
    joining::publish_cluster_info(client, server, authority).await?;
    let before = files::read(path)?.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    let token = match Token::parse(&before) {
        Some(token) => token,
        None => Token::generate()?,
    };
    joining::publish_token(client, &token, None, "made at the server's first start").await?;
    let line = joining::line(&token, server, authority)? + "\n";
    if line == before { Ok(()) } else { files::write(path, line.as_bytes(), Mode::Private) }
}

/// The administrator's kubeconfig is written once; when the address or the authority changes, it is written anew.
fn write_kubeconfig(path: &Path, authority: &Authority, address: SocketAddr) -> Result<()> {
    let before = files::read(path)?.unwrap_or_default();
    let before = serde_json::from_slice::<serde_json::Value>(&before).unwrap_or_default();
    let pair = authority.client("kubernetes-admin", &["system:masters"])?;
    let text = kubeconfig(&url(address), authority.certificate(), "kubernetes-admin", &pair);
    let after = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
    if before["clusters"] == after["clusters"] {
        return Ok(());
    }
    files::write(path, text.as_bytes(), Mode::Private)
}

fn url(address: SocketAddr) -> String {
    format!("https://{address}")
}

/// How this machine itself reaches the server: a loopback listener if there is one.
fn local(addresses: &[SocketAddr]) -> Result<SocketAddr> {
    let loopback = addresses.iter().find(|address| address.ip().is_loopback());
    let Some(address) = loopback.or_else(|| addresses.first()) else {
        bail!("the server must listen somewhere: --listen ADDRESS:PORT");
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}

fn advertise(options: &Options, addresses: &[SocketAddr]) -> Result<SocketAddr> {
    let reachable = addresses.iter().find(|address| !address.ip().is_loopback() && !address.ip().is_unspecified());
    let fallback = local(addresses)?;
    let listening = reachable.copied().unwrap_or(fallback);
    Ok(options.advertise_address.map_or(listening, |ip| SocketAddr::new(ip, listening.port())))
}

/// Every name by which somebody may call the server.
fn server_names(addresses: &[SocketAddr], advertise: IpAddr, service_cidrs: &[IpNetwork]) -> ServerNames {
    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut names = names.map(str::to_owned).to_vec();
    names.push("kubernetes.default.svc.cluster.local".to_owned());
    let mut all = vec![IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST), advertise];
    all.extend(addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()));
    // The first address of each range is that of the `kubernetes` Service.
    all.extend(service_cidrs.iter().filter_map(|cidr| match cidr {
        IpNetwork::V4(cidr) => cidr.nth(1).map(IpAddr::from),
        IpNetwork::V6(cidr) => Some(Ipv6Addr::from(u128::from(cidr.network()) + 1).into()),
    }));
    all.sort_unstable();
    all.dedup();
    ServerNames { names, addresses: all }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_advertised_address_is_one_that_others_reach() {
        let options = Options::new(Path::new("/nowhere"));
        for (listening, expected) in [
            (&["127.0.0.1:6443", "192.0.2.7:6443"][..], "192.0.2.7:6443"),
            (&["127.0.0.1:6443"], "127.0.0.1:6443"),
            (&["0.0.0.0:6443"], "127.0.0.1:6443"),
        ] {
            assert_eq!(advertise(&options, &addresses(listening)).unwrap().to_string(), expected);
        }
        let told = Options { advertise_address: Some("192.0.2.9".parse().unwrap()), ..options };
        assert_eq!(advertise(&told, &addresses(&["0.0.0.0:6443"])).unwrap().to_string(), "192.0.2.9:6443");
    }

    #[test]
    fn the_serving_certificate_names_the_kubernetes_service_of_both_families() {
        let cidrs = ["10.96.0.0/12", "fd00:10:96::/112"].map(|cidr| cidr.parse().unwrap());
        let names = server_names(&[], "192.0.2.7".parse().unwrap(), &cidrs);
        for address in ["10.96.0.1", "fd00:10:96::1", "192.0.2.7", "127.0.0.1"] {
            assert!(names.addresses.contains(&address.parse().unwrap()), "{address}");
        }
    }
}
