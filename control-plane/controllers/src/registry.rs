//! The list of all controllers, by the names that `--controllers` knows.

use crate::options::Options;
use crate::runtime::manager::Manager;
use crate::{deployment, endpoints, replica_set};

/// One controller.
pub(crate) struct Registration {
    /// The name in `--controllers`, metrics, logs and events.
    pub(crate) name: &'static str,
    /// Names that older Kubernetes releases gave it.
    pub(crate) aliases: &'static [&'static str],
    /// Adds it to a manager.
    pub(crate) register: fn(&mut Manager, &Options, &'static str),
}

/// Every controller there is.
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
];
