//! The kubelet's own HTTPS server: logs, exec, attach, port-forward, and what the node knows of itself.
//!
//! The API server calls it with a client certificate; anybody else may call it with a certificate or token that the API
//! server knows. Who may do what is the API server's decision as well: see [`access`].

pub mod access;
mod answer;
mod containers;
mod log;
mod metrics;
mod route;
mod session;
mod summary;
pub mod tls;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::pod::Pods;
use access::{Access, User};
use tls::Tls;

/// The node's pods, as the kubelet knows them.
pub trait PodSource: fmt::Debug + Send + Sync {
    /// One pod by namespace and name.
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>>;

    /// All of them.
    fn pods(&self) -> Vec<Arc<Pod>>;
}

/// What the server serves.
#[derive(Debug)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// Its pods.
    pub pods: Arc<dyn PodSource>,
    /// Its container runtime.
    pub runtime: RuntimeServiceClient<Channel>,
    /// Who may ask.
    pub access: Access,
}

/// A running server. Dropped, it goes on until [`stop`](Self::stop).
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error(
    "the kubelet cannot listen on {address}: {source}: is another kubelet running, or is it not this node's address?"
)]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

/// How long a client may take over the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take.
const HEADER: Duration = Duration::from_secs(30);
/// After a failed accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

// === impl PodSource ===

impl PodSource for Pods {
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.find(namespace, name).map(|view| Arc::clone(&view.pod))
    }

    fn pods(&self) -> Vec<Arc<Pod>> {
        self.list().iter().map(|view| Arc::clone(&view.pod)).collect()
    }
}

// === impl Server ===

impl Server {
    /// Listens on `addresses`.
    ///
    /// # Errors
    /// When an address is taken or not this node's.
    pub async fn spawn(addresses: &[SocketAddr], tls: Arc<Tls>, node: Arc<Node>) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        for &address in addresses {
            let bound = TcpListener::bind(address).await;
            listeners.push(bound.map_err(|source| ListenError { address, source })?);
        }
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for listener in listeners {
            tasks.spawn(accept(listener, Arc::clone(&tls), Arc::clone(&node), stop.clone()));
        }
        Ok(Self { addresses, stop, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends it, sessions included.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn accept(listener: TcpListener, tls: Arc<Tls>, node: Arc<Node>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&tls), Arc::clone(&node)))),
                Err(error) => {
                    tracing::warn!(%error, "the kubelet cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn connection(stream: TcpStream, tls: Arc<Tls>, node: Arc<Node>) {
    let _ = stream.set_nodelay(true);
    let (stream, user) = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake with the kubelet failed"),
        Err(_) => return tracing::debug!("a TLS handshake with the kubelet took too long"),
    };
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let (node, user): (Arc<Node>, Option<User>) = (Arc::clone(&node), user.clone());
        async move { Ok::<_, Infallible>(route::answer(&node, user, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, "a connection to the kubelet ended early");
    }
}
