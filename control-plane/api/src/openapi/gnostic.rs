//! Version 2 in the protobuf of gnostic (`openapiv2/OpenAPIv2.proto`), which Helm 3 and older kubectls insist on.
//!
//! It has a message for every object of the JSON form. Extensions are texts of YAML; JSON is YAML.

use crate::Document;
use crate::protobuf::wire::Writer;

/// The document of these paths and definitions.
pub(super) fn document<'a>(
    paths: impl Iterator<Item = (&'a str, Document)>,
    definitions: impl Iterator<Item = (&'a str, Document)>,
) -> Vec<u8> {
    let mut document = Writer::default();
    document.bytes(1, b"2.0");
    document.message(2, |info| {
        info.bytes(1, b"Kubernetes");
        info.bytes(2, b"v1.35.0");
    });
    document.message(8, |out| {
        for (path, item) in paths {
            out.message(2, |named| {
                named.bytes(1, path.as_bytes());
                named.message(2, |out| path_item(out, &item));
            });
        }
    });
    document.message(9, |out| {
        for (name, definition) in definitions {
            out.message(1, |named| {
                named.bytes(1, name.as_bytes());
                named.message(2, |out| schema(out, &definition));
            });
        }
    });
    document.into_bytes()
}

fn path_item(out: &mut Writer, item: &Document) {
    for (number, method) in
        [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")]
    {
        if let Some(found) = item.get(method) {
            out.message(number, |out| operation(out, found));
        }
    }
    for found in list(item, "parameters") {
        out.message(9, |out| parameter(out, found));
    }
}

fn operation(out: &mut Writer, operation: &Document) {
    texts(out, 1, operation, "tags");
    text(out, 3, operation, "description");
    text(out, 5, operation, "operationId");
    texts(out, 6, operation, "produces");
    texts(out, 7, operation, "consumes");
    for found in list(operation, "parameters") {
        out.message(8, |out| parameter(out, found));
    }
    out.message(9, |out| {
        for (code, found) in entries(operation, "responses") {
            out.message(1, |named| {
                named.bytes(1, code.as_bytes());
                named.message(2, |value| value.message(1, |out| response(out, found)));
            });
        }
    });
    texts(out, 10, operation, "schemes");
    extensions(out, 13, operation);
}

/// An item of a list of parameters, which is a parameter rather than a reference.
fn parameter(out: &mut Writer, parameter: &Document) {
    out.message(1, |out| match parameter["in"].as_str() {
        Some("body") => out.message(1, |body| {
            text(body, 2, parameter, "name");
            text(body, 3, parameter, "in");
            flag(body, 4, parameter, "required");
            body.message(5, |out| schema(out, &parameter["schema"]));
        }),
        Some("path") => out.message(2, |out| {
            out.message(4, |path| {
                common_parameter(path, parameter);
                text(path, 5, parameter, "type");
                flag(path, 18, parameter, "uniqueItems");
            });
        }),
        _ => out.message(2, |out| {
            out.message(3, |query| {
                common_parameter(query, parameter);
                text(query, 6, parameter, "type");
                flag(query, 20, parameter, "uniqueItems");
            });
        }),
    });
}

fn common_parameter(out: &mut Writer, parameter: &Document) {
    flag(out, 1, parameter, "required");
    text(out, 2, parameter, "in");
    text(out, 3, parameter, "description");
    text(out, 4, parameter, "name");
}

fn response(out: &mut Writer, response: &Document) {
    text(out, 1, response, "description");
    if let Some(found) = response.get("schema") {
        out.message(2, |item| item.message(1, |out| schema(out, found)));
    }
}

fn schema(out: &mut Writer, schema: &Document) {
    text(out, 1, schema, "$ref");
    text(out, 2, schema, "format");
    text(out, 4, schema, "description");
    if let Some(default) = schema.get("default") {
        out.message(5, |any| any.bytes(2, default.to_string().as_bytes()));
    }
    texts(out, 19, schema, "required");
    if let Some(values) = schema.get("additionalProperties") {
        out.message(21, |item| item.message(1, |out| self::schema(out, values)));
    }
    if schema.get("type").is_some() {
        out.message(22, |item| text(item, 1, schema, "type"));
    }
    if let Some(items) = schema.get("items") {
        out.message(23, |item| item.message(1, |out| self::schema(out, items)));
    }
    if schema.get("properties").is_some() {
        out.message(25, |out| {
            for (name, property) in entries(schema, "properties") {
                out.message(1, |named| {
                    named.bytes(1, name.as_bytes());
                    named.message(2, |out| self::schema(out, property));
                });
            }
        });
    }
    extensions(out, 31, schema);
}

fn extensions(out: &mut Writer, number: u32, document: &Document) {
    for (name, value) in document.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        out.message(number, |named| {
            named.bytes(1, name.as_bytes());
            named.message(2, |any| any.bytes(2, value.to_string().as_bytes()));
        });
    }
}

fn text(out: &mut Writer, number: u32, document: &Document, name: &str) {
    if let Some(text) = document[name].as_str() {
        out.bytes(number, text.as_bytes());
    }
}

fn texts(out: &mut Writer, number: u32, document: &Document, name: &str) {
    list(document, name).iter().filter_map(Document::as_str).for_each(|text| out.bytes(number, text.as_bytes()));
}

fn flag(out: &mut Writer, number: u32, document: &Document, name: &str) {
    if document[name].as_bool() == Some(true) {
        out.integer(number, 1);
    }
}

fn list<'a>(document: &'a Document, name: &str) -> &'a [Document] {
    document[name].as_array().map_or(&[], Vec::as_slice)
}

fn entries<'a>(document: &'a Document, name: &str) -> impl Iterator<Item = (&'a String, &'a Document)> {
    document[name].as_object().into_iter().flatten()
}
