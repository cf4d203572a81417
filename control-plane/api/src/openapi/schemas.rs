//! Types of the arena as JSON schemas.

use std::collections::BTreeMap;

use serde_json::json;

use super::Dialect;
use crate::Document;
use crate::kind::GroupVersionKind;
use crate::registry::Registry;
use crate::schema::{Arena, Field, ListTopology, ObjectType, Scalar, Strategic, Type, TypeId};

/// The request body of a patch; it is no type of the arena.
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// Writes schemas.
pub(super) struct Schemas<'a> {
    arena: &'a Arena,
    dialect: Dialect,
    /// The documents that a definition is the type of.
    documents: BTreeMap<TypeId, Vec<GroupVersionKind>>,
}

// === impl Schemas ===

impl<'a> Schemas<'a> {
    pub(super) fn new(registry: &'a Registry, dialect: Dialect) -> Self {
        let mut documents: BTreeMap<TypeId, Vec<GroupVersionKind>> = BTreeMap::new();
        let mut add = |gvk: GroupVersionKind| {
            if let Some(ty) = registry.type_of(&gvk) {
                let documents = documents.entry(ty).or_default();
                if !documents.contains(&gvk) {
                    documents.push(gvk);
                }
            }
        };
        add(GroupVersionKind::new("", "v1", "Status"));
        for kind in registry.kinds() {
            let sibling = |name: &str| GroupVersionKind { kind: name.to_owned(), ..kind.gvk.clone() };
            add(kind.gvk.clone());
            add(sibling(&kind.list_kind));
            add(sibling("DeleteOptions"));
            kind.subresources.iter().for_each(|subresource| add(subresource.response.clone()));
        }
        Self { arena: registry.schema(), dialect, documents }
    }

    /// The definitions among these types, by name.
    pub(super) fn definitions(
        &self,
        types: impl IntoIterator<Item = TypeId>,
    ) -> impl Iterator<Item = (&'a str, Document)> {
        let named: BTreeMap<&str, TypeId> = types
            .into_iter()
            .filter_map(|id| self.arena.name(id))
            .filter_map(|name| Some((name, self.arena.named(name)?)))
            .collect();
        named.into_iter().map(|(name, id)| (name, self.definition(id)))
    }

    pub(super) fn patch_definition() -> Document {
        json!({
            "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
            "type": "object",
        })
    }

    /// A reference to a definition.
    pub(super) fn reference(&self, name: &str) -> Document {
        match self.dialect {
            Dialect::Version2 => json!({"$ref": format!("#/definitions/{name}")}),
            Dialect::Version3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }

    fn definition(&self, id: TypeId) -> Document {
        let mut schema = self.shape(id);
        let description = self.arena.description(id);
        if !description.is_empty() {
            schema["description"] = description.into();
        }
        if let Some(documents) = self.documents.get(&id) {
            schema["x-kubernetes-group-version-kind"] = documents.iter().map(group_version_kind).collect();
        }
        schema
    }

    /// A type where it is used: a reference when it is a definition.
    fn usage(&self, id: TypeId) -> Document {
        match self.arena.name(id) {
            Some(name) => self.reference(name),
            None => self.shape(id),
        }
    }

    fn shape(&self, id: TypeId) -> Document {
        match self.arena.get(id) {
            Type::Object(object) => self.object(object),
            Type::Map(map) => {
                let mut schema = json!({"type": "object", "additionalProperties": self.usage(map.values)});
                if map.atomic {
                    schema["x-kubernetes-map-type"] = "atomic".into();
                }
                schema
            }
            Type::List(list) => {
                let mut schema = json!({"type": "array", "items": self.usage(list.items)});
                let (topology, keys) = match &list.topology {
                    ListTopology::Atomic => ("atomic", None),
                    ListTopology::Set => ("set", None),
                    ListTopology::Map(keys) => ("map", Some(keys)),
                };
                schema["x-kubernetes-list-type"] = topology.into();
                if let Some(keys) = keys {
                    schema["x-kubernetes-list-map-keys"] = json!(keys);
                }
                schema
            }
            Type::Scalar(scalar) => self.scalar(*scalar),
            Type::Any if self.arena.name(id).is_some() => json!({"type": "object"}),
            Type::Any => json!({"x-kubernetes-preserve-unknown-fields": true}),
        }
    }

    fn object(&self, object: &ObjectType) -> Document {
        let mut schema = json!({"type": "object"});
        if !object.fields.is_empty() {
            schema["properties"] =
                object.fields.iter().map(|(name, field)| (name.clone(), self.field(field))).collect();
        }
        let required: Vec<&String> =
            object.fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if object.atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        if object.preserve_unknown {
            schema["x-kubernetes-preserve-unknown-fields"] = true.into();
        }
        schema
    }

    fn field(&self, field: &Field) -> Document {
        let mut schema = self.usage(field.ty);
        // Version 3 ignores what stands beside a reference.
        if self.dialect == Dialect::Version3 && self.arena.name(field.ty).is_some() {
            schema = json!({"allOf": [schema]});
        }
        if !field.description.is_empty() {
            schema["description"] = field.description.as_ref().into();
        }
        // Upstream's version 2 has no words.
        if self.dialect == Dialect::Version3 && !field.words.is_empty() {
            match self.arena.get(field.ty) {
                Type::List(_) => schema["items"]["enum"] = json!(field.words),
                Type::Object(_) | Type::Map(_) | Type::Scalar(_) | Type::Any => schema["enum"] = json!(field.words),
            }
        }
        if let Some(default) = &field.default {
            schema["default"] = default.clone();
        }
        let strategies = strategies(&field.strategic);
        if !strategies.is_empty() {
            schema["x-kubernetes-patch-strategy"] = strategies.into();
        }
        if let Some(key) = &field.strategic.merge_key {
            schema["x-kubernetes-patch-merge-key"] = key.as_str().into();
        }
        schema
    }

    fn scalar(&self, scalar: Scalar) -> Document {
        match (scalar, self.dialect) {
            (Scalar::String, _) => json!({"type": "string"}),
            (Scalar::Int32, _) => json!({"type": "integer", "format": "int32"}),
            (Scalar::Int64, _) => json!({"type": "integer", "format": "int64"}),
            (Scalar::Number, _) => json!({"type": "number", "format": "double"}),
            (Scalar::Boolean, _) => json!({"type": "boolean"}),
            (Scalar::Bytes, _) => json!({"type": "string", "format": "byte"}),
            (Scalar::Time | Scalar::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
            (Scalar::Quantity, Dialect::Version2) => json!({"type": "string"}),
            (Scalar::Quantity, Dialect::Version3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            (Scalar::IntOrString, Dialect::Version2) => json!({"type": "string", "format": "int-or-string"}),
            (Scalar::IntOrString, Dialect::Version3) => {
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
            }
        }
    }
}

/// The value of `x-kubernetes-group-version-kind`.
pub(super) fn group_version_kind(gvk: &GroupVersionKind) -> Document {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}

fn strategies(strategic: &Strategic) -> String {
    let Strategic { merge, retain_keys, replace, merge_key: _ } = strategic;
    let named = [("merge", *merge), ("retainKeys", *retain_keys), ("replace", *replace)];
    let names: Vec<&str> = named.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    names.join(",")
}
