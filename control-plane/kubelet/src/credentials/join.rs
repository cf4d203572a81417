//! `TOKEN@URL#sha256:HASH`: from a bootstrap token to a client certificate of the node's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use super::certificate::{Certificate, CertificateError, write_private};
use super::client::{self, ClientCertificate, ClientError};

/// What `--join` says.
#[derive(Clone, PartialEq, Eq)]
pub struct Join {
    token: String,
    server: http::Uri,
    /// SHA-256 of the authority's SubjectPublicKeyInfo, as kubeadm's `--discovery-token-ca-cert-hash`.
    hash: [u8; 32],
}

/// A node that the cluster knows.
pub struct Joined {
    /// The API as this node.
    pub client: kube::Client,
    /// What the client shows, for renewal.
    pub certificate: Arc<ClientCertificate>,
    /// The cluster's authority, in PEM.
    pub authority: String,
}

/// A `--join` that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Not of the form.
    #[error("--join must be TOKEN@URL#sha256:HASH, as `sheave token create` prints it: {0}")]
    Form(&'static str),
    /// The API server does not tell its authority.
    #[error("cannot read the cluster's authority from {server}: {source}")]
    Discover {
        /// The URL.
        server: http::Uri,
        /// What went wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// The authority is another one.
    #[error(
        "the API server at {server} shows an authority with the hash sha256:{found}, not the one in --join: somebody is in between, or the cluster was made anew"
    )]
    Hash {
        /// The URL.
        server: http::Uri,
        /// The hash of what it shows.
        found: String,
    },
    /// What it shows is no authority.
    #[error("there is no certificate authority for {0}: neither in kube-public/cluster-info nor in a kubeconfig")]
    NoAuthority(http::Uri),
    /// The node's certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file in the data directory.
    #[error("cannot keep the cluster's authority in {path}: {source}: run as the owner of the data directory")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Joins as `node`, or comes back with the certificate in `folder` that it got when it joined.
///
/// # Errors
/// When the cluster cannot be reached, is not the one of the hash, or does not take the token.
pub async fn join(join: &Join, node: &str, folder: &Path) -> Result<Joined, JoinError> {
    let path = folder.join("ca.crt");
    let file = |source| JoinError::File { path: path.clone(), source };
    fs::create_dir_all(folder).map_err(file)?;
    let known = fs::read_to_string(&path).ok().filter(|known| join.is_authority(known));
    let authority = match known {
        Some(authority) => authority,
        None => {
            let authority = join.discover().await?;
            write_private(&path, authority.as_bytes()).map_err(file)?;
            authority
        }
    };
    let mut config = client::config(join.server.clone(), &authority)?;
    config.auth_info.token = Some(join.token.clone().into());
    enter(config, authority, node, folder).await
}

/// Joins as `node` with the rights of a kubeconfig, which must do for asking for a node's client certificate.
///
/// # Errors
/// When the cluster cannot be reached, or does not grant it.
pub async fn join_as(config: kube::Config, node: &str, folder: &Path) -> Result<Joined, JoinError> {
    let roots = config.root_cert.clone().unwrap_or_default();
    if roots.is_empty() {
        return Err(JoinError::NoAuthority(config.cluster_url));
    }
    let path = folder.join("ca.crt");
    let authority: String = roots.iter().map(|der| pem("CERTIFICATE", der)).collect();
    let written = fs::create_dir_all(folder).and_then(|()| write_private(&path, authority.as_bytes()));
    written.map_err(|source| JoinError::File { path, source })?;
    enter(config, authority, node, folder).await
}

/// The rights of `bootstrap` are only used where there is no certificate yet.
async fn enter(bootstrap: kube::Config, authority: String, node: &str, folder: &Path) -> Result<Joined, JoinError> {
    let server = bootstrap.cluster_url.clone();
    let certificate = Certificate::client(folder, node);
    let pair = match certificate.load() {
        Some(pair) => pair,
        None => {
            let bootstrap = kube::Client::try_from(bootstrap).map_err(|error| ClientError::from(Box::new(error)))?;
            certificate.request(&bootstrap).await?
        }
    };
    let (client, certificate) = client::client(server, &authority, &pair)?;
    Ok(Joined { client, certificate, authority })
}

/// RFC 7468: lines of 64 characters.
fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> = (0..encoded.len()).step_by(64).map(|at| &encoded[at..encoded.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

// === impl Join ===

impl Join {
    /// The API server's URL.
    #[must_use]
    pub fn server(&self) -> &http::Uri {
        &self.server
    }

    /// The cluster's authority, which must have the hash. Nothing secret goes over this connection.
    async fn discover(&self) -> Result<String, JoinError> {
        let refused = |source| JoinError::Discover { server: self.server.clone(), source: Box::new(source) };
        let mut config = kube::Config::new(self.server.clone());
        config.accept_invalid_certs = true;
        let client = kube::Client::try_from(config).map_err(refused)?;
        let api: Api<ConfigMap> = Api::namespaced(client, "kube-public");
        let map = api.get("cluster-info").await.map_err(refused)?;
        let kubeconfig = map.data.unwrap_or_default().remove("kubeconfig").unwrap_or_default();
        let authority = authority_of(&kubeconfig).ok_or_else(|| JoinError::NoAuthority(self.server.clone()))?;
        if self.is_authority(&authority) {
            return Ok(authority);
        }
        let found = hashes(&authority).first().map(hex).unwrap_or_default();
        Err(JoinError::Hash { server: self.server.clone(), found })
    }

    fn is_authority(&self, pem: &str) -> bool {
        // Every certificate must be pinned: one that is not would be trusted as well.
        let hashes = hashes(pem);
        !hashes.is_empty() && hashes.iter().all(|hash| *hash == self.hash)
    }
}

impl FromStr for Join {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        let (rest, hash) = text.rsplit_once('#').ok_or(JoinError::Form("there is no #"))?;
        let (token, server) = rest.split_once('@').ok_or(JoinError::Form("there is no @"))?;
        let hash = hash.strip_prefix("sha256:").and_then(unhex).ok_or(JoinError::Form("the hash is not sha256:HEX"))?;
        let is_word = |word: &str, length| {
            word.len() == length && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !token.split_once('.').is_some_and(|(id, secret)| is_word(id, 6) && is_word(secret, 16)) {
            return Err(JoinError::Form("the token is not of the form abcdef.0123456789abcdef"));
        }
        let server: http::Uri = server.parse().map_err(|_| JoinError::Form("the URL is none"))?;
        if server.scheme_str() != Some("https") || server.host().is_none() {
            return Err(JoinError::Form("the URL must be https://HOST:PORT"));
        }
        Ok(Self { token: token.to_owned(), server, hash })
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Joined(..)")
    }
}

impl std::fmt::Debug for Join {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The authority in a kubeconfig, which may be YAML or JSON.
fn authority_of(kubeconfig: &str) -> Option<String> {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).ok()?;
    let data = kubeconfig.clusters.into_iter().next()?.cluster?.certificate_authority_data?;
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

/// SHA-256 of the SubjectPublicKeyInfo of every certificate; none at all when one of them is none.
fn hashes(pem: &str) -> Vec<[u8; 32]> {
    let hash = |der: Result<CertificateDer<'_>, _>| {
        let der = der.ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
        Some(Sha256::digest(parsed.public_key().raw).into())
    };
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(hash).collect::<Option<_>>().unwrap_or_default()
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let bytes: Option<Vec<u8>> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_join_has_a_token_a_server_and_a_hash() {
        let join: Join = format!("abcdef.0123456789abcdef@https://[fd00::2]:6443#{HASH}").parse().unwrap();
        assert_eq!((join.token.as_str(), join.server.host()), ("abcdef.0123456789abcdef", Some("[fd00::2]")));
        assert_eq!(hex(&join.hash), HASH[7..]);
        assert!(!format!("{join:?}").contains("0123456789abcdef"));
        for text in [
            "",
            "abcdef.0123456789abcdef@https://a:1",
            &format!("https://a:1#{HASH}"),
            &format!("abc.0123456789abcdef@https://a:1#{HASH}"),
            &format!("abcdef.0123456789ABCDEF@https://a:1#{HASH}"),
            &format!("abcdef.0123456789abcdef@http://a:1#{HASH}"),
            "abcdef.0123456789abcdef@https://a:1#sha256:01",
            "abcdef.0123456789abcdef@https://a:1#sha256:é",
        ] {
            assert!(text.parse::<Join>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_authority_of_the_hash_is_taken_and_nothing_beside_it() {
        let make = || {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
        };
        let (ours, theirs) = (make(), make());
        let hash = hex(&hashes(&ours)[0]);
        let join: Join = format!("abcdef.0123456789abcdef@https://a:1#sha256:{hash}").parse().unwrap();
        assert!(join.is_authority(&ours));
        assert!(!join.is_authority(&theirs));
        assert!(!join.is_authority(&format!("{ours}{theirs}")));
        assert!(!join.is_authority(""));
    }
}
