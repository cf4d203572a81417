//! The transcoder against `k8s-pb`'s structs, and against what the real kubectl sends.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod documents;

use documents::{Every, Filler, Random};
use k8s_pb::api;
use k8s_pb::apimachinery::pkg::apis::meta::v1 as meta;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use sheave_api::decode::{self, FieldValidation, Format};
use sheave_api::kind::GroupVersionKind;
use sheave_api::protobuf::{self, ProtobufError};
use sheave_api::registry::Registry;
use sheave_api::schema::{Arena, Type, TypeId};

/// Decodes a message with the struct of `k8s-pb`, and encodes it again.
type Oracle = fn(&[u8]) -> Vec<u8>;

fn through<M: Message + Default>(message: &[u8]) -> Vec<u8> {
    M::decode(message).unwrap().encode_to_vec()
}

/// Rows of `apiVersion`, kind and oracle.
macro_rules! oracles {
    ($($api_version:literal $module:path: $($kind:ident)+;)+) => {
        vec![$($({
            use $module as module;
            ($api_version, stringify!($kind), through::<module::$kind> as Oracle)
        }),+),+]
    };
}

fn oracles() -> Vec<(&'static str, &'static str, Oracle)> {
    oracles! {
        "v1" meta: DeleteOptions Status;
        "v1" api::core::v1: Binding ComponentStatus ConfigMap
            Endpoints Event LimitRange Namespace Node
            PersistentVolume PersistentVolumeClaim Pod
            PodTemplate ReplicationController ResourceQuota
            Secret Service ServiceAccount PodList;
        "apps/v1" api::apps::v1: ControllerRevision DaemonSet
            Deployment ReplicaSet StatefulSet DeploymentList;
        "authentication.k8s.io/v1" api::authentication::v1: SelfSubjectReview
            TokenRequest TokenReview;
        "authorization.k8s.io/v1" api::authorization::v1: LocalSubjectAccessReview
            SelfSubjectAccessReview SelfSubjectRulesReview
            SubjectAccessReview;
        "autoscaling/v1" api::autoscaling::v1: HorizontalPodAutoscaler Scale;
        "autoscaling/v2" api::autoscaling::v2: HorizontalPodAutoscaler;
        "batch/v1" api::batch::v1: CronJob Job;
        "certificates.k8s.io/v1" api::certificates::v1: CertificateSigningRequest;
        "coordination.k8s.io/v1" api::coordination::v1: Lease;
        "discovery.k8s.io/v1" api::discovery::v1: EndpointSlice;
        "events.k8s.io/v1" api::events::v1: Event;
        "networking.k8s.io/v1" api::networking::v1: Ingress IngressClass
            IPAddress NetworkPolicy ServiceCIDR;
        "node.k8s.io/v1" api::node::v1: RuntimeClass;
        "policy/v1" api::policy::v1: Eviction PodDisruptionBudget;
        "rbac.authorization.k8s.io/v1" api::rbac::v1: ClusterRole
            ClusterRoleBinding Role RoleBinding;
        "scheduling.k8s.io/v1" api::scheduling::v1: PriorityClass;
        "storage.k8s.io/v1" api::storage::v1: CSIDriver CSINode
            CSIStorageCapacity StorageClass
            VolumeAttachment VolumeAttributesClass;
    }
}

/// Document to message, through the oracle, and back.
fn assert_round_trip(gvk: &GroupVersionKind, ty: TypeId, oracle: Oracle, filler: &mut dyn Filler) {
    let arena = Arena::builtin();
    let mut raw = documents::fill(arena, ty, filler);
    let document = decode::document(arena, ty, raw.take()).unwrap().document;
    let message = protobuf::encode(ty, &document).unwrap();
    let returned = protobuf::decode(ty, &oracle(&message)).unwrap();
    let returned = decode::document(arena, ty, returned).unwrap().document;
    assert_eq!(without_type_meta(&returned), without_type_meta(&document), "{gvk:?}");
}

/// Messages do not carry `apiVersion` and `kind` of the documents in them, unless these are plain fields.
fn without_type_meta(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    document
}

fn type_of(api_version: &str, kind: &str) -> (GroupVersionKind, TypeId) {
    let gvk = GroupVersionKind::from_api_version(api_version, kind);
    let ty = Registry::builtin().type_of(&gvk).unwrap_or_else(|| panic!("{gvk:?} has no type"));
    (gvk, ty)
}

#[test]
fn every_kind_has_an_oracle() {
    let oracles = oracles();
    for kind in Registry::builtin().kinds() {
        let api_version = kind.gvk.api_version();
        assert!(
            oracles.iter().any(|(version, name, _)| *version == api_version && *name == kind.gvk.kind),
            "{:?}",
            kind.gvk
        );
    }
}

#[test]
fn every_field_of_every_kind_survives_the_oracle() {
    for (api_version, kind, oracle) in oracles() {
        let (gvk, ty) = type_of(api_version, kind);
        assert_round_trip(&gvk, ty, oracle, &mut Every::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_documents_of_every_kind_survive_the_oracle(seed: u64) {
        for (api_version, kind, oracle) in oracles() {
            let (gvk, ty) = type_of(api_version, kind);
            assert_round_trip(&gvk, ty, oracle, &mut Random::new(seed));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, pod) = type_of("v1", "Pod");
        let _ = protobuf::decode(pod, &bytes);
        let _ = protobuf::open(&bytes);
        let _ = protobuf::open(&[&protobuf::MAGIC, bytes.as_slice()].concat());
    }

    #[test]
    fn damaged_messages_never_panic(seed: u64, position in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        for (api_version, kind, _) in oracles() {
            let (_, ty) = type_of(api_version, kind);
            let document = documents::fill(Arena::builtin(), ty, &mut Random::new(seed));
            let mut message = protobuf::encode(ty, &document).unwrap();
            if message.is_empty() {
                continue;
            }
            let position = position.index(message.len());
            message[position] = byte;
            if cut {
                message.truncate(position);
            }
            if let Ok(raw) = protobuf::decode(ty, &message) {
                let _ = decode::document(Arena::builtin(), ty, raw);
            }
        }
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u8> = hexadecimal.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn accepted(api_version: &str, kind: &str, body: &[u8]) -> Value {
    let expected = GroupVersionKind::from_api_version(api_version, kind);
    let accepted =
        decode::object(&Registry::builtin(), &expected, body, Format::Protobuf, FieldValidation::Strict).unwrap();
    assert_eq!(accepted.warnings, [""; 0]);
    accepted.document
}

/// `kubectl create deployment web --image=nginx --replicas=2 --port=80`, kubectl 1.32.
const CREATE_DEPLOYMENT: &str = "
    6b3873000a150a07617070732f7631120a4465706c6f796d656e7412bf010a260a0377656212001a0764656661756c7422002a003200380042
    005a0a0a0361707012037765621286010802120c0a0a0a0361707012037765621a6c0a1c0a0012001a0022002a003200380042005a0a0a0361
    70701203776562124c122e0a056e67696e7812056e67696e782a00320a0a001000185022002a0042006a007200800100880100900100a20100
    1a00320042004a0052005800600068008201008a01009a0100c2010022020a00280038001a0c0800100018002000280038001a002200";

/// `kubectl create service clusterip c --tcp=80:8080`.
const CREATE_SERVICE: &str = "
    6b3873000a0d0a027631120753657276696365126a0a220a016312001a0764656661756c7422002a0032003800420 05a080a03617070120163
    12400a1b0a0738302d38303830120354435018502207080010903f1a00280012080a036170701201631a002209436c757374657249503a0042
    0052005a00600068001a020a001a002200";

/// `kubectl create token default --duration=1h`.
const CREATE_TOKEN: &str = "
    6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e52657175657374121d0a100a0012001a0022
    002a00320038004200120320901c1a040a0012001a002200";

#[test]
fn what_kubectl_create_deployment_sends_reads_like_its_json() {
    assert_eq!(
        accepted("apps/v1", "Deployment", &bytes(CREATE_DEPLOYMENT)),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "strategy": {},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [
                        {"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {}},
                    ]},
                },
            },
            "status": {},
        })
    );
}

#[test]
fn what_kubectl_create_service_sends_reads_like_its_json() {
    assert_eq!(
        accepted("v1", "Service", &bytes(CREATE_SERVICE)),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "c", "namespace": "default", "labels": {"app": "c"}},
            "spec": {
                "ports": [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}],
                "selector": {"app": "c"},
                "type": "ClusterIP",
            },
            "status": {"loadBalancer": {}},
        })
    );
}

#[test]
fn a_token_request_reads() {
    let request = accepted("authentication.k8s.io/v1", "TokenRequest", &bytes(CREATE_TOKEN));
    assert_eq!(request["spec"], json!({"expirationSeconds": 3600}));
}

#[test]
fn an_envelope_opens_as_it_was_sealed() {
    let gvk = GroupVersionKind::from_api_version("apps/v1", "Deployment");
    let body = protobuf::seal(&gvk, b"message");
    let envelope = protobuf::open(&body).unwrap();
    assert_eq!((envelope.api_version, envelope.kind, envelope.message), ("apps/v1", "Deployment", &b"message"[..]));
}

#[test]
fn an_unknown_field_is_an_error_that_names_it() {
    let (_, pod) = type_of("v1", "Pod");
    assert_eq!(
        protobuf::decode(pod, &[0xfa, 0x3e, 0]).unwrap_err(),
        ProtobufError::UnknownField { message: "io.k8s.api.core.v1.Pod".to_owned(), number: 1007 }
    );
}

#[test]
fn a_body_of_another_kind_is_refused() {
    let expected = GroupVersionKind::from_api_version("v1", "Pod");
    let refuse = |body: &[u8]| {
        decode::object(&Registry::builtin(), &expected, body, Format::Protobuf, FieldValidation::Strict)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refuse(&bytes(CREATE_DEPLOYMENT)),
        "Deployment in version \"v1\" cannot be handled as a Pod: the object is a Deployment"
    );
    assert!(refuse(b"{}").contains("expected prefix [107, 56, 115, 0]"));
}

#[test]
fn depth_is_bounded() {
    // Each level is a DeleteOptions-free chain of RawExtensions: a revision whose data is a revision.
    let gvk = GroupVersionKind::from_api_version("apps/v1", "ControllerRevision");
    let mut body = protobuf::seal(&gvk, b"");
    for _ in 0..2 * decode::MAX_DEPTH {
        let raw_extension = field(1, &body);
        body = protobuf::seal(&gvk, &field(2, &raw_extension));
    }
    let (_, revision) = type_of("apps/v1", "ControllerRevision");
    let message = protobuf::open(&body).unwrap().message;
    assert_eq!(protobuf::decode(revision, message), Err(ProtobufError::Depth));
}

fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(value.len() as u64, &mut out);
    out.extend_from_slice(value);
    out
}

#[test]
fn custom_resources_have_no_protobuf_form() {
    let mut arena = Arena::clone(Arena::builtin());
    let widget = arena.add(Type::Any);
    assert_eq!(protobuf::decode(widget, &[]), Err(ProtobufError::NoProtobuf));
    assert!(protobuf::encode(widget, &json!({})).is_err());
}

#[test]
fn a_watch_frame_is_a_length_and_an_event() {
    let frame = protobuf::watch_frame("ADDED", b"k8s\0body").unwrap();
    assert_eq!(frame[..4], 19_u32.to_be_bytes());
    let event = k8s_pb::apimachinery::pkg::apis::meta::v1::WatchEvent::decode(&frame[4..]).unwrap();
    assert_eq!(event.r#type(), "ADDED");
    assert_eq!(event.object.unwrap().raw(), b"k8s\0body");
}
