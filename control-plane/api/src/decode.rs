//! From request bodies to documents, checked against their types.
//!
//! A decoded document is in the form in which Go's types would write it: `null` and what `omitempty` leaves out is
//! gone, quantities, times and bytes are in their one canonical spelling, unknown fields are dropped. Whether unknown
//! and duplicate fields are refused, warned about or ignored is the request's choice ([`FieldValidation`]); a value of
//! the wrong type is always refused. The words are those of `sigs.k8s.io/json` and `k8s.io/apiserver`, which users
//! know and tests compare.
//!
//! Depth is bounded at [`MAX_DEPTH`]; memory is bounded by a small multiple of the body's size, which the server limits.

mod error;
mod go_names;
mod scalar;
mod value;
mod walk;

pub use error::{BodyError, DecodeError, Finding, FindingKind, strict_error};

use crate::Document;
use crate::kind::GroupVersionKind;
use crate::protobuf::{self, ProtobufError};
use crate::registry::Registry;
use crate::schema::{Arena, TypeId};
use walk::Walk;

/// Objects and lists inside each other, at most.
pub const MAX_DEPTH: usize = 128;

/// What to do about unknown and duplicate fields: the `fieldValidation` query parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Refuse the request.
    Strict,
    /// Accept it, with a `Warning` header for each.
    #[default]
    Warn,
    /// Accept it silently.
    Ignore,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/yaml`. One document; JSON is YAML too.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// A document and what was found on the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The document.
    pub document: Document,
    /// Unknown and duplicate fields in the order of the body, the first hundred.
    pub findings: Vec<Finding>,
}

/// A request's object that the server goes on with.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The document, with `apiVersion` and `kind` filled in where the body left them out.
    pub document: Document,
    /// The texts of the `Warning` headers to send.
    pub warnings: Vec<String>,
}

/// Decodes a request's body that must be an object of the kind `expected`.
///
/// # Errors
/// [`BodyError`]; each is a 400 `BadRequest`, its text is the message of the status.
pub fn object(
    registry: &Registry,
    expected: &GroupVersionKind,
    body: &[u8],
    format: Format,
    validation: FieldValidation,
) -> Result<Accepted, BodyError> {
    let Some(ty) = registry.type_of(expected) else {
        return Err(BodyError::NotRegistered { kind: expected.kind.clone(), api_version: expected.api_version() });
    };
    let (actual, decoded) = read(registry, expected, ty, body, format);
    if let Err(DecodeError::Syntax(reason)) = &decoded {
        return Err(BodyError::unrecognized(expected, reason, body));
    }
    check_kind(registry, expected, ty, &actual)?;
    let Decoded { mut document, findings } =
        decoded.map_err(|error| BodyError::unhandled(&actual, expected, error.to_string()))?;
    if document.is_null() {
        document = Document::Object(serde_json::Map::new());
    }
    if let Some(fields) = document.as_object_mut() {
        fields.insert("apiVersion".to_owned(), actual.api_version().into());
        fields.insert("kind".to_owned(), actual.kind.clone().into());
    }
    let warnings = match validation {
        FieldValidation::Strict if !findings.is_empty() => {
            return Err(BodyError::unhandled(&actual, expected, strict_error(&findings)));
        }
        FieldValidation::Strict | FieldValidation::Ignore => Vec::new(),
        FieldValidation::Warn => findings.iter().map(ToString::to_string).collect(),
    };
    Ok(Accepted { document, warnings })
}

/// Decodes a body as a document of type `ty`.
///
/// # Errors
/// When the body is not of its format, or a value is not of its type.
pub fn typed(arena: &Arena, ty: TypeId, body: &[u8], format: Format) -> Result<Decoded, DecodeError> {
    decode(Walk::new(arena), Some(ty), body, format)
}

/// Decodes a body of any shape, such as a patch. `null` and empty values stay: in a patch they mean something.
///
/// # Errors
/// When the body is not of its format, or that format is protobuf: its messages cannot be read without their type.
pub fn untyped(body: &[u8], format: Format) -> Result<Decoded, DecodeError> {
    decode(Walk::new(&Arena::default()), None, body, format)
}

/// Checks a document that is already in memory, such as an object after a patch, and puts it in canonical form.
///
/// # Errors
/// When a value is not of its type, or the document is too deep.
pub fn document(arena: &Arena, ty: TypeId, document: Document) -> Result<Decoded, DecodeError> {
    let mut walk = Walk::new(arena);
    let result = walk.run(Some(ty), document);
    walk.finish(result.map_err(|error| error.to_string()))
}

fn decode(mut walk: Walk<'_>, ty: Option<TypeId>, body: &[u8], format: Format) -> Result<Decoded, DecodeError> {
    let result = match format {
        Format::Json => {
            let mut json = serde_json::Deserializer::from_slice(body);
            let document = walk.run(ty, &mut json);
            document.and_then(|document| json.end().map(|()| document)).map_err(|error| error.to_string())
        }
        Format::Yaml => {
            walk.read_yaml_numbers();
            walk.run(ty, serde_yaml_ng::Deserializer::from_slice(body)).map_err(|error| format!("yaml: {error}"))
        }
        Format::Protobuf => {
            let ty = ty.ok_or_else(|| DecodeError::Syntax(ProtobufError::NoProtobuf.to_string()))?;
            let envelope = protobuf::open(body).map_err(|error| DecodeError::Syntax(error.to_string()))?;
            let raw = protobuf::decode(ty, envelope.message).map_err(|error| DecodeError::Type(error.to_string()))?;
            walk.run(Some(ty), raw).map_err(|error| error.to_string())
        }
    };
    walk.finish(result)
}

/// The body's own group, version and kind, and what it holds.
fn read(
    registry: &Registry,
    expected: &GroupVersionKind,
    ty: TypeId,
    body: &[u8],
    format: Format,
) -> (GroupVersionKind, Result<Decoded, DecodeError>) {
    let decoded = typed(registry.schema(), ty, body, format);
    let actual = match (&decoded, format) {
        (_, Format::Protobuf) => protobuf::open(body)
            .map_or_else(|_| expected.clone(), |envelope| actual_kind(envelope.api_version, envelope.kind, expected)),
        (Ok(decoded), _) => type_meta(&decoded.document, expected),
        // The rules of the type may have failed because the body is of another type.
        (Err(_), _) => {
            untyped(body, format).map_or_else(|_| expected.clone(), |raw| type_meta(&raw.document, expected))
        }
    };
    (actual, decoded)
}

fn type_meta(document: &Document, expected: &GroupVersionKind) -> GroupVersionKind {
    let text = |field: &str| document.get(field).and_then(Document::as_str).unwrap_or_default();
    actual_kind(text("apiVersion"), text("kind"), expected)
}

/// What a body says that it is; what it leaves out is as expected.
fn actual_kind(api_version: &str, kind: &str, expected: &GroupVersionKind) -> GroupVersionKind {
    let kind = if kind.is_empty() { &expected.kind } else { kind };
    match api_version {
        "" => GroupVersionKind { kind: kind.to_owned(), ..expected.clone() },
        api_version => GroupVersionKind::from_api_version(api_version, kind),
    }
}

/// Options and the like are the same type in every group; of anything else, group, version and kind must fit.
fn check_kind(
    registry: &Registry,
    expected: &GroupVersionKind,
    expected_type: TypeId,
    actual: &GroupVersionKind,
) -> Result<(), BodyError> {
    match registry.type_of(actual) {
        Some(ty) if ty == expected_type => Ok(()),
        Some(_) if actual.kind == expected.kind => {
            Err(BodyError::OtherVersion { actual: actual.api_version(), expected: expected.api_version() })
        }
        Some(_) => Err(BodyError::unhandled(actual, expected, format!("the object is a {}", actual.kind))),
        None => Err(BodyError::unhandled(
            actual,
            expected,
            format!("no kind {:?} is registered for version {:?}", actual.kind, actual.api_version()),
        )),
    }
}

// === impl FieldValidation ===

impl FieldValidation {
    /// From the query parameter; none for a value that is none of the three.
    #[must_use]
    pub fn from_parameter(value: &str) -> Option<Self> {
        match value {
            "Strict" => Some(Self::Strict),
            "Warn" | "" => Some(Self::Warn),
            "Ignore" => Some(Self::Ignore),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gvk(api_version: &str, kind: &str) -> GroupVersionKind {
        GroupVersionKind::from_api_version(api_version, kind)
    }

    fn decode_as(
        api_version: &str,
        kind: &str,
        body: &str,
        validation: FieldValidation,
    ) -> Result<Accepted, BodyError> {
        object(&Registry::builtin(), &gvk(api_version, kind), body.as_bytes(), Format::Json, validation)
    }

    fn decoded(api_version: &str, kind: &str, body: &Document) -> Document {
        decode_as(api_version, kind, &body.to_string(), FieldValidation::Strict).unwrap().document
    }

    fn refused(api_version: &str, kind: &str, body: &str) -> String {
        decode_as(api_version, kind, body, FieldValidation::Strict).unwrap_err().to_string()
    }

    const DUBIOUS: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"1","a":"2"}},
        "spec":{"unknown1":1,"unknownDupe":1,"unknownDupe":2,"paused":true,"paused":false,
        "selector":{"matchLabels":{"a":"2"}},
        "template":{"spec":{"containers":[{"name":"c","image":"i","unknownNested":1,
        "imagePullPolicy":"Always","imagePullPolicy":"Never"}]}}}}"#;

    const DUBIOUS_FINDINGS: [&str; 6] = [
        r#"duplicate field "metadata.labels.a""#,
        r#"unknown field "spec.unknown1""#,
        r#"unknown field "spec.unknownDupe""#,
        r#"duplicate field "spec.paused""#,
        r#"unknown field "spec.template.spec.containers[0].unknownNested""#,
        r#"duplicate field "spec.template.spec.containers[0].imagePullPolicy""#,
    ];

    #[test]
    fn strict_validation_lists_unknown_and_duplicate_fields_in_the_order_of_the_body() {
        assert_eq!(
            refused("apps/v1", "Deployment", DUBIOUS),
            format!(
                "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: {}",
                DUBIOUS_FINDINGS.join(", ")
            )
        );
    }

    #[test]
    fn warn_accepts_with_a_warning_for_each_and_ignore_says_nothing() {
        let accepted = decode_as("apps/v1", "Deployment", DUBIOUS, FieldValidation::Warn).unwrap();
        assert_eq!(accepted.warnings, DUBIOUS_FINDINGS);
        let container = &accepted.document["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(*container, json!({"name": "c", "image": "i", "imagePullPolicy": "Never"}));
        let ignored = decode_as("apps/v1", "Deployment", DUBIOUS, FieldValidation::Ignore).unwrap();
        assert_eq!(ignored, Accepted { warnings: Vec::new(), ..accepted });
    }

    #[test]
    fn findings_stop_at_a_hundred() {
        let fields: Vec<String> = (0..1000).map(|number| format!("\"f{number}\":1")).collect();
        let accepted =
            decode_as("v1", "ConfigMap", &format!("{{{}}}", fields.join(",")), FieldValidation::Warn).unwrap();
        assert_eq!(accepted.warnings.len(), 100);
    }

    #[test]
    fn values_of_a_wrong_type_are_refused_in_the_words_of_gos_decoder() {
        let deployment = |spec: &str| format!(r#"{{"kind":"Deployment","apiVersion":"apps/v1","spec":{spec}}}"#);
        let rows = [
            (
                deployment(r#"{"replicas":"3"}"#),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                deployment(r#"{"replicas":1.5}"#),
                "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                deployment(r#"{"replicas":3000000000}"#),
                "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                deployment(r#"{"paused":"yes"}"#),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
            ),
            (
                deployment(r#"{"template":{"spec":{"containers":{"name":"c"}}}}"#),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                deployment(r#"{"template":{"spec":{"containers":[{"env":[{"name":"A","value":1}]}]}}}"#),
                "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
            ),
            (
                deployment("[]"),
                "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
            ),
            (
                r#"{"metadata":{"labels":{"a":1}}}"#.to_owned(),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                r#"{"metadata":{"creationTimestamp":5}}"#.to_owned(),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
            ),
            (
                r#"{"metadata":{"creationTimestamp":"2020-01-01"}}"#.to_owned(),
                r#"parsing time "2020-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#,
            ),
            (
                deployment(r#"{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"much"}}}]}}}"#),
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            (
                deployment(r#"{"strategy":{"rollingUpdate":{"maxSurge":true}}}"#),
                "json: cannot unmarshal bool into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
            ),
            ("[]".to_owned(), "json: cannot unmarshal array into Go value of type v1.Deployment"),
        ];
        for (body, reason) in rows {
            assert_eq!(
                refused("apps/v1", "Deployment", &body),
                format!("Deployment in version \"v1\" cannot be handled as a Deployment: {reason}")
            );
        }
    }

    #[test]
    fn the_data_of_a_secret_must_be_base64() {
        for (data, offset) in [("a!==", 1), ("YWI", 0), ("YWJjZA", 4), ("YWJj====", 4)] {
            assert_eq!(
                refused("v1", "Secret", &json!({"data": {"k": data}}).to_string()),
                format!(
                    "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte {offset}"
                ),
                "{data}"
            );
        }
        let wrapped = decoded("v1", "Secret", &json!({"data": {"k": "YWJj\nZGU="}}));
        assert_eq!(wrapped["data"]["k"], "YWJjZGU=");
    }

    #[test]
    fn a_syntax_error_counts_more_than_a_wrong_type_before_it() {
        let message = refused("v1", "Pod", r#"{"spec":5,"metadata":{"#);
        assert!(
            message.starts_with(
                "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            ),
            "{message}"
        );
        assert!(message.ends_with(r#"({"spec":5,"metadata":{)"#), "{message}");
        assert!(refused("v1", "Pod", "").ends_with("(<empty>)"));
        assert!(refused("v1", "Pod", "\u{1}{}").ends_with("(017b7d)"));
        assert!(refused("v1", "Pod", "{} {}").contains("trailing characters"));
    }

    #[test]
    fn a_document_leaves_in_the_form_that_gos_types_write() {
        let body = json!({
            "metadata": {"name": "p", "creationTimestamp": null, "labels": {}, "annotations": {"a": null},
                "deletionTimestamp": "2024-05-06T07:08:09.123+02:00"},
            "spec": {
                "hostNetwork": false, "enableServiceLinks": false, "nodeName": "", "nodeSelector": null,
                "containers": [{"name": "c", "args": [], "command": [null], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                    "ports": [{"containerPort": 80, "hostPort": 0}], "volumeMounts": null}],
                "volumes": [{"name": "v", "emptyDir": {}}]
            },
            "status": {}
        });
        assert_eq!(
            decoded("v1", "Pod", &body),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p", "annotations": {"a": ""}, "deletionTimestamp": "2024-05-06T05:08:09Z"},
                "spec": {
                    "enableServiceLinks": false,
                    "containers": [{"name": "c", "command": [""], "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                        "ports": [{"containerPort": 80}]}],
                    "volumes": [{"name": "v", "emptyDir": {}}]
                },
                "status": {}
            })
        );
    }

    #[test]
    fn decoding_is_idempotent() {
        let registry = Registry::builtin();
        let pod = registry.resource("", "v1", "pods").unwrap();
        let body =
            json!({"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": ""}], "stdin": false}]}});
        let once = document(registry.schema(), pod.schema, body).unwrap();
        let twice = document(registry.schema(), pod.schema, once.document.clone()).unwrap();
        assert_eq!(once, twice);
    }

    #[test]
    fn kind_and_version_must_be_those_of_the_path() {
        let accepted = decode_as("apps/v1", "Deployment", "{}", FieldValidation::Strict).unwrap();
        assert_eq!(accepted.document, json!({"apiVersion": "apps/v1", "kind": "Deployment"}));
        assert_eq!(decoded("v1", "Pod", &Document::Null), json!({"apiVersion": "v1", "kind": "Pod"}));
        assert_eq!(
            refused("apps/v1", "Deployment", r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[]}}"#),
            "Pod in version \"v1\" cannot be handled as a Deployment: the object is a Pod"
        );
        assert_eq!(
            refused("apps/v1", "Deployment", r#"{"apiVersion":"extensions/v1beta1","kind":"Deployment"}"#),
            "Deployment in version \"v1beta1\" cannot be handled as a Deployment: \
             no kind \"Deployment\" is registered for version \"extensions/v1beta1\""
        );
        assert_eq!(
            refused(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                r#"{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler"}"#
            ),
            "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)"
        );
    }

    #[test]
    fn options_may_name_the_group_of_the_object() {
        for api_version in ["v1", "apps/v1", "policy/v1"] {
            let body = json!({"apiVersion": api_version, "kind": "DeleteOptions", "gracePeriodSeconds": 0});
            assert_eq!(decoded("v1", "DeleteOptions", &body), body);
        }
    }

    #[test]
    fn yaml_is_read_with_the_same_rules() {
        let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  generation: 1.0\ndata:\n  1: one\n  a: x\n  a: y\n  script: |\n    line\n";
        let accepted =
            object(&Registry::builtin(), &gvk("v1", "ConfigMap"), yaml.as_bytes(), Format::Yaml, FieldValidation::Warn)
                .unwrap();
        assert_eq!(accepted.warnings, [r#"duplicate field "data.a""#]);
        assert_eq!(
            accepted.document,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "generation": 1},
                "data": {"1": "one", "a": "y", "script": "line\n"}})
        );
    }

    #[test]
    fn a_patch_keeps_null_and_empty_values_and_reports_duplicates() {
        let decoded = untyped(br#"{"a":null,"b":[],"c":{"d":1,"d":""}}"#, Format::Json).unwrap();
        assert_eq!(decoded.document, json!({"a": null, "b": [], "c": {"d": ""}}));
        assert_eq!(decoded.findings, [Finding { kind: FindingKind::Duplicate, path: "c.d".to_owned() }]);
        assert_eq!(untyped(b"a: [1, null]\n", Format::Yaml).unwrap().document, json!({"a": [1, null]}));
    }

    #[test]
    fn depth_is_bounded_in_every_format() {
        let registry = Registry::builtin();
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for format in [Format::Json, Format::Yaml] {
            assert!(untyped(deep.as_bytes(), format).is_err(), "{format:?}");
        }
        let mut document = json!(1);
        for _ in 0..2 * MAX_DEPTH {
            document = json!({"a": document});
        }
        let revision = registry.resource("apps", "v1", "controllerrevisions").unwrap();
        let body = json!({"data": document, "revision": 1});
        assert_eq!(super::document(registry.schema(), revision.schema, body), Err(DecodeError::Depth));
    }

    #[test]
    fn yaml_aliases_cannot_multiply_without_bound() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        assert!(untyped(bomb.as_bytes(), Format::Yaml).is_err());
    }
}
