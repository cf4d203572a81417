//! What the agent knows of the cluster: its nodes, from the API server or from a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Config};
use tracing::{info, warn};

use crate::node::NodeView;
use crate::settings::NodesSource;

/// Where a pod finds its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// All nodes, and whether the list is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// By name.
    pub nodes: BTreeMap<String, NodeView>,
    /// Whether the first list has come to its end.
    pub is_synced: bool,
}

/// Reads nodes from a file: one Node object, a list of them, or several YAML documents.
///
/// # Errors
/// When it cannot be read or is something else.
pub fn read_file(path: &Path) -> Result<Nodes> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut nodes = BTreeMap::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let value = <serde_json::Value as serde::Deserialize>::deserialize(document)
            .with_context(|| format!("{} is no YAML", path.display()))?;
        let items = value.get("items").and_then(serde_json::Value::as_array).cloned().unwrap_or_else(|| vec![value]);
        for item in items {
            let node: Node = serde_json::from_value(item)
                .with_context(|| format!("{} has something that is no Node", path.display()))?;
            let view = NodeView::from(&node);
            nodes.insert(view.name.clone(), view);
        }
    }
    Ok(Nodes { nodes, is_synced: true })
}

/// Tells all nodes again and again, whenever one has changed in what the agent needs of it. A server that is away comes
/// back: this ends only with an error of `tell`.
///
/// # Errors
/// When the way to the API server is not known.
pub async fn watch_nodes(source: &NodesSource, tell: impl Fn(Nodes) -> Result<()>) -> Result<()> {
    let client = client(source).await?;
    let stream = watcher(Api::<Node>::all(client), watcher::Config::default()).default_backoff();
    let mut stream = pin!(stream);
    let mut nodes = Nodes::default();
    let mut listed = BTreeMap::new();
    loop {
        let event = match stream.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(error) => {
                warn!(error = format!("{:#}", anyhow::Error::from(error)), "cannot watch the nodes; trying again");
                continue;
            }
        };
        let before = nodes.clone();
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(node) => {
                let view = NodeView::from(&node);
                // At once: a new node need not wait for the end of the list to be reached, nor this one to know itself.
                nodes.nodes.insert(view.name.clone(), view.clone());
                listed.insert(view.name.clone(), view);
            }
            watcher::Event::InitDone => {
                if !nodes.is_synced {
                    info!(nodes = listed.len(), "the API server has told all nodes");
                }
                nodes = Nodes { nodes: std::mem::take(&mut listed), is_synced: true };
            }
            watcher::Event::Apply(node) => {
                let view = NodeView::from(&node);
                nodes.nodes.insert(view.name.clone(), view);
            }
            watcher::Event::Delete(node) => {
                nodes.nodes.remove(node.metadata.name.as_deref().unwrap_or_default());
            }
        }
        if nodes != before {
            tell(nodes.clone())?;
        }
    }
}

async fn client(source: &NodesSource) -> Result<Client> {
    let config = match source {
        NodesSource::Kubeconfig(path, url) => {
            let kubeconfig = Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()))?;
            let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            if let Some(url) = url {
                config.cluster_url = url.parse().with_context(|| format!("`apiServer` is {url:?}, which is no URL"))?;
            }
            config
        }
        NodesSource::ServiceAccount(Some(url)) => by_service_account(url)?,
        NodesSource::ServiceAccount(None) => Config::incluster().context(
            "cannot find the API server: this is no pod; name a kubeconfig file in the setting `kubeconfig`, or the \
             server in `apiServer`",
        )?,
        NodesSource::File(path) => anyhow::bail!("the nodes are read from {}", path.display()),
    };
    Ok(Client::try_from(config)?)
}

/// The service account of this pod, at another URL than the one of the `kubernetes` service: before a service proxy
/// runs, nothing answers there.
fn by_service_account(url: &str) -> Result<Config> {
    let mut config = Config::new(url.parse().with_context(|| format!("`apiServer` is {url:?}, which is no URL"))?);
    let authority = Path::new(ACCOUNT).join("ca.crt");
    let pem = std::fs::read(&authority).with_context(|| format!("cannot read {}", authority.display()))?;
    config.root_cert = Some(certificates(&pem)?);
    let token = Path::new(ACCOUNT).join("token").display().to_string();
    config.auth_info = AuthInfo { token_file: Some(token), ..AuthInfo::default() };
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>> {
    use rustls_pki_types::pem::PemObject as _;
    let certificates = rustls_pki_types::CertificateDer::pem_slice_iter(pem);
    let certificates = certificates.map(|certificate| Ok(certificate?.to_vec())).collect::<Result<Vec<_>>>();
    certificates.context("the service account's ca.crt holds no certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_hold_one_node_a_list_or_several_documents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.yaml");
        let one = "{ metadata: { name: n1 }, spec: { podCIDRs: [10.244.1.0/24] } }";
        let two = one.replace("n1", "n2");
        for (text, count) in
            [(one.to_owned(), 1), (format!("items:\n- {one}\n- {two}\n"), 2), (format!("{one}\n---\n{two}\n"), 2)]
        {
            std::fs::write(&path, text).unwrap();
            let nodes = read_file(&path).unwrap();
            assert_eq!((nodes.nodes.len(), nodes.is_synced), (count, true));
            assert_eq!(nodes.nodes["n1"].pod_networks.len(), 1);
        }
        std::fs::write(&path, "[1, 2]").unwrap();
        assert!(read_file(&path).unwrap_err().to_string().contains("no Node"));
    }
}
