//! Kubeconfig files with everything embedded.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::pki::Pair;

/// The kubeconfig of one user of one cluster, as JSON, which every reader of kubeconfigs takes for YAML.
///
/// `server` is a URL; `authority` is the PEM of the cluster's CA.
#[must_use]
pub fn kubeconfig(server: &str, authority: &str, user: &str, pair: &Pair) -> String {
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "sheave", "cluster": {
            "server": server, "certificate-authority-data": encode(authority),
        }}],
        "users": [{ "name": user, "user": {
            "client-certificate-data": encode(&pair.certificate), "client-key-data": encode(&pair.key),
        }}],
        "contexts": [{ "name": "sheave", "context": { "cluster": "sheave", "user": user } }],
        "current-context": "sheave",
    });
    format!("{config:#}\n")
}
