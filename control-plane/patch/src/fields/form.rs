//! The `FieldsV1` form of a set: `{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{}}}}}`.

use serde_json::Map;
use sheave_api::Document;
use thiserror::Error;

use super::{FieldSet, PathElement, Scalar};

/// Why a document is no `FieldsV1`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormError {
    /// Neither an object nor null.
    #[error("a set of fields must be an object")]
    NotAnObject,
    /// A key that names no path element.
    #[error("cannot read the path element {0:?}")]
    BadElement(String),
}

// === impl FieldSet ===

impl FieldSet {
    /// Reads the `FieldsV1` form. Kinds of path elements that are not known are passed over, as Kubernetes does.
    ///
    /// # Errors
    /// The document is not of that form.
    pub fn parse(document: &Document) -> Result<Self, FormError> {
        Ok(parse(document)?.1)
    }

    /// The `FieldsV1` form.
    #[must_use]
    pub fn to_document(&self) -> Document {
        Document::Object(self.form(false))
    }

    fn form(&self, includes_itself: bool) -> Map<String, Document> {
        let mut form = Map::new();
        if includes_itself && !self.is_empty() {
            form.insert(".".to_owned(), Document::Object(Map::new()));
        }
        for (element, is_member, below) in self.steps() {
            form.insert(element.form(), Document::Object(below.form(is_member)));
        }
        form
    }
}

/// Whether the object stands for its own path, and the set below it.
fn parse(document: &Document) -> Result<(bool, FieldSet), FormError> {
    let entries = match document {
        Document::Null => return Ok((true, FieldSet::default())),
        Document::Object(entries) => entries,
        Document::Bool(_) | Document::Number(_) | Document::String(_) | Document::Array(_) => {
            return Err(FormError::NotAnObject);
        }
    };
    let mut set = FieldSet::default();
    for (key, value) in entries.iter().filter(|(key, _)| *key != ".") {
        if let Some(element) = PathElement::parse(key)? {
            let (is_member, below) = parse(value)?;
            set.graft(element, is_member, below);
        }
    }
    Ok((entries.contains_key(".") || set.is_empty(), set))
}

// === impl PathElement ===

impl PathElement {
    fn form(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let keys = keys.iter().map(|(name, value)| (name.clone(), value.to_document()));
                format!("k:{}", Document::Object(keys.collect()))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// None for a kind of element that is not known.
    fn parse(text: &str) -> Result<Option<Self>, FormError> {
        let bad = || FormError::BadElement(text.to_owned());
        let (kind, rest) = text.split_once(':').filter(|(kind, _)| kind.len() == 1).ok_or_else(bad)?;
        Ok(Some(match kind {
            "f" => Self::Field(rest.to_owned()),
            "k" => Self::parse_key(rest).ok_or_else(bad)?,
            "v" => {
                let value = serde_json::from_str(rest).map_err(|_| bad())?;
                Self::Value(Scalar::of(&value).ok_or_else(bad)?)
            }
            "i" => Self::Index(rest.parse().map_err(|_| bad())?),
            _ => return Ok(None),
        }))
    }

    fn parse_key(text: &str) -> Option<Self> {
        let Ok(Document::Object(fields)) = serde_json::from_str(text) else { return None };
        let mut keys =
            fields.iter().map(|(name, value)| Some((name.clone(), Scalar::of(value)?))).collect::<Option<Vec<_>>>()?;
        keys.sort();
        Some(Self::Key(keys))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_element_survives_the_round_trip() {
        let form = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app.kubernetes.io/name": {}}, "f:finalizers": {"v:\"a\\\"b\"": {}}},
            "f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}, "i:3": {}},
            "f:numbers": {"v:1": {}, "v:1.5": {}, "v:null": {}, "v:true": {}},
        });
        let set = FieldSet::parse(&form).unwrap();
        assert_eq!(set.to_document(), form);
        let paths = set.paths().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(paths.contains(&".spec.ports[containerPort=80,protocol=\"TCP\"].name".to_owned()), "{paths:?}");
        assert!(paths.contains(&".metadata.finalizers[=\"a\\\"b\"]".to_owned()), "{paths:?}");
        assert!(!paths.contains(&".metadata".to_owned()), "a parent without a dot is no member");
    }

    #[test]
    fn equal_sets_have_equal_forms_however_their_keys_and_numbers_were_written() {
        let one = FieldSet::parse(&json!({"k:{\"b\":1.0,\"a\":2}": {}})).unwrap();
        let other = FieldSet::parse(&json!({"k:{\"a\":2,\"b\":1}": {".": {}}})).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.to_document(), json!({"k:{\"a\":2,\"b\":1}": {}}));
    }

    #[test]
    fn what_is_not_of_the_form_is_refused_and_what_is_unknown_is_passed_over() {
        for bad in [
            json!([]),
            json!({"f": {}}),
            json!({"v:{}": {}}),
            json!({"k:[]": {}}),
            json!({"i:x": {}}),
            json!({"f:a": 1}),
        ] {
            assert!(FieldSet::parse(&bad).is_err(), "{bad}");
        }
        assert!(FieldSet::parse(&json!({"z:future": {"f:a": {}}})).unwrap().is_empty());
    }
}
