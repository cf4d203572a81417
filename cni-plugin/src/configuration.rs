//! The network configuration on standard input.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::environment::is_identifier;
use crate::error::{CniError, Code};
use crate::protocol::{Attachment, DEFAULT_SOCKET};
use crate::version::CniVersion;

/// A configuration that was found to be sound.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) version: CniVersion,
    /// Name of the network.
    pub(crate) name: String,
    /// Where the agent answers.
    pub(crate) socket: PathBuf,
    /// Name servers and search domains for the result; the plugin hands them on.
    pub(crate) dns: Option<Value>,
    /// What the plugins before this one have made.
    pub(crate) previous: Option<PreviousResult>,
    /// Attachments that GC must leave alone; none when the field is missing.
    pub(crate) valid_attachments: Option<Vec<Attachment>>,
}

/// `prevResult`: kept whole to be handed on, and its addresses for comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PreviousResult {
    pub(crate) document: Value,
}

/// The document as it comes. Fields that are not here are other plugins' or the runtime's.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "cniVersion")]
    version: Option<String>,
    name: Option<String>,
    ipam: Option<Value>,
    dns: Option<Value>,
    #[serde(rename = "agentSocket")]
    socket: Option<PathBuf>,
    #[serde(rename = "prevResult")]
    previous: Option<Value>,
    /// `null` is an empty list here, and a missing field is none.
    #[serde(rename = "cni.dev/valid-attachments", default, deserialize_with = "present")]
    valid_attachments: Option<Option<Vec<ValidAttachment>>>,
}

#[derive(Deserialize)]
struct ValidAttachment {
    #[serde(rename = "containerID")]
    container: String,
    ifname: String,
}

// === impl Configuration ===

impl Configuration {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, CniError> {
        let document: Document = serde_json::from_slice(input).map_err(|error| {
            CniError::new(Code::Decode, format!("cannot read the network configuration on standard input: {error}"))
        })?;
        let version = version(document.version.as_deref())?;
        let name = document.name.unwrap_or_default();
        if !is_identifier(&name) {
            let rule = "a network's name begins with a letter or digit and goes on with these, `_`, `.` and `-`";
            return Err(invalid(format!("`name` is {name:?}: {rule}")));
        }
        if document.ipam.is_some_and(|ipam| ipam != serde_json::json!({})) {
            let message =
                "`ipam` is set: the agent gives addresses out itself, from its node's spec.podCIDRs; remove it";
            return Err(CniError::new(Code::UnsupportedField, message));
        }
        let socket = document.socket.unwrap_or_else(|| DEFAULT_SOCKET.into());
        if !socket.is_absolute() {
            return Err(invalid(format!("`agentSocket` is {}: it must be an absolute path", socket.display())));
        }
        let own = |valid: ValidAttachment| Attachment {
            network: name.clone(),
            container: valid.container,
            interface: valid.ifname,
        };
        let valid_attachments = document.valid_attachments.map(|list| list.unwrap_or_default());
        let valid_attachments = valid_attachments.map(|list| list.into_iter().map(own).collect());
        let previous = document.previous.map(|document| PreviousResult { document });
        Ok(Self { version, name, socket, dns: document.dns, previous, valid_attachments })
    }

    /// Refuses a verb that the configuration's version does not have.
    pub(crate) fn must_have(&self, verb: &str, since: CniVersion) -> Result<(), CniError> {
        if self.version >= since {
            return Ok(());
        }
        let message =
            format!("the configuration has version {}, which has no {verb}: it is there since {since}", self.version);
        Err(CniError::new(Code::IncompatibleVersion, message))
    }
}

// === impl PreviousResult ===

impl PreviousResult {
    /// The addresses of an interface in a container, or nothing when the result has no such interface.
    ///
    /// An address without an interface counts for every one.
    pub(crate) fn addresses_of(&self, interface: &str) -> Result<Option<Vec<IpAddr>>, CniError> {
        let list =
            |name: &str| self.document.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let inside =
            |entry: &Value| entry["name"] == interface && entry["sandbox"].as_str().is_some_and(|it| !it.is_empty());
        let Some(index) = list("interfaces").iter().position(inside) else { return Ok(None) };
        let of_it =
            |entry: &&Value| entry["interface"].as_u64().is_none_or(|number| usize::try_from(number) == Ok(index));
        let addresses = list("ips").iter().filter(of_it).map(|entry| {
            let text = entry["address"].as_str().unwrap_or_default();
            let address = text.split('/').next().and_then(|address| address.parse().ok());
            address.ok_or_else(|| invalid(format!("`prevResult` has an address {text:?} that is none")))
        });
        addresses.collect::<Result<_, _>>().map(Some)
    }
}

/// The version that a configuration names, if it is one that the plugin speaks.
pub(crate) fn version_of(input: &[u8]) -> Option<CniVersion> {
    let document: Value = serde_json::from_slice(input).ok()?;
    document["cniVersion"].as_str()?.parse().ok()
}

fn version(text: Option<&str>) -> Result<CniVersion, CniError> {
    // A configuration without a version is one of 0.1.0, says the specification.
    let text = text.unwrap_or("0.1.0");
    text.parse().map_err(|()| {
        let spoken = CniVersion::ALL.map(CniVersion::as_str).join(", ");
        let message = format!("the configuration has version {text:?}; this plugin speaks {spoken}");
        CniError::new(Code::IncompatibleVersion, message)
    })
}

fn invalid(message: String) -> CniError {
    CniError::new(Code::InvalidConfiguration, message)
}

fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(document: &Value) -> Result<Configuration, CniError> {
        Configuration::parse(document.to_string().as_bytes())
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_with_the_code_of_the_specification() {
        for (document, code, word) in [
            (json!({ "name": "pods" }), Code::IncompatibleVersion, "0.1.0"),
            (json!({ "cniVersion": "0.2.0", "name": "pods" }), Code::IncompatibleVersion, "0.2.0"),
            (json!({ "cniVersion": "2.0.0", "name": "pods" }), Code::IncompatibleVersion, "1.1.0"),
            (json!({ "cniVersion": "1.0.0" }), Code::InvalidConfiguration, "`name`"),
            (json!({ "cniVersion": "1.0.0", "name": "/a" }), Code::InvalidConfiguration, "`name`"),
            (
                json!({ "cniVersion": "1.0.0", "name": "a", "ipam": { "type": "host-local" } }),
                Code::UnsupportedField,
                "ipam",
            ),
            (
                json!({ "cniVersion": "1.0.0", "name": "a", "agentSocket": "a" }),
                Code::InvalidConfiguration,
                "agentSocket",
            ),
            (json!({ "cniVersion": 1, "name": "a" }), Code::Decode, "invalid type"),
            (json!([]), Code::Decode, ""),
        ] {
            let error = parse(&document).unwrap_err();
            assert_eq!(error.code, code, "{document}");
            assert!(error.message.contains(word), "{error}");
        }
        assert_eq!(Configuration::parse(b"{").unwrap_err().code, Code::Decode);
    }

    #[test]
    fn a_missing_list_of_valid_attachments_is_told_from_an_empty_one() {
        let of = |extra: Value| {
            let mut document = json!({ "cniVersion": "1.1.0", "name": "pods" });
            document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            parse(&document).unwrap().valid_attachments
        };
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({ "cni.dev/valid-attachments": null })), Some(vec![]));
        assert_eq!(of(json!({ "cni.dev/valid-attachments": [] })), Some(vec![]));
        let one = of(json!({ "cni.dev/valid-attachments": [{ "containerID": "c", "ifname": "eth0" }] }));
        let expected = Attachment { network: "pods".into(), container: "c".into(), interface: "eth0".into() };
        assert_eq!(one, Some(vec![expected]));
    }

    #[test]
    fn addresses_of_a_previous_result_are_those_of_the_named_interface() {
        let document = json!({
            "interfaces": [{ "name": "eth0" }, { "name": "eth0", "sandbox": "/run/netns/a" }, { "name": "net1", "sandbox": "/a" }],
            "ips": [
                { "address": "10.1.0.5/32", "interface": 1 },
                { "address": "fd00::5/128" },
                { "address": "10.2.0.5/24", "interface": 2 },
            ],
        });
        let previous = PreviousResult { document };
        let expected: Vec<IpAddr> = ["10.1.0.5", "fd00::5"].map(|text| text.parse().unwrap()).into();
        assert_eq!(previous.addresses_of("eth0"), Ok(Some(expected)));
        assert_eq!(previous.addresses_of("eth1"), Ok(None));
        let broken = PreviousResult {
            document: json!({ "interfaces": [{ "name": "eth0", "sandbox": "/a" }], "ips": [{ "address": "x" }] }),
        };
        assert_eq!(broken.addresses_of("eth0").unwrap_err().code, Code::InvalidConfiguration);
    }

    proptest::proptest! {
        #[test]
        fn no_input_makes_it_panic(bytes: Vec<u8>) {
            let _ = Configuration::parse(&bytes);
            let _ = version_of(&bytes);
        }
    }
}
