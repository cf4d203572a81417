//! What a cluster needs so that nodes can join it: who the cluster is, for everybody, and a token for those who may.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// As whom this module writes.
const MANAGER: &str = "sheave-joining";
/// Letters and digits of a token (`k8s.io/cluster-bootstrap`).
const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A bootstrap token, `id.secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: String,
    secret: String,
}

// === impl Token ===

impl Token {
    /// A new one: 80 bits that nobody can guess.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self> {
        Ok(Self { id: random_word(6)?, secret: random_word(16)? })
    }

    /// The token in a text such as the one that [`line`] makes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split('@').next()?.split_once('.')?;
        let is_word = |word: &str, length| word.len() == length && word.bytes().all(|byte| ALPHABET.contains(&byte));
        (is_word(id, 6) && is_word(secret, 16)).then(|| Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// The Secret by which the API server knows it; without a lifetime it is good until the Secret is deleted.
    fn to_secret(&self, seconds: Option<u64>, description: &str) -> Result<Value> {
        let mut data = json!({
            "token-id": self.id, "token-secret": self.secret, "description": description,
            "usage-bootstrap-authentication": "true", "auth-extra-groups": "system:bootstrappers:sheave:nodes",
        });
        if let Some(seconds) = seconds {
            let end = time::OffsetDateTime::now_utc() + std::time::Duration::from_secs(seconds);
            let format = time::format_description::well_known::Rfc3339;
            data["expiration"] = end.replace_nanosecond(0)?.format(&format)?.into();
        }
        Ok(json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": format!("bootstrap-token-{}", self.id), "namespace": "kube-system"},
            "stringData": data}))
    }
}

impl std::fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}.…)", self.id)
    }
}

fn random_word(length: usize) -> Result<String> {
    use std::io::Read as _;
    let mut source = std::fs::File::open("/dev/urandom").context("cannot read /dev/urandom")?;
    let mut word = String::with_capacity(length);
    let mut byte = [0];
    while word.len() < length {
        source.read_exact(&mut byte).context("cannot read /dev/urandom")?;
        // 252 is the largest multiple of 36 in a byte: what is above would make some letters likelier.
        if byte[0] < 252 {
            word.push(char::from(ALPHABET[usize::from(byte[0] % 36)]));
        }
    }
    Ok(word)
}

/// What `sheave node --join` takes: `TOKEN@URL#sha256:HASH`, the hash that of the authority's public key.
///
/// # Errors
/// When the authority is no certificate.
pub fn line(token: &Token, server: &str, authority: &str) -> Result<String> {
    let der = CertificateDer::from_pem_slice(authority.as_bytes()).context("the cluster's authority is not PEM")?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).context("the cluster's authority is no certificate")?;
    let hash = ring::digest::digest(&ring::digest::SHA256, parsed.public_key().raw);
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let Token { id, secret } = token;
    Ok(format!("{id}.{secret}@{server}#sha256:{hash}"))
}

/// Makes a token known to the cluster.
///
/// # Errors
/// When the API server refuses it.
pub async fn publish_token(client: &Client, token: &Token, seconds: Option<u64>, description: &str) -> Result<()> {
    let secret = token.to_secret(seconds, description)?;
    apply(client, "Secret", "", &secret).await.context("cannot make the bootstrap token")
}

/// Tells everybody, also those whom the cluster does not know, where it is and who signs for it: kubeadm's
/// `kube-public/cluster-info`.
///
/// # Errors
/// When the API server refuses it.
pub async fn publish_cluster_info(client: &Client, server: &str, authority: &str) -> Result<()> {
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "users": [], "contexts": [], "current-context": "",
        "clusters": [{"name": "", "cluster": {
            "server": server, "certificate-authority-data": BASE64_STANDARD.encode(authority)}}]});
    let rbac = "rbac.authorization.k8s.io";
    let name = "sheave:cluster-info";
    let metadata = |name: &str| json!({"name": name, "namespace": "kube-public"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("cluster-info"),
        "data": {"kubeconfig": format!("{kubeconfig:#}\n")}});
    let role = json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata(name), "rules": [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"]}]});
    let binding = json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata(name),
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": "system:anonymous"}]});
    for (kind, group, object) in [("ConfigMap", "", &map), ("Role", rbac, &role), ("RoleBinding", rbac, &binding)] {
        apply(client, kind, group, object).await.with_context(|| format!("cannot publish {kind} {name}"))?;
    }
    Ok(())
}

async fn apply(client: &Client, kind: &str, group: &str, object: &Value) -> Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), text("/metadata/namespace"), &resource);
    api.patch(text("/metadata/name"), &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_line_and_is_never_shown() {
        let token = Token::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authority = crate::pki::Authority::load_or_create(folder.path()).unwrap();
        let line = line(&token, "https://192.0.2.2:6443", authority.certificate()).unwrap();
        assert_eq!(Token::parse(&line), Some(token.clone()));
        assert!(!format!("{token:?}").contains(&token.secret));
        assert!(line.parse::<sheave_kubelet::credentials::Join>().is_ok(), "{line}");
        assert_eq!(Token::parse("abc.def@x"), None);
    }

    #[test]
    fn a_token_with_a_lifetime_ends() {
        let token = Token::generate().unwrap();
        assert!(token.to_secret(None, "").unwrap()["stringData"].get("expiration").is_none());
        let secret = token.to_secret(Some(60), "").unwrap();
        assert!(secret["stringData"]["expiration"].as_str().unwrap().ends_with('Z'));
    }
}
