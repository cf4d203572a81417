//! Asking the cluster's API, by kubectl.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::Cause;

/// kubectl with the kubeconfig of one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// What the API knows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeState {
    pub(crate) name: String,
    /// The first of its ranges of pod addresses.
    pub(crate) pod_cidr: Option<String>,
    /// Nothing when it is ready; else the condition's message.
    pub(crate) not_ready: Option<String>,
}

// === impl Kubectl ===

impl Kubectl {
    pub(crate) fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_owned(), kubeconfig: kubeconfig.to_owned() }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl; gives what it prints.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Cause> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).stdin(Stdio::null());
        // The API is on a loopback address, whatever the shell says of proxies.
        for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            command.env_remove(variable);
        }
        let failed = |message: String| Cause::Program { command: format!("kubectl {}", arguments.join(" ")), message };
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// The nodes that have registered.
    pub(crate) fn nodes(&self) -> Result<Vec<NodeState>, Cause> {
        let listed = self.run(&["get", "nodes", "--output=json"])?;
        Ok(read_nodes(&serde_json::from_str(&listed).unwrap_or_default()))
    }
}

fn read_nodes(list: &Value) -> Vec<NodeState> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let node = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array();
        let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
        let not_ready = match ready {
            Some(ready) if ready["status"] == "True" => None,
            Some(ready) => Some(text(&ready["message"]).unwrap_or_default()),
            None => Some("it has not reported yet".to_owned()),
        };
        let name = text(&node["metadata"]["name"]).unwrap_or_default();
        NodeState { name, pod_cidr: text(&node["spec"]["podCIDR"]), not_ready }
    };
    list["items"].as_array().into_iter().flatten().map(node).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_is_not_ready_says_why() {
        let ready = |status: &str| json!([{ "type": "Ready", "status": status, "message": "no network" }]);
        let node = |conditions: Value| json!({ "metadata": { "name": "n1" }, "status": { "conditions": conditions } });
        for (conditions, not_ready) in
            [(ready("True"), None), (ready("False"), Some("no network")), (json!([]), Some("it has not reported yet"))]
        {
            let read = read_nodes(&json!({ "items": [node(conditions)] }));
            assert_eq!(read[0].not_ready.as_deref(), not_ready);
        }
    }
}
