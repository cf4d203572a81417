//! A plain HTTP/1.1 connection over TLS: as little of our own cost in the measurement as can be.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where a server is and who we are to it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: String,
    connector: TlsConnector,
}

/// One connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads the first cluster and user of a kubeconfig with embedded certificates.
    pub(crate) fn from_kubeconfig(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: serde_json::Value = serde_yaml_ng::from_str(&text)?;
        let embedded = |pointer: &str| -> Result<Vec<u8>> {
            let value = config.pointer(pointer).and_then(serde_json::Value::as_str);
            let value = value.with_context(|| format!("{}: no {pointer}", path.display()))?;
            Ok(base64::prelude::BASE64_STANDARD.decode(value)?)
        };
        let mut roots = RootCertStore::empty();
        let authority = embedded("/clusters/0/cluster/certificate-authority-data")?;
        for certificate in CertificateDer::pem_slice_iter(&authority) {
            roots.add(certificate?)?;
        }
        let chain = embedded("/users/0/user/client-certificate-data")?;
        let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&embedded("/users/0/user/client-key-data")?)?;
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        let server = config.pointer("/clusters/0/cluster/server").and_then(serde_json::Value::as_str);
        let server = server.with_context(|| format!("{}: no server", path.display()))?;
        let address = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        Ok(Self { address, connector: TlsConnector::from(Arc::new(tls)) })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host).to_owned();
        let stream = self.connector.connect(ServerName::try_from(host)?, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { sender })
    }
}

// === impl Connection ===

impl Connection {
    /// Sends a request and reads the whole answer; an answer that is no success is an error.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: Bytes) -> Result<Bytes> {
        let response = self.open(method, path, body).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Sends a request and returns when its head has come.
    pub(crate) async fn open(&mut self, method: &str, path: &str, body: Bytes) -> Result<http::Response<Incoming>> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "sheave")
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}
