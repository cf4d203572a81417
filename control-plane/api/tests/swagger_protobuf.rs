//! The protobuf form of OpenAPI 2, read as kubectl and Helm read it: with messages of gnostic's `OpenAPIv2.proto`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use prost::Message;
use serde_json::Value;
use sheave_api::openapi::OpenApi;
use sheave_api::registry::Registry;

/// The parts of gnostic's messages that clients read.
mod gnostic {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Document {
        #[prost(string, tag = "1")]
        pub(crate) swagger: String,
        #[prost(message, optional, tag = "8")]
        pub(crate) paths: Option<Paths>,
        #[prost(message, optional, tag = "9")]
        pub(crate) definitions: Option<Properties>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Paths {
        #[prost(message, repeated, tag = "2")]
        pub(crate) path: Vec<NamedPathItem>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct NamedPathItem {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(message, optional, tag = "2")]
        pub(crate) value: Option<PathItem>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct PathItem {
        #[prost(message, optional, tag = "8")]
        pub(crate) patch: Option<Operation>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Operation {
        #[prost(string, tag = "5")]
        pub(crate) operation_id: String,
        #[prost(string, repeated, tag = "7")]
        pub(crate) consumes: Vec<String>,
        #[prost(message, repeated, tag = "8")]
        pub(crate) parameters: Vec<ParametersItem>,
        #[prost(message, repeated, tag = "13")]
        pub(crate) vendor_extension: Vec<NamedAny>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct ParametersItem {
        #[prost(message, optional, tag = "1")]
        pub(crate) parameter: Option<Parameter>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Parameter {
        #[prost(message, optional, tag = "1")]
        pub(crate) body: Option<BodyParameter>,
        #[prost(message, optional, tag = "2")]
        pub(crate) non_body: Option<NonBodyParameter>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct BodyParameter {
        #[prost(message, optional, tag = "5")]
        pub(crate) schema: Option<Schema>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct NonBodyParameter {
        #[prost(message, optional, tag = "3")]
        pub(crate) query: Option<QueryParameter>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct QueryParameter {
        #[prost(string, tag = "4")]
        pub(crate) name: String,
        #[prost(string, tag = "6")]
        pub(crate) ty: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Properties {
        #[prost(message, repeated, tag = "1")]
        pub(crate) additional_properties: Vec<NamedSchema>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct NamedSchema {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(message, optional, tag = "2")]
        pub(crate) value: Option<Schema>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Schema {
        #[prost(string, tag = "1")]
        pub(crate) reference: String,
        #[prost(string, tag = "2")]
        pub(crate) format: String,
        #[prost(string, tag = "4")]
        pub(crate) description: String,
        #[prost(string, repeated, tag = "19")]
        pub(crate) required: Vec<String>,
        #[prost(message, optional, tag = "21")]
        pub(crate) additional: Option<Box<Wrapped>>,
        #[prost(message, optional, tag = "22")]
        pub(crate) ty: Option<TypeItem>,
        #[prost(message, optional, tag = "23")]
        pub(crate) items: Option<Box<Wrapped>>,
        #[prost(message, optional, tag = "25")]
        pub(crate) properties: Option<Properties>,
        #[prost(message, repeated, tag = "31")]
        pub(crate) vendor_extension: Vec<NamedAny>,
    }

    /// `AdditionalPropertiesItem` and `ItemsItem` alike.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Wrapped {
        #[prost(message, optional, tag = "1")]
        pub(crate) schema: Option<Box<Schema>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct TypeItem {
        #[prost(string, repeated, tag = "1")]
        pub(crate) value: Vec<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct NamedAny {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(message, optional, tag = "2")]
        pub(crate) value: Option<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Any {
        #[prost(string, tag = "2")]
        pub(crate) yaml: String,
    }
}

fn pages() -> (gnostic::Document, Value) {
    let openapi = OpenApi::new(Arc::new(Registry::builtin()));
    let protobuf = gnostic::Document::decode(openapi.swagger_protobuf().plain()).unwrap();
    (protobuf, serde_json::from_slice(&openapi.swagger().plain()).unwrap())
}

fn extension(extensions: &[gnostic::NamedAny], name: &str) -> Option<Value> {
    let found = extensions.iter().find(|extension| extension.name == name)?;
    Some(serde_yaml_ng::from_str(&found.value.as_ref().unwrap().yaml).unwrap())
}

#[test]
fn the_patch_of_every_kind_names_its_kind_its_parameters_and_what_it_consumes() {
    let (protobuf, json) = pages();
    assert_eq!(protobuf.swagger, "2.0");
    let paths = protobuf.paths.unwrap().path;
    assert_eq!(paths.len(), json["paths"].as_object().unwrap().len());
    for path in paths {
        let expected = &json["paths"][&path.name]["patch"];
        let Some(patch) = path.value.unwrap().patch else {
            assert!(expected.is_null(), "{}", path.name);
            continue;
        };
        assert_eq!(patch.operation_id, expected["operationId"].as_str().unwrap());
        let gvk = extension(&patch.vendor_extension, "x-kubernetes-group-version-kind").unwrap();
        assert_eq!(gvk, expected["x-kubernetes-group-version-kind"]);
        assert_eq!(Value::from(patch.consumes), expected["consumes"]);
        let parameters = patch.parameters.into_iter().filter_map(|item| item.parameter);
        let queries: Vec<_> = parameters.clone().filter_map(|one| one.non_body?.query).collect();
        if patch.operation_id.starts_with("patch") {
            assert!(queries.iter().any(|query| query.name == "fieldValidation" && query.ty == "string"));
            let body = parameters.filter_map(|one| one.body).next().unwrap();
            assert!(body.schema.unwrap().reference.ends_with("meta.v1.Patch"));
        }
    }
}

#[test]
fn definitions_are_the_same_as_in_json() {
    let (protobuf, json) = pages();
    let definitions = protobuf.definitions.unwrap().additional_properties;
    assert_eq!(definitions.len(), json["definitions"].as_object().unwrap().len());
    for definition in definitions {
        assert_same(&definition.name, &definition.value.unwrap(), &json["definitions"][&definition.name]);
    }
}

fn assert_same(place: &str, schema: &gnostic::Schema, json: &Value) {
    let text = |name: &str| json[name].as_str().unwrap_or_default();
    assert_eq!(schema.reference, text("$ref"), "{place}");
    assert_eq!(schema.format, text("format"), "{place}");
    assert_eq!(schema.description, text("description"), "{place}");
    let types = schema.ty.as_ref().map(|ty| ty.value.clone()).unwrap_or_default();
    assert_eq!(types, json["type"].as_str().into_iter().collect::<Vec<_>>(), "{place}");
    let required = json["required"].as_array().cloned().unwrap_or_default();
    assert_eq!(schema.required.iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>(), required, "{place}");
    for (name, value) in json.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("x-")) {
        assert_eq!(extension(&schema.vendor_extension, name).as_ref(), Some(value), "{place}");
    }
    for (wrapped, name) in [(&schema.items, "items"), (&schema.additional, "additionalProperties")] {
        match wrapped {
            Some(wrapped) => assert_same(place, wrapped.schema.as_ref().unwrap(), &json[name]),
            None => assert!(json[name].is_null(), "{place}.{name}"),
        }
    }
    let properties = schema.properties.as_ref().map(|list| list.additional_properties.as_slice()).unwrap_or_default();
    assert_eq!(properties.len(), json["properties"].as_object().map_or(0, serde_json::Map::len), "{place}");
    for property in properties {
        let name = &property.name;
        let expected = json["properties"].get(name).unwrap_or_else(|| panic!("{place} has no {name} in JSON"));
        assert_same(&format!("{place}.{name}"), property.value.as_ref().unwrap(), expected);
    }
}
