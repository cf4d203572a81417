//! The service accounts that controllers act as; each has a role of its own, `system:controller:<account>`.

/// Controllers whose account has another name than they have; none where Kubernetes gives them none.
const OTHERS: &[(&str, Option<&str>)] = &[
    ("certificatesigningrequest-approving-controller", Some("certificate-controller")),
    ("certificatesigningrequest-cleaner-controller", Some("certificate-controller")),
    ("certificatesigningrequest-signing-controller", Some("certificate-controller")),
    ("daemonset-controller", Some("daemon-set-controller")),
    ("endpoints-controller", Some("endpoint-controller")),
    ("endpointslice-mirroring-controller", Some("endpointslicemirroring-controller")),
    ("garbage-collector-controller", Some("generic-garbage-collector")),
    ("node-ipam-controller", Some("node-controller")),
    ("node-lifecycle-controller", Some("node-controller")),
    ("pod-garbage-collector-controller", Some("pod-garbage-collector")),
    ("replicationcontroller-controller", Some("replication-controller")),
    ("root-ca-certificate-publisher-controller", Some("root-ca-cert-publisher")),
    ("service-lb-controller", Some("service-controller")),
    ("serviceaccount-controller", Some("service-account-controller")),
    // It makes tokens for others, with the manager's own rights.
    ("serviceaccount-token-controller", None),
    ("taint-eviction-controller", Some("node-controller")),
];

/// The account of the controller `name`.
pub(crate) fn account_of(name: &'static str) -> Option<&'static str> {
    OTHERS.iter().find(|(other, _)| *other == name).map_or(Some(name), |(_, account)| *account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_those_of_kubernetes() {
        assert_eq!(account_of("deployment-controller"), Some("deployment-controller"));
        assert_eq!(account_of("garbage-collector-controller"), Some("generic-garbage-collector"));
        assert_eq!(account_of("serviceaccount-token-controller"), None);
    }
}
