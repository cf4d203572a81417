//! The version 3 document of a group version.

use serde_json::{Map, json};

use super::operations::{Body, Operation, PathItem, paths};
use super::parameters::{PRETTY, Parameter, ParameterType, Place};
use super::schemas::{PATCH, Schemas, group_version_kind};
use super::{Dialect, reachable, roots};
use crate::Document;
use crate::registry::Registry;

/// The whole document.
///
/// Written piece by piece: as one tree of values it would take ten times the memory of its text.
pub(super) fn document(registry: &Registry, group: &str, version: &str) -> String {
    let Some(version) = registry.version(group, version) else {
        return "{}".to_owned();
    };
    let schemas = Schemas::new(registry, Dialect::Version3);
    let mut out = String::from("{\"components\":{\"schemas\":");
    let types = reachable(registry.schema(), roots(registry, version));
    let patch = (PATCH, Schemas::patch_definition());
    write_object(&mut out, schemas.definitions(types).chain([patch]));
    let security = json!({"BearerToken": {
        "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey",
    }});
    out.push_str(&format!(",\"securitySchemes\":{security}}}"));
    let info = json!({"title": "Kubernetes", "version": "v1.35.0"});
    out.push_str(&format!(",\"info\":{info},\"openapi\":\"3.0.0\",\"paths\":"));
    let items = version.kinds.iter().flat_map(|kind| paths(registry, kind));
    let mut items: Vec<PathItem> = items.collect();
    items.sort_by(|left, right| left.path.cmp(&right.path));
    write_object(&mut out, items.iter().map(|item| (item.path.as_str(), path_item(&schemas, item))));
    out.push('}');
    out
}

/// A JSON object of these entries.
pub(super) fn write_object<'a>(out: &mut String, entries: impl Iterator<Item = (&'a str, Document)>) {
    out.push('{');
    for (index, (name, value)) in entries.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        out.push_str(&format!("{comma}{}:{value}", json!(name)));
    }
    out.push('}');
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
    let mut document = json!({
        "description": operation.description,
        "operationId": operation.id,
        "parameters": operation.parameters.iter().map(parameter).collect::<Document>(),
        "responses": responses(schemas, operation),
        "tags": [operation.tag],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": group_version_kind(&operation.gvk),
    });
    if let Some(Body { definition, is_required, media_types }) = &operation.body {
        let schema = json!({"schema": schemas.reference(definition)});
        let content: Map<String, Document> =
            media_types.iter().map(|media_type| ((*media_type).to_owned(), schema.clone())).collect();
        document["requestBody"] = json!({"content": content});
        if *is_required {
            document["requestBody"]["required"] = true.into();
        }
    }
    document
}

fn responses(schemas: &Schemas<'_>, operation: &Operation) -> Document {
    let content = match &operation.reply {
        Some(definition) => json!({"application/json": {"schema": schemas.reference(definition)}}),
        None => json!({"*/*": {"schema": {"type": "string"}}}),
    };
    let mut responses = Map::new();
    for code in operation.codes {
        responses.insert((*code).to_owned(), json!({"description": description(code), "content": content}));
    }
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    responses.into()
}

/// The words of a status code.
pub(super) fn description(code: &str) -> &'static str {
    match code {
        "201" => "Created",
        "202" => "Accepted",
        _ => "OK",
    }
}

fn parameter(parameter: &Parameter) -> Document {
    let (place, is_required) = match parameter.place {
        Place::Query => ("query", false),
        Place::Path => ("path", true),
    };
    let mut document = json!({
        "name": parameter.name,
        "in": place,
        "description": parameter.description,
        "schema": {"type": type_name(parameter.ty)},
    });
    if is_required {
        document["required"] = true.into();
    }
    document
}

/// The JSON type of a parameter.
pub(super) fn type_name(ty: ParameterType) -> &'static str {
    match ty {
        ParameterType::String => "string",
        ParameterType::Integer => "integer",
        ParameterType::Boolean => "boolean",
    }
}
