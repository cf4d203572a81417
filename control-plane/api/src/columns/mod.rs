//! The columns and cells of `kubectl get`, as the printers of Kubernetes 1.32 to 1.35 make them.

pub(crate) mod access;
pub(crate) mod cluster;
pub(crate) mod network;
pub(crate) mod pod;
pub(crate) mod storage;
pub(crate) mod workloads;

use jiff::Timestamp;

use crate::Document;
use crate::selector::LabelSelector;
use crate::strategy::Column;
use crate::time;
use crate::view::View;

/// What a cell shows where there is nothing.
pub(crate) const NONE: &str = "<none>";

/// What a cell shows where a value must be, but is not.
pub(crate) const UNKNOWN: &str = "<unknown>";

/// The columns of a kind and the cells of an object.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    /// The headers, in order.
    pub(crate) columns: &'static [Column],
    /// The cells of an object, as many as there are columns; ages count to the given time.
    pub(crate) row: fn(&Document, Timestamp) -> Vec<Document>,
}

/// The name of the object; the first column of nearly every kind.
pub(crate) const NAME: Column = Column {
    name: "Name",
    ty: "string",
    format: "name",
    description: "The name of the object, unique among those of its kind in its namespace.",
    priority: 0,
};

/// How long ago the object was created.
pub(crate) const AGE: Column = text("Age", "How long ago the object was created.");

/// For kinds without columns of their own.
pub(crate) const GENERIC: Table =
    Table { columns: &[NAME, AGE], row: |object, now| cells([name(object), age(object, now)]) };

/// A column of texts.
pub(crate) const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "string", format: "", description, priority: 0 }
}

/// A column of integers.
pub(crate) const fn integer(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "integer", format: "", description, priority: 0 }
}

/// A column of booleans.
pub(crate) const fn boolean(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "boolean", format: "", description, priority: 0 }
}

/// The same column, but only with `-o wide`.
pub(crate) const fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

/// The cells of a row.
pub(crate) fn cells<const COUNT: usize>(cells: [Document; COUNT]) -> Vec<Document> {
    cells.into()
}

/// The object's name.
pub(crate) fn name(object: &Document) -> Document {
    object.text("metadata.name").into()
}

/// The object's age.
pub(crate) fn age(object: &Document, now: Timestamp) -> Document {
    time::age(object.at("metadata.creationTimestamp"), now).into()
}

/// The text at `path`, or `absent`.
pub(crate) fn text_or(object: &Document, path: &str, absent: &str) -> Document {
    match object.text(path) {
        "" => absent.into(),
        text => text.into(),
    }
}

/// The integer at `path`; 0 where there is none.
pub(crate) fn count(object: &Document, path: &str) -> Document {
    object.int(path).unwrap_or_default().into()
}

/// A map as `a=b,c=d`, or `<none>`.
pub(crate) fn map(map: &Document) -> String {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}

/// A `LabelSelector` object as text, or `<none>`.
pub(crate) fn selector(selector: &Document) -> String {
    if !selector.is_object() {
        return NONE.to_owned();
    }
    match LabelSelector::from_object(selector) {
        Ok(parsed) if parsed.is_empty() => NONE.to_owned(),
        Ok(parsed) => parsed.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

/// The names and the images of the containers of a pod spec, each joined by commas.
pub(crate) fn containers(pod_spec: &Document) -> (String, String) {
    let join = |field: &str| {
        let texts: Vec<&str> = pod_spec.list("containers").iter().map(|container| container.text(field)).collect();
        texts.join(",")
    };
    (join("name"), join("image"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_without_columns_shows_name_and_age() {
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2024-01-01T00:00:00Z"}});
        let now = time::parse("2024-01-03T00:00:00Z").unwrap();
        assert_eq!((GENERIC.row)(&object, now), [json!("a"), json!("2d")]);
        assert_eq!((GENERIC.row)(&json!(null), now), [json!(""), json!("<unknown>")]);
    }

    #[test]
    fn selectors_and_maps_are_shown_as_text() {
        assert_eq!(map(&json!({"b": "2", "a": "1"})), "a=1,b=2");
        assert_eq!(map(&json!(null)), "<none>");
        assert_eq!(selector(&json!({"matchLabels": {"app": "web"}})), "app=web");
        let set = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}]});
        assert_eq!(selector(&set), "a in (x,y)");
        assert_eq!(selector(&json!({})), "<none>");
    }
}
