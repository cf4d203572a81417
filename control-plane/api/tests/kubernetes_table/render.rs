//! Joins schemas and messages, and writes the table.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::definitions::WITHOUT_LIST;
use super::enums;
use super::messages::{Markers, Message, Messages};
use super::significant::is_significant;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Definitions that are not objects with fields, and what they are called in the table.
const SPECIAL: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "any"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "micro-time"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "time"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "any"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "int-or-string"),
];

/// Fields that protobuf bodies carry outside of the message.
const TYPE_META: &[&str] = &["apiVersion", "kind"];

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// What the protobuf side knows of a JSON field.
struct Wire {
    /// Field numbers from the outer message inwards: more than one for a field of an inlined struct.
    numbers: String,
    markers: Markers,
}

/// The table of all definitions.
pub(crate) fn table(definitions: &BTreeMap<String, Value>, messages: &Messages) -> String {
    let mut rendered = BTreeMap::new();
    for (name, schema) in definitions {
        rendered.insert(name.clone(), definition(name, schema, messages));
        if is_listed_kind(name, schema) {
            let list = format!("{name}List");
            rendered.insert(list.clone(), list_definition(name, messages.get(&list).unwrap()));
        }
    }
    let mut out = HEADER.to_owned();
    out.extend(rendered.into_values());
    out
}

fn is_listed_kind(name: &str, schema: &Value) -> bool {
    let properties = &schema["properties"];
    let kind = name.rsplit('.').next().unwrap();
    !name.starts_with(META)
        && properties["apiVersion"].is_object()
        && properties["metadata"].is_object()
        && !WITHOUT_LIST.contains(&kind)
}

fn definition(name: &str, schema: &Value, messages: &Messages) -> String {
    let mut out = String::new();
    if let Some((_, special)) = SPECIAL.iter().find(|(special, _)| *special == name) {
        writeln!(out, "= {name} {special}").unwrap();
        describe(&mut out, schema);
        return out;
    }
    let message = messages.get(name).unwrap_or_else(|| panic!("{name} has no protobuf message"));
    let mut wire = BTreeMap::new();
    collect_wire(name, message, "", schema, messages, &mut wire);
    writeln!(out, "= {name} object{}", type_flags(&message.markers)).unwrap();
    describe(&mut out, schema);
    let fields =
        schema["properties"].as_object().unwrap_or_else(|| panic!("{name} has neither fields nor a row in SPECIAL"));
    for (field, field_schema) in fields {
        let wire = wire.remove(field.as_str());
        assert!(wire.is_some() || TYPE_META.contains(&field.as_str()), "{name}: no protobuf field for {field}");
        let numbers = wire.as_ref().map_or("-", |wire| &wire.numbers);
        let mut flags = wire.as_ref().map(|wire| field_flags(&wire.markers)).unwrap_or_default();
        if is_significant(name, field) {
            flags.push_str(" significant");
        }
        if let Some(words) = enums::words(name, field) {
            // Words may contain spaces, which separate flags.
            write!(flags, " enum={}", words.join(",").replace(' ', "_")).unwrap();
        }
        if is_required(name, schema, field, &flags) {
            flags.insert_str(0, " required");
        }
        writeln!(out, ". {field} {numbers} {}{flags}", type_expression(field_schema)).unwrap();
        describe(&mut out, field_schema);
    }
    out
}

/// Whether upstream's schema requires a field. `k8s-openapi` makes every `metadata` and some names with a default
/// required, so that they need no `Option` in Rust, and the time of an event optional.
fn is_required(definition: &str, schema: &Value, field: &str, flags: &str) -> bool {
    match (definition, field) {
        ("io.k8s.api.core.v1.Event", "metadata") | ("io.k8s.api.events.v1.Event", "eventTime") => true,
        (_, "metadata") => false,
        _ => {
            let required =
                schema["required"].as_array().is_some_and(|required| required.iter().any(|name| name == field));
            required && !flags.contains("default=")
        }
    }
}

fn list_definition(item: &str, message: &Message) -> String {
    let mut out = String::new();
    writeln!(out, "= {item}List object\n| {}", escape(&message.description)).unwrap();
    writeln!(out, ". apiVersion - string\n| {}", escape(API_VERSION)).unwrap();
    list_field(&mut out, message, "items", &format!("[{item}] required"));
    writeln!(out, ". kind - string\n| {}", escape(KIND)).unwrap();
    list_field(&mut out, message, "metadata", &format!("{META}ListMeta"));
    out
}

fn list_field(out: &mut String, message: &Message, name: &str, rest: &str) {
    let field = message.fields.iter().find(|field| field.folded_name == name).unwrap();
    writeln!(out, ". {name} {} {rest}\n| {}", field.number, escape(&field.description)).unwrap();
}

/// Matches a message's fields with JSON fields by name; what has no JSON field is a struct that JSON inlines.
fn collect_wire(
    name: &str,
    message: &Message,
    prefix: &str,
    schema: &Value,
    messages: &Messages,
    wire: &mut BTreeMap<String, Wire>,
) {
    let properties = schema["properties"].as_object().unwrap();
    for field in &message.fields {
        let numbers = format!("{prefix}{}", field.number);
        if let Some(json) = properties.keys().find(|json| json.to_lowercase() == field.folded_name) {
            let replaced = wire.insert(json.clone(), Wire { numbers, markers: field.markers.clone() });
            assert!(replaced.is_none(), "{name}: two protobuf fields for {json}");
            continue;
        }
        let module = name.rsplit_once('.').unwrap().0;
        let inlined = messages.get(&format!("{module}.{}", field.type_name)).unwrap_or_else(|| {
            panic!("{name}: protobuf field {} has no JSON field and is no struct", field.folded_name)
        });
        collect_wire(name, inlined, &format!("{numbers}."), schema, messages, wire);
    }
}

fn type_expression(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.trim_start_matches("#/$defs/").to_owned();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("array"), _) => format!("[{}]", type_expression(&schema["items"])),
        (Some("object"), _) => format!("{{{}}}", type_expression(&schema["additionalProperties"])),
        (Some("string"), Some("byte")) => "bytes".to_owned(),
        (Some("string"), None) => "string".to_owned(),
        (Some("boolean"), None) => "boolean".to_owned(),
        (Some("integer"), Some(format)) => format.to_owned(),
        (Some("number"), Some("double")) => "number".to_owned(),
        _ => panic!("no table form for the schema {schema}"),
    }
}

fn type_flags(markers: &Markers) -> String {
    match markers.get("structType").or(markers.get("mapType")) {
        Some("atomic") => " atomic".to_owned(),
        _ => String::new(),
    }
}

fn field_flags(markers: &Markers) -> String {
    let mut flags = String::new();
    match markers.get("structType").or(markers.get("mapType")).or(markers.get("listType")) {
        Some(flag @ ("atomic" | "granular" | "set")) => flags = format!(" {flag}"),
        Some("map") => {
            let keys: Vec<&str> = markers.all("listMapKey").collect();
            flags = format!(" map={}", keys.join(","));
        }
        Some(other) => panic!("unknown topology {other}"),
        None => {}
    }
    for strategy in markers.get("patchStrategy").into_iter().flat_map(|strategies| strategies.split(',')) {
        match (strategy, markers.get("patchMergeKey")) {
            ("merge", Some(key)) => write!(flags, " merge={key}").unwrap(),
            (strategy, _) => write!(flags, " {strategy}").unwrap(),
        }
    }
    if let Some(default) = markers.get("default").filter(|default| !default.starts_with("ref(")) {
        write!(flags, " default={default}").unwrap();
    }
    flags
}

fn describe(out: &mut String, schema: &Value) {
    if let Some(description) = schema["description"].as_str() {
        writeln!(out, "| {}", escape(description)).unwrap();
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

const HEADER: &str = "\
# The types of the Kubernetes 1.35 API. Derived from the crates k8s-openapi and k8s-pb (Apache-2.0) by
# `SHEAVE_REGENERATE=1 cargo test -p sheave-api --test kubernetes_table`; not edited by hand. Line by line:
#   = NAME TYPE [atomic]          a definition
#   . FIELD NUMBERS TYPE [FLAGS]  a field; NUMBERS is its protobuf number, 2.1 inside an inlined struct, - for none;
#                                 `significant`: its empty value differs from no value; `enum`: its words, _ for a space
#   | TEXT                        the description of the line above; \\n and \\\\ are escaped
# TYPE is a scalar, a definition, [list items] or {map values}.
";
