//! HTTPS, when a certificate was mounted.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Reads `kuard.crt` and `kuard.key`; nothing when the folder has none.
pub(crate) fn acceptor(folder: &Path) -> Result<Option<TlsAcceptor>> {
    let (certificate, key) = (folder.join("kuard.crt"), folder.join("kuard.key"));
    if !certificate.exists() || !key.exists() {
        return Ok(None);
    }
    let chain: Vec<_> = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("{} is not PEM", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&key).with_context(|| format!("{} is not PEM", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and key do not go together")?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Serves until the program ends.
pub(crate) async fn serve(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // A client that breaks off is not this server's concern.
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}
