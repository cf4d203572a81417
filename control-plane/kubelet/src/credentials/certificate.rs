//! One certificate of a node: where it is kept, how it is asked for, how long it is good.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use kube::Api;
use kube::api::PostParams;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// A certificate chain and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    /// The chain, the leaf first.
    pub chain: String,
    /// The private key, PKCS#8. Never logged.
    pub key: String,
}

/// What a node asks for.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The folder for `NAME.pem`, which holds key and chain.
    folder: PathBuf,
    name: &'static str,
    signer: &'static str,
    usages: &'static [&'static str],
    node: String,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// No certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file of it.
    #[error("cannot keep the certificate in {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key or a request could not be made.
    #[error("cannot make a certificate request: {0}")]
    Make(#[from] rcgen::Error),
    /// The API server refused the request, or did not answer.
    #[error("the API server does not take the certificate request: {0}")]
    Api(#[from] Box<kube::Error>),
    /// Somebody said no.
    #[error("the certificate request {name} was {decision}: {message}")]
    Refused {
        /// The request's name.
        name: String,
        /// `Denied` or `Failed`.
        decision: String,
        /// Why.
        message: String,
    },
    /// Nobody signed it.
    #[error(
        "the certificate request {name} was not signed within {waited:?}: `kubectl get csr {name}` shows what it waits for"
    )]
    Unsigned {
        /// The request's name.
        name: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// How long a request may wait for its approval; `kubectl certificate approve` is somebody's job where it is not ours.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(200);

// === impl Certificate ===

impl Certificate {
    /// The node's client certificate, kept in `folder`.
    #[must_use]
    pub fn client(folder: &Path, node: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            name: "kubelet-client",
            signer: "kubernetes.io/kube-apiserver-client-kubelet",
            usages: &["digital signature", "client auth"],
            node: node.to_owned(),
            names: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// The certificate of the node's port, for its name and its addresses.
    #[must_use]
    pub fn serving(folder: &Path, node: &str, addresses: &[IpAddr]) -> Self {
        Self {
            folder: folder.to_owned(),
            name: "kubelet-serving",
            signer: "kubernetes.io/kubelet-serving",
            usages: &["digital signature", "server auth"],
            node: node.to_owned(),
            names: vec![node.to_owned()],
            addresses: addresses.to_vec(),
        }
    }

    /// What it is called in logs.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The kept certificate, if it still does: it has not ended and carries the names.
    #[must_use]
    pub fn load(&self) -> Option<Pair> {
        let text = fs::read_to_string(self.path()).ok()?;
        let end = text.find("-----BEGIN CERTIFICATE-----")?;
        let pair = Pair { key: text[..end].to_owned(), chain: text[end..].to_owned() };
        let left = pair.left()?;
        (!left.is_zero() && self.is_covered(&pair)).then_some(pair)
    }

    /// Asks for a new one and waits for it.
    ///
    /// # Errors
    /// When it is refused, or nobody signs it.
    pub async fn request(&self, client: &kube::Client) -> Result<Pair, CertificateError> {
        let key = KeyPair::generate()?;
        let request = self.parameters()?.serialize_request(&key)?.pem()?;
        let spec = CertificateSigningRequestSpec {
            request: ByteString(request.into_bytes()),
            signer_name: self.signer.to_owned(),
            usages: Some(self.usages.iter().map(|usage| (*usage).to_owned()).collect()),
            ..CertificateSigningRequestSpec::default()
        };
        let mut object = CertificateSigningRequest { spec, ..CertificateSigningRequest::default() };
        object.metadata.generate_name = Some("csr-".to_owned());
        let api: Api<CertificateSigningRequest> = Api::all(client.clone());
        let made = api.create(&PostParams::default(), &object).await.map_err(Box::new)?;
        let name = made.metadata.name.unwrap_or_default();
        let chain = tokio::time::timeout(PATIENCE, signed(&api, &name)).await;
        let chain = chain.map_err(|_| CertificateError::Unsigned { name, waited: PATIENCE })??;
        let pair = Pair { chain, key: key.serialize_pem() };
        self.store(&pair)?;
        Ok(pair)
    }

    fn parameters(&self) -> Result<CertificateParams, rcgen::Error> {
        let mut parameters = CertificateParams::new(self.names.clone())?;
        parameters.subject_alt_names.extend(self.addresses.iter().map(|address| SanType::IpAddress(*address)));
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        parameters.distinguished_name.push(DnType::CommonName, format!("system:node:{}", self.node));
        Ok(parameters)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    /// Written whole or not at all, for the owner only.
    fn store(&self, pair: &Pair) -> Result<(), CertificateError> {
        let path = self.path();
        let text = format!("{}{}", pair.key, pair.chain);
        write_private(&path, text.as_bytes()).map_err(|source| CertificateError::File { path, source })
    }

    /// Whether a certificate carries every name and address.
    fn is_covered(&self, pair: &Pair) -> bool {
        use x509_parser::extensions::GeneralName;
        let Ok(der) = CertificateDer::from_pem_slice(pair.chain.as_bytes()) else { return false };
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&der) else { return false };
        let is_own = parsed
            .subject()
            .iter_common_name()
            .any(|name| name.as_str().is_ok_and(|name| name.strip_prefix("system:node:") == Some(&self.node)));
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let all: Vec<&GeneralName<'_>> =
            alternatives.iter().flat_map(|extension| &extension.value.general_names).collect();
        let has_name =
            |wanted: &String| all.iter().any(|it| matches!(it, GeneralName::DNSName(name) if name == wanted));
        let has_address = |wanted: &IpAddr| {
            let bytes = match wanted {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            all.iter().any(|it| matches!(it, GeneralName::IPAddress(found) if *found == bytes))
        };
        is_own && self.names.iter().all(has_name) && self.addresses.iter().all(has_address)
    }
}

/// Waits until a request is signed or refused.
async fn signed(api: &Api<CertificateSigningRequest>, name: &str) -> Result<String, CertificateError> {
    loop {
        let status = api.get(name).await.map_err(Box::new)?.status.unwrap_or_default();
        if let Some(chain) = status.certificate.and_then(|chain| String::from_utf8(chain.0).ok())
            && !chain.is_empty()
        {
            return Ok(chain);
        }
        let refusal = status.conditions.into_iter().flatten().find(|it| it.type_ == "Denied" || it.type_ == "Failed");
        if let Some(condition) = refusal {
            let message = condition.message.unwrap_or_default();
            return Err(CertificateError::Refused { name: name.to_owned(), decision: condition.type_, message });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Writes a file of mode 0600 that is there whole or as before.
pub(super) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

// === impl Pair ===

impl Pair {
    /// How long it is still good; none for what is no certificate.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.validity().map(|(_, left)| left)
    }

    /// How long it is good as a whole, and from now on.
    pub(super) fn validity(&self) -> Option<(Duration, Duration)> {
        let der = CertificateDer::from_pem_slice(self.chain.as_bytes()).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
        let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        let now = jiff::Timestamp::now().as_second();
        let seconds = |from: i64| Duration::from_secs(u64::try_from(until - from).unwrap_or_default());
        Some((seconds(from), seconds(now)))
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn self_signed(certificate: &Certificate) -> Pair {
        let key = KeyPair::generate().unwrap();
        let chain = certificate.parameters().unwrap().self_signed(&key).unwrap().pem();
        Pair { chain, key: key.serialize_pem() }
    }

    #[test]
    fn a_kept_certificate_is_used_again_until_the_nodes_addresses_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |address: &str| Certificate::serving(folder.path(), "n1", &[address.parse().unwrap()]);
        let certificate = at("192.0.2.1");
        assert!(certificate.load().is_none());
        let pair = self_signed(&certificate);
        certificate.store(&pair).unwrap();
        assert_eq!(certificate.load().unwrap().chain, pair.chain);
        assert_eq!(certificate.load().unwrap().key, pair.key);
        assert!(at("192.0.2.2").load().is_none());
        let mode = fs::metadata(folder.path().join("kubelet-serving.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_of_another_node_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let one = Certificate::client(folder.path(), "n1");
        one.store(&self_signed(&one)).unwrap();
        assert!(one.load().is_some());
        assert!(Certificate::client(folder.path(), "n2").load().is_none());
    }
}
