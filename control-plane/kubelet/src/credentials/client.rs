//! A client of the API server whose certificate may be replaced while it is used.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt as _;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Pair;

/// The certificate that is shown on the next connection.
#[derive(Debug)]
pub struct ClientCertificate(RwLock<Arc<CertifiedKey>>);

/// How long a connection may go without a sign of the API server: less than the grace period of nodes, so that a short
/// cut costs no pod its place.
const LOST_AFTER: Duration = Duration::from_secs(12);

/// No client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate or key.
    #[error("not a certificate or key in PEM: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// What TLS says to it.
    #[error("a certificate or key that TLS cannot use: {0}")]
    Tls(#[from] rustls::Error),
    /// The rest of its configuration.
    #[error("cannot make a client of the API server: {0}")]
    Client(#[from] Box<kube::Error>),
}

/// A client of `server` (a URL), which must be of `authority` (PEM), with a certificate that can be replaced.
///
/// # Errors
/// When something of it is not what it should be.
pub fn client(
    server: http::Uri,
    authority: &str,
    pair: &Pair,
) -> Result<(kube::Client, Arc<ClientCertificate>), ClientError> {
    let certificate = Arc::new(ClientCertificate(RwLock::new(certified(pair)?)));
    let config = config(server, authority)?;
    let mut tls = config.rustls_client_config().map_err(Box::new)?;
    let resolver: Arc<dyn ResolvesClientCert> = Arc::<ClientCertificate>::clone(&certificate);
    tls.client_auth_cert_resolver = resolver;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(LOST_AFTER));
    // A connection that a network has swallowed ends, or the node would wait on it instead of reporting anew.
    http.set_tcp_user_timeout(Some(LOST_AFTER));
    http.set_keepalive(Some(LOST_AFTER / 3));
    http.set_keepalive_interval(Some(LOST_AFTER / 3));
    let https: HttpsConnector<HttpConnector> = (http, tls).into();
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
    let service = tower::ServiceBuilder::new().layer(config.base_uri_layer()).service(http);
    Ok((kube::Client::new(service, "default"), certificate))
}

/// The configuration of a client of `server`, without a user.
pub(super) fn config(server: http::Uri, authority: &str) -> Result<kube::Config, ClientError> {
    let roots = CertificateDer::pem_slice_iter(authority.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let mut config = kube::Config::new(server);
    config.root_cert = Some(roots.into_iter().map(|root| root.to_vec()).collect());
    Ok(config)
}

fn certified(pair: &Pair) -> Result<Arc<CertifiedKey>, ClientError> {
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())?))
}

// === impl ClientCertificate ===

impl ClientCertificate {
    /// Shows this one from the next connection on.
    ///
    /// # Errors
    /// When it is none.
    pub fn set(&self, pair: &Pair) -> Result<(), ClientError> {
        let fresh = certified(pair)?;
        if let Ok(mut current) = self.0.write() {
            *current = fresh;
        }
        Ok(())
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.read().ok().map(|current| Arc::clone(&current))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
