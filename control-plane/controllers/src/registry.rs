//! The list of all controllers, by the names that `--controllers` knows.

use crate::options::Options;
use crate::runtime::manager::Manager;
use crate::{
    certificates, cluster_roles, cron_job, daemon_set, deployment, disruption, endpoints, garbage, job, load_balancer,
    namespace, node, replica_set, service_account, stateful_set,
};

/// One controller.
pub(crate) struct Registration {
    /// The name in `--controllers`, metrics, logs and events.
    pub(crate) name: &'static str,
    /// Names that older Kubernetes releases gave it.
    pub(crate) aliases: &'static [&'static str],
    /// Adds it to a manager.
    pub(crate) register: fn(&mut Manager, &Options, &'static str),
}

/// Every controller there is. The garbage collector comes last: what the others watch, it does not watch again.
pub(crate) const ALL: &[Registration] = &[
    Registration {
        name: "deployment-controller",
        aliases: &["deployment"],
        register: |manager, _, name| deployment::register(manager, name),
    },
    Registration {
        name: "replicaset-controller",
        aliases: &["replicaset"],
        register: |manager, _, name| replica_set::register_replica_sets(manager, name),
    },
    Registration {
        name: "replicationcontroller-controller",
        aliases: &["replicationcontroller"],
        register: |manager, _, name| replica_set::register_replication_controllers(manager, name),
    },
    Registration {
        name: "daemonset-controller",
        aliases: &["daemonset"],
        register: |manager, _, name| daemon_set::register(manager, name),
    },
    Registration {
        name: "job-controller",
        aliases: &["job"],
        register: |manager, _, name| job::register(manager, name),
    },
    Registration {
        name: "cronjob-controller",
        aliases: &["cronjob"],
        register: |manager, _, name| cron_job::register(manager, name),
    },
    Registration {
        name: "disruption-controller",
        aliases: &["disruption"],
        register: |manager, _, name| disruption::register(manager, name),
    },
    Registration {
        name: "clusterrole-aggregation-controller",
        aliases: &["clusterrole-aggregation"],
        register: |manager, _, name| cluster_roles::register(manager, name),
    },
    Registration {
        name: "statefulset-controller",
        aliases: &["statefulset"],
        register: |manager, _, name| stateful_set::register(manager, name),
    },
    Registration {
        name: "endpoints-controller",
        aliases: &["endpoint"],
        register: |manager, _, name| endpoints::legacy::register(manager, name),
    },
    Registration {
        name: "endpointslice-controller",
        aliases: &["endpointslice"],
        register: |manager, _, name| endpoints::slices::register(manager, name),
    },
    Registration {
        name: "endpointslice-mirroring-controller",
        aliases: &["endpointslicemirroring"],
        register: |manager, _, name| endpoints::mirroring::register(manager, name),
    },
    Registration {
        name: "serviceaccount-controller",
        aliases: &["serviceaccount"],
        register: |manager, _, name| service_account::defaults::register(manager, name),
    },
    Registration {
        name: "serviceaccount-token-controller",
        aliases: &["serviceaccount-token"],
        register: |manager, _, name| service_account::tokens::register(manager, name),
    },
    Registration {
        name: "root-ca-certificate-publisher-controller",
        aliases: &["root-ca-cert-publisher"],
        register: |manager, options, name| {
            if let Some(certificates) = options.root_certificates.clone() {
                service_account::root_ca::register(manager, name, certificates);
            }
        },
    },
    Registration {
        name: "node-lifecycle-controller",
        aliases: &["nodelifecycle"],
        register: |manager, options, name| node::lifecycle::register(manager, name, options.node_monitor_grace_period),
    },
    Registration {
        name: "taint-eviction-controller",
        aliases: &[],
        register: |manager, _, name| node::taint_eviction::register(manager, name),
    },
    Registration {
        name: "pod-garbage-collector-controller",
        aliases: &["podgc"],
        register: |manager, _, name| node::pod_garbage::register(manager, name),
    },
    Registration {
        name: "node-ipam-controller",
        aliases: &["nodeipam"],
        register: |manager, options, name| {
            if !options.pod_cidrs.is_empty() {
                node::cidrs::register(manager, name, options.pod_cidrs.clone());
            }
        },
    },
    Registration {
        name: "service-lb-controller",
        aliases: &["service"],
        register: |manager, options, name| {
            if let Some(pool) = options.load_balancer_pool.clone() {
                load_balancer::register(manager, name, pool);
            }
        },
    },
    Registration {
        name: "certificatesigningrequest-approving-controller",
        aliases: &["csrapproving"],
        register: |manager, _, name| certificates::approve::register(manager, name),
    },
    Registration {
        name: "certificatesigningrequest-signing-controller",
        aliases: &["csrsigning"],
        register: |manager, options, name| {
            if let Some(signer) = options.certificate_signer.clone() {
                certificates::sign::register(manager, name, signer);
            }
        },
    },
    Registration {
        name: "certificatesigningrequest-cleaner-controller",
        aliases: &["csrcleaner"],
        register: |manager, _, name| certificates::clean::register(manager, name),
    },
    Registration {
        name: "namespace-controller",
        aliases: &["namespace"],
        register: |manager, _, name| namespace::register(manager, name),
    },
    Registration {
        name: "garbage-collector-controller",
        aliases: &["garbagecollector"],
        register: |manager, _, name| garbage::register(manager, name),
    },
];
