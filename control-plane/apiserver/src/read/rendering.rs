//! The form in which a client gets objects: whole, as metadata alone, or as rows of a table.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use sheave_api::kind::Kind;

use super::object::Object;
use crate::convert;
use crate::document;
use crate::negotiate::{Accepted, Shape};
use crate::query::Query;
use crate::status::StatusError;

/// How to turn stored objects into what one request asked for.
#[derive(Clone)]
pub(crate) struct Rendering {
    kind: Arc<Kind>,
    shape: Shape,
    include: Include,
    now: Timestamp,
}

/// `includeObject` of a table: what stands beside each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    Nothing,
    Metadata,
    Whole,
}

// === impl Rendering ===

impl Rendering {
    pub(crate) fn new(kind: &Arc<Kind>, accepted: Accepted, query: &Query) -> Result<Self, StatusError> {
        Ok(Self {
            kind: Arc::clone(kind),
            shape: accepted.shape,
            include: Include::parse(query.get("includeObject"))?,
            now: Timestamp::now(),
        })
    }

    /// Whether objects are served exactly as the store presents them.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.shape == Shape::Whole && !convert::is_needed(&self.kind)
    }

    /// One object as a document of its own.
    pub(crate) fn object(&self, object: &Object) -> Bytes {
        match self.shape {
            Shape::Whole => self.whole(object),
            Shape::Metadata(version) => partial("PartialObjectMetadata", version, object),
            Shape::Table(version) => self.table(version, &[object], true),
        }
    }

    /// One object as an element of a list.
    pub(crate) fn item(&self, object: &Object) -> Bytes {
        match self.shape {
            Shape::Whole => self.whole(object),
            Shape::Metadata(version) => partial("PartialObjectMetadata", version, object),
            Shape::Table(_) => self.row(object),
        }
    }

    /// One object of a watch; only the first of a watch repeats the column definitions.
    pub(crate) fn watched(&self, object: &Object, first: bool) -> Bytes {
        match self.shape {
            Shape::Table(version) => self.table(version, &[object], first),
            Shape::Whole | Shape::Metadata(_) => self.object(object),
        }
    }

    /// What comes before the first item of a list with this `metadata`.
    pub(crate) fn list_head(&self, metadata: &Value) -> Bytes {
        let head = match self.shape {
            Shape::Whole => list_head(&format!("{}List", self.kind.gvk.kind), &api_version(&self.kind), metadata),
            Shape::Metadata(version) => list_head("PartialObjectMetadataList", version, metadata),
            Shape::Table(version) => self.table_head(version, metadata, true),
        };
        Bytes::from(head)
    }

    /// An object of this rendering's type that has no content but `metadata`: a bookmark.
    pub(crate) fn empty(&self, metadata: &Value) -> Bytes {
        let document = match self.shape {
            Shape::Whole => {
                json!({"kind": self.kind.gvk.kind, "apiVersion": api_version(&self.kind), "metadata": metadata})
            }
            Shape::Metadata(version) => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": metadata})
            }
            Shape::Table(version) => {
                let row = json!({"cells": [], "object":
                    {"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": metadata}});
                json!({"kind": "Table", "apiVersion": version, "metadata": metadata, "columnDefinitions": [], "rows": [row]})
            }
        };
        Bytes::from(document.to_string())
    }

    fn whole(&self, object: &Object) -> Bytes {
        if !convert::is_needed(&self.kind) {
            return object.bytes().clone();
        }
        Bytes::from(convert::to_served(&self.kind, object.document()).to_string())
    }

    fn table(&self, version: &str, objects: &[&Object], columns: bool) -> Bytes {
        let version_of_last = objects.last().map(|object| object.metadata()["metadata"]["resourceVersion"].clone());
        let mut table = self.table_head(version, &json!({"resourceVersion": version_of_last}), columns);
        for (index, object) in objects.iter().enumerate() {
            if index > 0 {
                table.push(b',');
            }
            table.extend_from_slice(&self.row(object));
        }
        table.extend_from_slice(b"]}");
        Bytes::from(table)
    }

    fn table_head(&self, version: &str, metadata: &Value, columns: bool) -> Vec<u8> {
        let columns: Vec<Value> = if columns { self.columns() } else { Vec::new() };
        let columns = Value::from(columns);
        format!(
            r#"{{"kind":"Table","apiVersion":"{version}","metadata":{metadata},"columnDefinitions":{columns},"rows":["#
        )
        .into_bytes()
    }

    fn columns(&self) -> Vec<Value> {
        self.kind
            .strategy
            .columns
            .iter()
            .map(|column| {
                json!({"name": column.name, "type": column.ty, "format": column.format,
                    "description": column.description, "priority": column.priority})
            })
            .collect()
    }

    fn row(&self, object: &Object) -> Bytes {
        let cells = (self.kind.strategy.row)(&convert::to_served(&self.kind, object.document()), self.now);
        let cells = Value::from(cells);
        let row = match self.include {
            Include::Nothing => format!(r#"{{"cells":{cells},"object":null}}"#).into_bytes(),
            Include::Metadata => beside(&cells, &partial("PartialObjectMetadata", "meta.k8s.io/v1", object)),
            Include::Whole => beside(&cells, &self.whole(object)),
        };
        Bytes::from(row)
    }
}

impl Include {
    fn parse(value: Option<&str>) -> Result<Self, StatusError> {
        match value {
            None | Some("" | "Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::Nothing),
            Some("Object") => Ok(Self::Whole),
            Some(other) => Err(StatusError::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

/// `apps/v1`, or `v1` in the core group.
pub(crate) fn api_version(kind: &Kind) -> String {
    match kind.gvk.group.as_str() {
        "" => kind.gvk.version.clone(),
        group => format!("{group}/{}", kind.gvk.version),
    }
}

fn beside(cells: &Value, object: &Bytes) -> Vec<u8> {
    let mut row = format!(r#"{{"cells":{cells},"object":"#).into_bytes();
    row.extend_from_slice(object);
    row.push(b'}');
    row
}

fn list_head(kind: &str, api_version: &str, metadata: &Value) -> Vec<u8> {
    format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#).into_bytes()
}

/// The metadata of an object, cut out of its bytes.
fn partial(kind: &str, api_version: &str, object: &Object) -> Bytes {
    let mut bytes = format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":"#).into_bytes();
    bytes.extend_from_slice(document::metadata(object.bytes()).as_deref().unwrap_or(b"{}"));
    bytes.push(b'}');
    Bytes::from(bytes)
}
