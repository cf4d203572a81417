//! The version 2 document of all groups.

use serde_json::{Map, json};

use super::operations::{Operation, PathItem, paths};
use super::parameters::{PRETTY, Parameter, Place};
use super::schemas::{PATCH, Schemas, group_version_kind};
use super::version3::{description, type_name, write_object};
use super::{Dialect, gnostic, reachable, roots};
use crate::Document;
use crate::registry::Registry;
use crate::schema::TypeId;

/// The document as JSON.
pub(super) fn json(registry: &Registry) -> String {
    let schemas = Schemas::new(registry, Dialect::Version2);
    let mut out = String::from("{\"definitions\":");
    write_object(&mut out, definitions(&schemas, registry));
    let info = json!({"title": "Kubernetes", "version": "v1.35.0"});
    out.push_str(&format!(",\"info\":{info},\"paths\":"));
    let items = path_items(registry);
    write_object(&mut out, items.iter().map(|item| (item.path.as_str(), path_item(&schemas, item))));
    let security = json!({"BearerToken": {
        "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey",
    }});
    out.push_str(&format!(
        ",\"security\":[{{\"BearerToken\":[]}}],\"securityDefinitions\":{security},\"swagger\":\"2.0\"}}"
    ));
    out
}

/// The document as gnostic's protobuf.
pub(super) fn protobuf(registry: &Registry) -> Vec<u8> {
    let schemas = Schemas::new(registry, Dialect::Version2);
    let items = path_items(registry);
    gnostic::document(
        items.iter().map(|item| (item.path.as_str(), path_item(&schemas, item))),
        definitions(&schemas, registry),
    )
}

fn definitions<'a>(schemas: &Schemas<'a>, registry: &'a Registry) -> impl Iterator<Item = (&'a str, Document)> {
    let versions = registry.groups().iter().flat_map(|group| &group.versions);
    let roots: Vec<TypeId> = versions.flat_map(|version| roots(registry, version)).collect();
    let patch = (PATCH, Schemas::patch_definition());
    schemas.definitions(reachable(registry.schema(), roots)).chain([patch])
}

fn path_items(registry: &Registry) -> Vec<PathItem> {
    let mut items: Vec<PathItem> = registry.kinds().flat_map(|kind| paths(registry, kind)).collect();
    items.sort_by(|left, right| left.path.cmp(&right.path));
    items
}

fn path_item(schemas: &Schemas<'_>, item: &PathItem) -> Document {
    let mut document = Map::new();
    let parameters = item.parameters.iter().chain([&PRETTY]).map(parameter);
    document.insert("parameters".to_owned(), parameters.collect());
    for operation in &item.operations {
        document.insert(operation.method.to_owned(), self::operation(schemas, operation));
    }
    document.into()
}

fn operation(schemas: &Schemas<'_>, operation: &Operation) -> Document {
    let mut parameters: Vec<Document> = operation.parameters.iter().map(parameter).collect();
    let mut consumes: &[&str] = &["*/*"];
    if let Some(body) = &operation.body {
        consumes = body.media_types;
        let mut parameter = json!({"name": "body", "in": "body", "schema": schemas.reference(&body.definition)});
        if body.is_required {
            parameter["required"] = true.into();
        }
        parameters.push(parameter);
    }
    json!({
        "consumes": consumes,
        "description": operation.description,
        "operationId": operation.id,
        "parameters": parameters,
        "produces": [if operation.reply.is_some() { "application/json" } else { "*/*" }],
        "responses": responses(schemas, operation),
        "schemes": ["https"],
        "tags": [operation.tag],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": group_version_kind(&operation.gvk),
    })
}

fn responses(schemas: &Schemas<'_>, operation: &Operation) -> Document {
    let schema = match &operation.reply {
        Some(definition) => schemas.reference(definition),
        None => json!({"type": "string"}),
    };
    let mut responses = Map::new();
    for code in operation.codes {
        responses.insert((*code).to_owned(), json!({"description": description(code), "schema": schema}));
    }
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    responses.into()
}

fn parameter(parameter: &Parameter) -> Document {
    let mut document = json!({
        "name": parameter.name,
        "description": parameter.description,
        "type": type_name(parameter.ty),
        "uniqueItems": true,
    });
    match parameter.place {
        Place::Query => document["in"] = "query".into(),
        Place::Path => {
            document["in"] = "path".into();
            document["required"] = true.into();
        }
    }
    document
}
