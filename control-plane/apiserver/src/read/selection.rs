//! Which objects of a collection a request is about: label and field selectors together.

use std::sync::Arc;

use sheave_api::kind::Kind;
use sheave_api::selector::{FieldSelector, LabelSelector};
use sheave_api::view::View;

use super::object::Object;
use crate::convert;
use crate::query::ListOptions;
use crate::status::StatusError;

/// Label and field selectors of a request, checked against the kind.
#[derive(Clone)]
pub(crate) struct Selection {
    kind: Arc<Kind>,
    labels: LabelSelector,
    fields: FieldSelector,
    /// The name in the path of a deprecated `/watch/...` request.
    only_name: Option<String>,
}

// === impl Selection ===

impl Selection {
    /// Parses both selectors; every field must be one that the kind can be selected by.
    pub(crate) fn parse(kind: &Arc<Kind>, options: &ListOptions) -> Result<Self, StatusError> {
        let labels = LabelSelector::parse(&options.label_selector)
            .map_err(|error| StatusError::bad_request(format!("unable to parse requirement: {error}")))?;
        let fields = FieldSelector::parse(&options.field_selector)
            .and_then(|fields| fields.check(|field| is_known(kind, field)).map(|()| fields))
            .map_err(|error| StatusError::bad_request(error.to_string()))?;
        Ok(Self { kind: Arc::clone(kind), labels, fields, only_name: None })
    }

    /// The same selection of the objects called `name` only.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.only_name = Some(name.to_owned());
        self
    }

    /// Whether every object is selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty() && self.only_name.is_none()
    }

    /// The only namespace that can be selected.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.fields.required("metadata.namespace").filter(|name| !name.is_empty() && !name.contains('/'))
    }

    pub(crate) fn matches(&self, object: &Object) -> bool {
        (self.labels.is_empty() || self.labels.matches(object.metadata().at("metadata.labels")))
            && (self.fields.is_empty() || self.fields.matches(|field| self.field(object, field)))
            && self.only_name.as_deref().is_none_or(|name| object.metadata().text("metadata.name") == name)
    }

    /// The value of one field in the version that the request speaks.
    fn field(&self, object: &Object, field: &str) -> String {
        match field {
            "metadata.name" | "metadata.namespace" => object.metadata().text(field).to_owned(),
            _ => self
                .kind
                .strategy
                .selectable_fields
                .iter()
                .find(|(label, _)| *label == field)
                .map(|(_, value)| value(&convert::to_served(&self.kind, object.document())))
                .unwrap_or_default(),
        }
    }
}

fn is_known(kind: &Kind, field: &str) -> bool {
    matches!(field, "metadata.name" | "metadata.namespace")
        || kind.strategy.selectable_fields.iter().any(|(label, _)| *label == field)
}
