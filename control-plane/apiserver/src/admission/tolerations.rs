//! DefaultTolerationSeconds: a pod stays for five minutes on a node that is not ready or cannot be reached.

use serde_json::json;
use sheave_api::Document;
use sheave_api::view::{Edit, View};

const KEYS: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

pub(super) fn admit(pod: &mut Document) {
    let missing: Vec<Document> = KEYS
        .iter()
        .filter(|key| !pod.list("spec.tolerations").iter().any(|toleration| tolerates(toleration, key)))
        .map(|key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}))
        .collect();
    if missing.is_empty() {
        return;
    }
    pod.default_to("spec.tolerations", json!([]));
    if let Some(tolerations) = pod.at_mut("spec.tolerations").and_then(Document::as_array_mut) {
        tolerations.extend(missing);
    }
}

/// Whether the toleration speaks of the taint `key:NoExecute` already, for whatever time.
fn tolerates(toleration: &Document, key: &str) -> bool {
    let of_key = toleration.text("key") == key || toleration.text("key").is_empty();
    let of_effect = matches!(toleration.text("effect"), "NoExecute" | "");
    of_key && of_effect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_gets_both_tolerations_once() {
        let mut pod = json!({"spec": {}});
        admit(&mut pod);
        admit(&mut pod);
        assert_eq!(pod.list("spec.tolerations").len(), 2);
    }

    #[test]
    fn a_pod_that_speaks_of_the_taint_is_left_alone() {
        let mut pod = json!({"spec": {"tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]}});
        admit(&mut pod);
        assert_eq!(pod.list("spec.tolerations").len(), 2);
        assert_eq!(pod.list("spec.tolerations")[0]["tolerationSeconds"], 5);
        let mut daemon = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        admit(&mut daemon);
        assert_eq!(daemon.list("spec.tolerations").len(), 1);
    }
}
