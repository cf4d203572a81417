//! TLS of the kubelet's port: a certificate that may be replaced while the server runs, and clients of the cluster.

use std::io;
use std::sync::{Arc, RwLock};

use rustls::RootCertStore;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::access::User;

/// Does the handshakes.
pub struct Tls {
    acceptor: TlsAcceptor,
}

/// The certificate that is shown; a new one is taken for the next handshake.
#[derive(Debug, Default)]
pub struct ServingCertificate(RwLock<Option<Arc<CertifiedKey>>>);

/// A certificate, a key or an authority that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is not PEM.
    #[error("not a certificate or key in PEM: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// It is not what TLS asks for.
    #[error("a certificate or key that TLS cannot use: {0}")]
    Tls(#[from] rustls::Error),
    /// The authority for clients.
    #[error("the cluster's authority cannot be used: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

// === impl Tls ===

impl Tls {
    /// Shows `certificate`; a client's certificate must be of `authority` (PEM), and none is asked for by force.
    ///
    /// # Errors
    /// When the authority is none.
    pub fn new(authority: &str, certificate: Arc<ServingCertificate>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(root?)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// The handshake, and whose certificate the client has.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Option<User>)> {
        let stream = self.acceptor.accept(stream).await?;
        let user = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(user_of);
        Ok((stream, user))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// Common name and organizations; a certificate without a name is nobody's.
fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|group| group.as_str().ok()).map(ToOwned::to_owned).collect();
    groups.push("system:authenticated".to_owned());
    (!name.is_empty()).then(|| User { name: name.to_owned(), groups, ..User::default() })
}

// === impl ServingCertificate ===

impl ServingCertificate {
    /// Shows this chain from now on; both are PEM.
    ///
    /// # Errors
    /// When they do not belong together or are none.
    pub fn set(&self, chain: &str, key: &str) -> Result<(), TlsError> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let certified = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())?;
        if let Ok(mut current) = self.0.write() {
            *current = Some(Arc::new(certified));
        }
        Ok(())
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().ok()?.clone()
    }
}
