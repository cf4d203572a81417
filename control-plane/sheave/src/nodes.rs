//! The API server's way to nodes, pods and services.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sheave_apiserver::{Connect, ConnectFuture, Connection, Destination};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::pki::{Authority, Pair};

/// Connects to kubelets with a client certificate of its own, and checks theirs against the cluster's authority.
pub(crate) struct NodeConnector {
    authority: Arc<Authority>,
    provider: Arc<CryptoProvider>,
    current: std::sync::RwLock<Current>,
}

/// The certificate in use and the configurations made of it.
struct Current {
    since: Instant,
    verified: Arc<ClientConfig>,
    unverified: Arc<ClientConfig>,
}

/// Takes any certificate, but not a peer that does not hold its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

/// As whom kubelets know this server; `system:kubelet-api-admin` is bound to it.
const USER: &str = "kube-apiserver-kubelet-client";
/// How long a node may take to accept a connection and do the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A client certificate is used so long, then the next connection gets a new one.
const RENEW: Duration = Duration::from_secs(30 * 24 * 3600);

// === impl NodeConnector ===

impl NodeConnector {
    pub(crate) fn new(authority: Arc<Authority>) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = std::sync::RwLock::new(Current::new(&authority, &provider)?);
        Ok(Self { authority, provider, current })
    }

    /// The configuration for kubelets, with a certificate that is not old.
    fn config(&self, is_verified: bool) -> Result<Arc<ClientConfig>> {
        let choose = |current: &Current| Arc::clone(if is_verified { &current.verified } else { &current.unverified });
        if let Ok(current) = self.current.read()
            && current.since.elapsed() < RENEW
        {
            return Ok(choose(&current));
        }
        let fresh = Current::new(&self.authority, &self.provider)?;
        let chosen = choose(&fresh);
        if let Ok(mut current) = self.current.write() {
            *current = fresh;
        }
        Ok(chosen)
    }

    fn plan(&self, destination: &Destination) -> Result<Option<Arc<ClientConfig>>> {
        match destination {
            Destination::Kubelet { is_verified, .. } => self.config(*is_verified).map(Some),
            Destination::Backend { is_tls: true, .. } => {
                // No client certificate: this server does not say who it is to whatever runs in a pod.
                let config = builder(&self.provider)?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyServer(Arc::clone(&self.provider))))
                    .with_no_client_auth();
                Ok(Some(Arc::new(config)))
            }
            Destination::Backend { is_tls: false, .. } => Ok(None),
        }
    }
}

impl Connect for NodeConnector {
    fn connect(&self, destination: Destination) -> ConnectFuture {
        let config = self.plan(&destination);
        Box::pin(async move {
            let config = config.map_err(|error| io::Error::other(format!("{error:#}")))?;
            let connecting = connect(&destination, config);
            let timed_out = |_| {
                let message = format!("dial tcp {}: no answer within {TIMEOUT:?}", destination.authority());
                io::Error::new(io::ErrorKind::TimedOut, message)
            };
            tokio::time::timeout(TIMEOUT, connecting).await.map_err(timed_out)?
        })
    }
}

async fn connect(destination: &Destination, config: Option<Arc<ClientConfig>>) -> io::Result<Box<dyn Connection>> {
    let authority = destination.authority();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("dial tcp {authority}: {error}"));
    let (Destination::Kubelet { host, port, .. } | Destination::Backend { host, port, .. }) = destination;
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(named)?;
    stream.set_nodelay(true)?;
    let Some(config) = config else { return Ok(Box::new(stream)) };
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::IpAddress(address.into()),
        Err(_) => ServerName::try_from(host.clone()).map_err(io::Error::other)?,
    };
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("tls: {authority}: {error}")))?;
    Ok(Box::new(stream))
}

impl std::fmt::Debug for NodeConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeConnector(..)")
    }
}

// === impl Current ===

impl Current {
    fn new(authority: &Authority, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let pair = authority.client(USER, &[])?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes())?)?;
        let (chain, key) = parts(&pair)?;
        let verified = builder(provider)?.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
        let (chain, key) = parts(&pair)?;
        let unverified = builder(provider)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(Arc::clone(provider))))
            .with_client_auth_cert(chain, key)?;
        Ok(Self { since: Instant::now(), verified: Arc::new(verified), unverified: Arc::new(unverified) })
    }
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()
}

fn parts(pair: &Pair) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).context("certificate")?;
    Ok((vec![certificate], PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("key")?))
}

// === impl AnyServer ===

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
