//! `metadata.managedFields`: who set which fields, how and when.

use std::collections::BTreeMap;

use serde_json::{Map, json};
use sheave_api::Document;
use thiserror::Error;

use crate::fields::{FieldSet, FormError};

/// Every manager of a document with the fields that it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managers(BTreeMap<ManagerId, Managed>);

/// What makes two writes the same manager's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManagerId {
    /// The `fieldManager` of the writes.
    pub name: String,
    /// How it writes.
    pub operation: Operation,
    /// `apps/v1`; empty for appliers, who stay the same manager when they change the version.
    pub api_version: String,
    /// The subresource through which it writes; empty for the object itself.
    pub subresource: String,
}

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// In any other way.
    Update,
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// Its fields.
    pub fields: FieldSet,
    /// The API version in which the fields are named.
    pub api_version: String,
    /// When the entry last changed, RFC 3339; none in entries that came without.
    pub time: Option<String>,
}

/// Why `managedFields` cannot be read.
#[derive(Debug, Error)]
pub enum ManagedFieldsError {
    /// Neither a list nor absent, or an entry that is no object.
    #[error("managedFields must be a list of objects")]
    NotAList,
    /// An operation that is not known.
    #[error("operation must be `Apply` or `Update`")]
    BadOperation,
    /// An entry without a version.
    #[error("apiVersion must not be empty")]
    NoVersion,
    /// An entry whose fields are in another form.
    #[error("invalid fieldsType {fields_type:?} in managed fields entry {index}")]
    BadFieldsType {
        /// What it says.
        fields_type: String,
        /// Which entry.
        index: usize,
    },
    /// A set of fields that cannot be read.
    #[error("error decoding set of managed fields entry {index}")]
    BadFields {
        /// Which entry.
        index: usize,
        /// Why.
        #[source]
        source: FormError,
    },
}

// === impl Managers ===

impl Managers {
    /// Reads `metadata.managedFields` of a document; none at all where it is absent.
    ///
    /// # Errors
    /// An entry is not of the form that a server writes.
    pub fn of(document: &Document) -> Result<Self, ManagedFieldsError> {
        match document.pointer("/metadata/managedFields") {
            None | Some(Document::Null) => Ok(Self::default()),
            Some(Document::Array(entries)) => entries.iter().enumerate().map(|(i, entry)| parse(i, entry)).collect(),
            Some(_) => Err(ManagedFieldsError::NotAList),
        }
    }

    /// Writes `metadata.managedFields`, or removes it where nobody manages anything.
    pub fn write_to(&self, document: &mut Document) {
        let Some(document) = document.as_object_mut() else { return };
        let metadata = document.entry("metadata").or_insert_with(|| Document::Object(Map::new()));
        let Some(metadata) = metadata.as_object_mut() else { return };
        if self.0.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), self.to_document());
        }
    }

    /// The list as it stands in a document: appliers first, then the oldest first.
    #[must_use]
    pub fn to_document(&self) -> Document {
        let mut entries = self.0.iter().collect::<Vec<_>>();
        entries.sort_by_cached_key(|(id, managed)| {
            (id.operation, managed.seconds(), id.name.clone(), managed.api_version.clone(), id.subresource.clone())
        });
        Document::Array(entries.into_iter().map(|(id, managed)| entry(id, managed)).collect())
    }

    /// Whether nobody manages anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the manager owns.
    #[must_use]
    pub fn get(&self, id: &ManagerId) -> Option<&Managed> {
        self.0.get(id)
    }

    /// Every manager, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ManagerId, &Managed)> {
        self.0.iter()
    }

    /// Sets what a manager owns; a manager that owns nothing is forgotten.
    pub(crate) fn set(&mut self, id: ManagerId, managed: Managed) {
        if managed.fields.is_empty() {
            self.0.remove(&id);
        } else {
            self.0.insert(id, managed);
        }
    }

    pub(crate) fn remove(&mut self, id: &ManagerId) -> Option<Managed> {
        self.0.remove(id)
    }
}

impl FromIterator<(ManagerId, Managed)> for Managers {
    fn from_iter<I: IntoIterator<Item = (ManagerId, Managed)>>(entries: I) -> Self {
        Self(entries.into_iter().filter(|(_, managed)| !managed.fields.is_empty()).collect())
    }
}

fn parse(index: usize, entry: &Document) -> Result<(ManagerId, Managed), ManagedFieldsError> {
    let entry = entry.as_object().ok_or(ManagedFieldsError::NotAList)?;
    let text = |name: &str| entry.get(name).and_then(Document::as_str).unwrap_or_default().to_owned();
    let operation = Operation::parse(&text("operation")).ok_or(ManagedFieldsError::BadOperation)?;
    let api_version = Some(text("apiVersion")).filter(|version| !version.is_empty());
    let api_version = api_version.ok_or(ManagedFieldsError::NoVersion)?;
    let fields_type = text("fieldsType");
    if fields_type != "FieldsV1" {
        return Err(ManagedFieldsError::BadFieldsType { fields_type, index });
    }
    let fields = match entry.get("fieldsV1") {
        Some(form) => FieldSet::parse(form).map_err(|source| ManagedFieldsError::BadFields { index, source })?,
        None => FieldSet::default(),
    };
    let id = ManagerId::new(&text("manager"), operation, &api_version, &text("subresource"));
    Ok((id, Managed { fields, api_version, time: entry.get("time").and_then(Document::as_str).map(str::to_owned) }))
}

fn entry(id: &ManagerId, managed: &Managed) -> Document {
    let mut entry = Map::new();
    entry.insert("manager".to_owned(), json!(id.name));
    entry.insert("operation".to_owned(), json!(id.operation.as_str()));
    entry.insert("apiVersion".to_owned(), json!(managed.api_version));
    if let Some(time) = &managed.time {
        entry.insert("time".to_owned(), json!(time));
    }
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), managed.fields.to_document());
    if !id.subresource.is_empty() {
        entry.insert("subresource".to_owned(), json!(id.subresource));
    }
    Document::Object(entry)
}

// === impl ManagerId ===

impl ManagerId {
    /// The manager of a write in `api_version`.
    #[must_use]
    pub fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = match operation {
            Operation::Apply => String::new(),
            Operation::Update => api_version.to_owned(),
        };
        Self { name: name.to_owned(), operation, api_version, subresource: subresource.to_owned() }
    }
}

/// As in conflicts: `"kubectl-scale" with subresource "scale" using apps/v1`.
impl std::fmt::Display for ManagerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.name)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.api_version),
        }
    }
}

// === impl Operation ===

impl Operation {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "Apply" => Some(Self::Apply),
            "Update" => Some(Self::Update),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

// === impl Managed ===

impl Managed {
    /// The time in seconds since 1970; 0 for an entry without one, which so counts as the oldest.
    pub(crate) fn seconds(&self) -> i64 {
        let time = self.time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.map_or(0, jiff::Timestamp::as_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(entries: Document) -> Document {
        json!({"metadata": {"managedFields": entries}})
    }

    #[test]
    fn entries_survive_the_round_trip_in_kubernetes_order() {
        let entries = json!([
            {"manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-02T00:00:00Z",
             "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "z-first", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
             "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            {"manager": "a-later", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-03T00:00:00Z",
             "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}, "subresource": "status"},
        ]);
        assert_eq!(Managers::of(&with(entries.clone())).unwrap().to_document(), entries);
    }

    #[test]
    fn what_no_server_writes_is_refused_with_its_reason() {
        let entry = |change: Document| {
            let mut entry =
                json!({"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"});
            json_patch::merge(&mut entry, &change);
            Managers::of(&with(json!([entry]))).unwrap_err().to_string()
        };
        assert_eq!(entry(json!({"operation": "Patch"})), "operation must be `Apply` or `Update`");
        assert_eq!(entry(json!({"apiVersion": null})), "apiVersion must not be empty");
        assert_eq!(entry(json!({"fieldsType": "x"})), "invalid fieldsType \"x\" in managed fields entry 0");
        assert_eq!(entry(json!({"fieldsV1": {"x": {}}})), "error decoding set of managed fields entry 0");
        assert!(Managers::of(&with(json!({}))).is_err());
    }

    #[test]
    fn a_document_that_nobody_manages_has_no_list() {
        let mut document = with(json!([]));
        Managers::of(&document).unwrap().write_to(&mut document);
        assert_eq!(document, json!({"metadata": {}}));
    }
}
