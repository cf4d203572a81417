//! What each signer signs (`k8s.io/api/certificates/v1`, `pkg/apis/certificates/helpers.go`).

use std::collections::BTreeSet;

use super::request::Asked;

pub(super) const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub(super) const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub(super) const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";

/// How a node's user is called, before its name.
pub(super) const NODE_USER: &str = "system:node:";
const NODES: &str = "system:nodes";
const MASTERS: &str = "system:masters";

/// Says why `signer` may not sign; none when it may, or when it is not one of ours.
pub(super) fn objection(signer: &str, asked: &Asked, usages: &[String]) -> Option<&'static str> {
    match signer {
        CLIENT => client(asked, usages),
        KUBELET_CLIENT => kubelet_client(asked, usages),
        KUBELET_SERVING => kubelet_serving(asked, usages),
        _ => None,
    }
}

/// Whether a signer is one of the cluster's own.
pub(super) fn is_ours(signer: &str) -> bool {
    matches!(signer, CLIENT | KUBELET_CLIENT | KUBELET_SERVING)
}

fn client(asked: &Asked, usages: &[String]) -> Option<&'static str> {
    if asked.organizations.iter().any(|group| group == MASTERS) {
        return Some("use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed");
    }
    usages_objection(usages, "client auth")
}

fn kubelet_client(asked: &Asked, usages: &[String]) -> Option<&'static str> {
    if asked.organizations != [NODES] {
        return Some("subject organization is not system:nodes");
    }
    if !has_node_name(asked) {
        return Some("subject common name does not begin with system:node:");
    }
    if asked.has_names() {
        return Some("subject alternative names are not allowed");
    }
    usages_objection(usages, "client auth")
}

fn kubelet_serving(asked: &Asked, usages: &[String]) -> Option<&'static str> {
    if asked.organizations != [NODES] {
        return Some("subject organization is not system:nodes");
    }
    if !has_node_name(asked) {
        return Some("subject common name does not begin with system:node:");
    }
    if asked.names.is_empty() && asked.addresses.is_empty() {
        return Some("DNS or IP subjectAltName is required");
    }
    if asked.has_other_names {
        return Some("only DNS and IP subjectAltNames are allowed");
    }
    usages_objection(usages, "server auth")
}

fn has_node_name(asked: &Asked) -> bool {
    asked.common_name.strip_prefix(NODE_USER).is_some_and(|name| !name.is_empty())
}

/// The one usage must be there, and besides it only what keys of either kind need.
fn usages_objection(usages: &[String], wanted: &str) -> Option<&'static str> {
    let usages: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let is_good = usages.contains(wanted)
        && usages.iter().all(|usage| [wanted, "digital signature", "key encipherment"].contains(usage));
    (!is_good).then_some("usages did not match what the signer allows")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(names: &[&str]) -> Asked {
        Asked {
            common_name: "system:node:n1".to_owned(),
            organizations: vec![NODES.to_owned()],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Asked::default()
        }
    }

    #[test]
    fn each_signer_signs_what_it_is_for() {
        let masters = Asked { organizations: vec![MASTERS.to_owned()], ..node(&[]) };
        let jane = Asked { common_name: "jane".to_owned(), organizations: vec!["dev".to_owned()], ..Asked::default() };
        let mail = Asked { has_other_names: true, ..node(&["n1"]) };
        for (signer, asked, usages, is_signed) in [
            (CLIENT, &jane, &["client auth", "digital signature"][..], true),
            (CLIENT, &masters, &["client auth"], false),
            (CLIENT, &jane, &["server auth"], false),
            (CLIENT, &jane, &["client auth", "server auth"], false),
            (KUBELET_CLIENT, &node(&[]), &["client auth", "key encipherment"], true),
            (KUBELET_CLIENT, &node(&["n1"]), &["client auth"], false),
            (KUBELET_CLIENT, &jane, &["client auth"], false),
            (KUBELET_CLIENT, &masters, &["client auth"], false),
            (KUBELET_SERVING, &node(&["n1"]), &["server auth", "digital signature"], true),
            (KUBELET_SERVING, &node(&[]), &["server auth"], false),
            (KUBELET_SERVING, &mail, &["server auth"], false),
            (KUBELET_SERVING, &jane, &["server auth"], false),
            (KUBELET_SERVING, &node(&["n1"]), &["client auth"], false),
        ] {
            let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
            assert_eq!(objection(signer, asked, &usages).is_none(), is_signed, "{signer} {asked:?} {usages:?}");
        }
    }
}
