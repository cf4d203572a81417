//! What the API server does to a document of a kind beside storing it.

use crate::Document;
use crate::field::FieldError;

/// The rules of a kind. The functions are pure and never panic, whatever the document holds.
#[derive(Clone)]
pub struct Strategy {
    /// Fills in what the user left out, as Kubernetes' defaults for this version do.
    pub default: fn(&mut Document),
    /// Before validation of a new object: drops what a client may not set (status), sets generation 1, and so on.
    pub prepare_create: fn(&mut Document),
    /// Before validation of an update: carries over what an update may not change, bumps `metadata.generation` when
    /// the spec changed. Arguments: new, old.
    pub prepare_update: fn(&mut Document, &Document),
    /// As `prepare_update` for the status subresource: everything but status (and managed fields) is the old one's.
    pub prepare_status_update: fn(&mut Document, &Document),
    /// Everything that is wrong with a new object, at once. `metadata` is included.
    pub validate: fn(&Document) -> Vec<FieldError>,
    /// Everything that is wrong with an update. Arguments: new, old.
    pub validate_update: fn(&Document, &Document) -> Vec<FieldError>,
    /// The columns of `kubectl get`.
    pub columns: &'static [Column],
    /// One row of cells, as many as there are columns. `now` is the time that ages count to.
    pub row: fn(&Document, now: jiff::Timestamp) -> Vec<Document>,
    /// Field selectors beside `metadata.name` and `metadata.namespace`: label and value of the field.
    pub selectable_fields: &'static [(&'static str, fn(&Document) -> String)],
    /// Whether deleting takes a grace period, and which: pods. None: at once.
    pub default_grace_period: Option<fn(&Document) -> i64>,
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
