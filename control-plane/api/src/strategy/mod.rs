//! What the API server does to a document of a kind beside storing it.

mod rules;

use std::sync::Arc;

use crate::Document;
use crate::field::FieldError;

use rules::{Generic, GenericCluster, strategy_of};

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
    Arc::new(match (group, kind) {
        ("", "Namespace" | "Node" | "PersistentVolume" | "ComponentStatus")
        | ("rbac.authorization.k8s.io", "ClusterRole" | "ClusterRoleBinding")
        | ("scheduling.k8s.io" | "node.k8s.io" | "certificates.k8s.io" | "admissionregistration.k8s.io", _)
        | ("flowcontrol.apiserver.k8s.io" | "apiregistration.k8s.io" | "apiextensions.k8s.io", _)
        | ("storage.k8s.io", "StorageClass" | "VolumeAttachment" | "CSINode" | "CSIDriver" | "VolumeAttributesClass")
        | ("networking.k8s.io", "IngressClass" | "ServiceCIDR" | "IPAddress") => strategy_of::<GenericCluster>(),
        _ => strategy_of::<Generic>(),
    })
}
