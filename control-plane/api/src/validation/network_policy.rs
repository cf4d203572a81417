//! Network policies.

use super::net;
use super::pod::probes::port_number_or_name;
use super::{Place, labels, one_of};
use crate::field::Errors;
use crate::names;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const POLICY_TYPES: [&str; 2] = ["Ingress", "Egress"];

/// A network policy, metadata apart.
pub(crate) fn network_policy(policy: &Place<'_>, errors: &mut Errors) {
    let spec = policy.child("spec");
    labels::label_selector(&spec.child("podSelector"), errors);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.child(rules).items() {
            for port in rule.child("ports").items() {
                policy_port(&port, errors);
            }
            for peer in rule.child(peers).items() {
                policy_peer(&peer, errors);
            }
        }
    }
    let types = spec.child("policyTypes");
    if types.len() > POLICY_TYPES.len() {
        errors.invalid(&types, "may not specify more than two policyTypes");
        return;
    }
    for policy_type in types.items() {
        if !POLICY_TYPES.contains(&policy_type.text()) {
            errors.not_supported(&policy_type, &POLICY_TYPES);
        }
    }
}

fn policy_port(entry: &Place<'_>, errors: &mut Errors) {
    let (protocol, port, end) = (entry.child("protocol"), entry.child("port"), entry.child("endPort"));
    if protocol.is_set() {
        one_of(&protocol, &PROTOCOLS, errors);
    }
    if !port.is_set() {
        if end.is_set() {
            errors.invalid_int(&end, "may not be specified when `port` is not specified");
        }
        return;
    }
    port_number_or_name(&port, errors);
    let Some(last) = end.int() else { return };
    if port.value().is_string() {
        errors.invalid_int(&end, "may not be specified when `port` is non-numeric");
        return;
    }
    if last < port.int().unwrap_or_default() {
        errors.invalid_int(&end, "must be greater than or equal to `port`");
    }
    for reason in names::port_number(last) {
        errors.invalid_int(&end, reason);
    }
}

fn policy_peer(peer: &Place<'_>, errors: &mut Errors) {
    let selectors = [peer.child("podSelector"), peer.child("namespaceSelector")];
    let block = peer.child("ipBlock");
    let mut has_selector = false;
    for selector in selectors.iter().filter(|selector| selector.is_set()) {
        has_selector = true;
        labels::label_selector(selector, errors);
    }
    if block.is_set() {
        address_block(&block, errors);
    }
    match (has_selector, block.is_set()) {
        (false, false) => errors.required(peer, "must specify a peer"),
        (true, true) => errors.forbidden(peer, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn address_block(block: &Place<'_>, errors: &mut Errors) {
    let cidr = block.child("cidr");
    if cidr.text().is_empty() {
        errors.required(&cidr, "");
        return;
    }
    let found = errors.len();
    net::cidr(&cidr, cidr.text(), errors);
    let range = (errors.len() == found).then(|| net::parse_cidr(cidr.text())).flatten();
    for except in block.child("except").items() {
        let found = errors.len();
        net::cidr(&except, except.text(), errors);
        if errors.len() > found {
            continue;
        }
        if let (Some(range), Some((inner, length))) = (range, net::parse_cidr(except.text()))
            && !(net::contains(range, inner) && length > range.1)
        {
            errors.invalid_text(&except, "must be a strict subset of `cidr`");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Document;
    use crate::validation::tests::refusals_of_spec;

    #[test]
    fn policies_are_refused_in_kubernetes_words() {
        let from = |peer: Document| json!({"podSelector": {}, "ingress": [{"from": [peer]}]});
        let port = |port: Document| json!({"podSelector": {}, "ingress": [{"ports": [port]}]});
        let table = [
            (json!({"podSelector": {}}), ""),
            (from(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}})), ""),
            (from(json!({})), "spec.ingress[0].from[0]: Required value: must specify a peer"),
            (
                from(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
                "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
            ),
            (from(json!({"ipBlock": {}})), "spec.ingress[0].from[0].ipBlock.cidr: Required value"),
            (
                from(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8", "11.0.0.0/16"]}})),
                "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of \
                 `cidr`\n\
                 spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of \
                 `cidr`",
            ),
            (port(json!({"port": 80, "endPort": 90})), ""),
            (
                port(json!({"port": 80, "endPort": 70})),
                "spec.ingress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`",
            ),
            (
                port(json!({"port": "http", "endPort": 70})),
                "spec.ingress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is non-numeric",
            ),
            (
                port(json!({"protocol": "ICMP"})),
                "spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \
                 \"SCTP\"",
            ),
            (
                json!({"podSelector": {}, "policyTypes": ["In"]}),
                "spec.policyTypes[0]: Unsupported value: \"In\": supported values: \"Ingress\", \"Egress\"",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(refusals_of_spec("networking.k8s.io", "NetworkPolicy", &spec), expected, "{spec}");
        }
    }
}
