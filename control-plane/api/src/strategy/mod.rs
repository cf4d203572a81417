//! What the API server does to a document of a kind beside storing it.

mod access;
mod batch;
mod cluster;
mod event;
mod network;
mod pod;
mod pod_subresources;
#[cfg(test)]
mod robustness;
mod rules;
mod service;
mod storage;
mod workloads;

use std::sync::Arc;

use crate::Document;
use crate::field::FieldError;

pub(crate) use batch::{CONTROLLER_UID_LABEL, JOB_NAME_LABEL, OLD_CONTROLLER_UID_LABEL, OLD_JOB_NAME_LABEL};
pub(crate) use pod::qos_class;
use rules::{Generic, strategy_of};
pub(crate) use service::needs_health_check;

/// Reads the value of a selectable field; empty where the object has none.
pub type FieldReader = fn(&Document) -> String;

/// The rules of a kind. The functions are pure and never panic, whatever the document holds.
///
/// # Guarantees
/// A new object passes `default`, `prepare_create`, `validate`; an update `default`, `prepare_update`,
/// `validate_update`. Before `prepare_create`, the server has set what it alone decides: `metadata.uid`,
/// `creationTimestamp`, the namespace and a generated name (a Job's selector is made of its uid).
#[derive(Clone)]
pub struct Strategy {
    /// Fills in what the user left out, as Kubernetes' defaults for this version do, and writes quantities in
    /// canonical form. Doing it twice changes nothing more.
    pub default: fn(&mut Document),
    /// Before validation of a new object: drops what a client may not set (status), sets generation 1, and so on.
    pub prepare_create: fn(&mut Document),
    /// Before validation of an update: carries over what an update may not change, bumps `metadata.generation` when
    /// the spec changed. Arguments: new, old.
    pub prepare_update: fn(&mut Document, &Document),
    /// As `prepare_update` for the status subresource: everything but status and metadata is the old one's. (Labels
    /// and annotations can be written through `/status`, as in Kubernetes.)
    pub prepare_status_update: fn(&mut Document, &Document),
    /// Everything that is wrong with a new object, at once. `metadata` is included.
    pub validate: fn(&Document) -> Vec<FieldError>,
    /// Everything that is wrong with an update. Arguments: new, old.
    pub validate_update: fn(&Document, &Document) -> Vec<FieldError>,
    /// Everything that is wrong with an update of the status. Arguments: new, old.
    pub validate_status_update: fn(&Document, &Document) -> Vec<FieldError>,
    /// The subresources beside `status` that write a part of the object itself.
    pub subresource_updates: &'static [SubresourceUpdate],
    /// The columns of `kubectl get`.
    pub columns: &'static [Column],
    /// One row of cells, as many as there are columns. `now` is the time that ages count to.
    pub row: fn(&Document, now: jiff::Timestamp) -> Vec<Document>,
    /// Field selectors beside `metadata.name` and `metadata.namespace`: label and value of the field.
    pub selectable_fields: &'static [(&'static str, FieldReader)],
    /// Whether deleting takes a grace period, and which: pods. None: at once. A grace period of 0 holds against
    /// whatever the client asked for: nothing is running that needs one.
    pub default_grace_period: Option<fn(&Document) -> i64>,
    /// Whether PUT of an object that is not there creates it.
    pub allow_create_on_update: bool,
    /// Whether PUT may leave out `metadata.resourceVersion`.
    pub allow_unconditional_update: bool,
}

/// How a subresource such as `ephemeralcontainers` writes its part of an object.
#[derive(Clone, Copy, Debug)]
pub struct SubresourceUpdate {
    /// The last path segment.
    pub name: &'static str,
    /// Takes over from the old object everything that the subresource does not write. Arguments: new, old.
    pub prepare: fn(&mut Document, &Document),
    /// Everything that is wrong with the update, `metadata` included. Arguments: new, old.
    pub validate: fn(&Document, &Document) -> Vec<FieldError>,
}

/// A column of `kubectl get`, as `meta.k8s.io/v1 TableColumnDefinition`.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The header.
    pub name: &'static str,
    /// `string`, `integer`, `date` ...
    pub ty: &'static str,
    /// `name` for the first column, else empty.
    pub format: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Above 0: only with `-o wide`.
    pub priority: i32,
}

/// The strategy of a built-in kind; that of a plain namespaced object where the kind has no rules of its own.
#[must_use]
pub fn strategy_for(group: &str, kind: &str) -> Arc<Strategy> {
    let strategy = match group {
        "" => core(kind),
        "apps" => apps(kind),
        "autoscaling" | "batch" | "policy" => batch_like(kind),
        "events.k8s.io" if kind == "Event" => Some(strategy_of::<event::RegardingEvent>()),
        "networking.k8s.io" | "discovery.k8s.io" => networking(kind),
        "storage.k8s.io" => storage_group(kind),
        "rbac.authorization.k8s.io" | "certificates.k8s.io" => access_like(kind),
        "coordination.k8s.io" if kind == "Lease" => Some(strategy_of::<cluster::Lease>()),
        "scheduling.k8s.io" if kind == "PriorityClass" => Some(strategy_of::<cluster::PriorityClass>()),
        "node.k8s.io" if kind == "RuntimeClass" => Some(strategy_of::<cluster::RuntimeClass>()),
        _ => None,
    };
    Arc::new(strategy.unwrap_or(const { strategy_of::<Generic>() }))
}

fn core(kind: &str) -> Option<Strategy> {
    Some(match kind {
        "ComponentStatus" => strategy_of::<cluster::ComponentStatus>(),
        "ConfigMap" => strategy_of::<cluster::ConfigMap>(),
        "Endpoints" => strategy_of::<network::Endpoints>(),
        "Event" => strategy_of::<event::Event>(),
        "LimitRange" => strategy_of::<cluster::LimitRange>(),
        "Namespace" => strategy_of::<cluster::Namespace>(),
        "Node" => strategy_of::<cluster::Node>(),
        "PersistentVolume" => strategy_of::<storage::PersistentVolume>(),
        "PersistentVolumeClaim" => strategy_of::<storage::PersistentVolumeClaim>(),
        "Pod" => strategy_of::<pod::Pod>(),
        "PodTemplate" => strategy_of::<pod::PodTemplate>(),
        "ReplicationController" => strategy_of::<workloads::ReplicationController>(),
        "ResourceQuota" => strategy_of::<cluster::ResourceQuota>(),
        "Secret" => strategy_of::<cluster::Secret>(),
        "Service" => strategy_of::<service::Service>(),
        "ServiceAccount" => strategy_of::<cluster::ServiceAccount>(),
        _ => return None,
    })
}

fn apps(kind: &str) -> Option<Strategy> {
    Some(match kind {
        "ControllerRevision" => strategy_of::<workloads::ControllerRevision>(),
        "DaemonSet" => strategy_of::<workloads::DaemonSet>(),
        "Deployment" => strategy_of::<workloads::Deployment>(),
        "ReplicaSet" => strategy_of::<workloads::ReplicaSet>(),
        "StatefulSet" => strategy_of::<workloads::StatefulSet>(),
        _ => return None,
    })
}

fn batch_like(kind: &str) -> Option<Strategy> {
    Some(match kind {
        "CronJob" => strategy_of::<batch::CronJob>(),
        "HorizontalPodAutoscaler" => strategy_of::<batch::HorizontalPodAutoscaler>(),
        "Job" => strategy_of::<batch::Job>(),
        "PodDisruptionBudget" => strategy_of::<batch::PodDisruptionBudget>(),
        "Scale" => strategy_of::<batch::Scale>(),
        _ => return None,
    })
}

fn networking(kind: &str) -> Option<Strategy> {
    Some(match kind {
        "EndpointSlice" => strategy_of::<network::EndpointSlice>(),
        "IPAddress" => strategy_of::<network::IpAddress>(),
        "Ingress" => strategy_of::<network::Ingress>(),
        "IngressClass" => strategy_of::<network::IngressClass>(),
        "NetworkPolicy" => strategy_of::<network::NetworkPolicy>(),
        "ServiceCIDR" => strategy_of::<network::ServiceCidr>(),
        _ => return None,
    })
}

fn storage_group(kind: &str) -> Option<Strategy> {
    Some(match kind {
        "CSIDriver" => strategy_of::<storage::CsiDriver>(),
        "CSINode" => strategy_of::<storage::CsiNode>(),
        "CSIStorageCapacity" => strategy_of::<storage::CsiStorageCapacity>(),
        "StorageClass" => strategy_of::<storage::StorageClass>(),
        "VolumeAttachment" => strategy_of::<storage::VolumeAttachment>(),
        "VolumeAttributesClass" => strategy_of::<storage::VolumeAttributesClass>(),
        _ => return None,
    })
}

fn access_like(kind: &str) -> Option<Strategy> {
    Some(match kind {
        "CertificateSigningRequest" => strategy_of::<access::CertificateSigningRequest>(),
        "ClusterRole" => strategy_of::<access::ClusterRole>(),
        "ClusterRoleBinding" => strategy_of::<access::ClusterRoleBinding>(),
        "Role" => strategy_of::<access::Role>(),
        "RoleBinding" => strategy_of::<access::RoleBinding>(),
        _ => return None,
    })
}
