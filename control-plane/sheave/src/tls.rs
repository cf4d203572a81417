//! TLS towards clients: a certificate of theirs is asked for, never demanded.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use sheave_apiserver::{Identity, UserInfo};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::pki::{Authority, Pair};

/// Does the handshake and says whose certificate the client has.
pub(crate) struct Acceptor {
    tls: TlsAcceptor,
    strict: Arc<dyn ClientCertVerifier>,
}

/// What a client's certificate says.
#[derive(Clone, Debug)]
pub(crate) enum ClientCertificate {
    /// Of this cluster: this is who it is.
    Known(Identity),
    /// Not of this cluster, ended, or not for clients.
    Rejected,
}

/// Lets a client with a bad certificate through the handshake, so that it gets a 401 with a Status it can read, as
/// Kubernetes' API server gives, rather than a broken connection. The certificate is judged after it.
#[derive(Debug)]
struct Lenient(Arc<dyn ClientCertVerifier>);

// === impl Acceptor ===

impl Acceptor {
    /// Serves with `pair`; clients of `authority` are known.
    pub(crate) fn new(authority: &Authority, pair: &Pair) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes())?)?;
        let strict: Arc<dyn ClientCertVerifier> =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()?;
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(Lenient(Arc::clone(&strict))))
            .with_single_cert(chain, key)
            .context("the serving certificate and its key do not belong together")?;
        // HTTP/1.1 must be offered too: exec and port-forward upgrade from it.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { tls: TlsAcceptor::from(Arc::new(config)), strict })
    }

    /// The handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<(TlsStream<TcpStream>, Option<ClientCertificate>)> {
        let stream = self.tls.accept(stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| self.judge(chain));
        Ok((stream, certificate))
    }

    fn judge(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (leaf, rest) = chain.split_first()?;
        if self.strict.verify_client_cert(leaf, rest, UnixTime::now()).is_err() {
            return Some(ClientCertificate::Rejected);
        }
        Some(identity(leaf).map_or(ClientCertificate::Rejected, ClientCertificate::Known))
    }
}

/// Common name and organizations of a certificate; one without a name is nobody's.
fn identity(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    (!name.is_empty()).then(|| {
        let groups = groups.map(str::to_owned).collect();
        Identity::new(UserInfo { name: name.to_owned(), groups, ..UserInfo::default() })
    })
}

// === impl Lenient ===

impl ClientCertVerifier for Lenient {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
