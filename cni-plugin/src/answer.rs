//! Results in the form of the configuration's version.

use serde_json::{Value, json};

use crate::configuration::{Configuration, PreviousResult};
use crate::protocol::{Attached, Interface};
use crate::version::CniVersion;

/// The result of ADD: what earlier plugins of the list have made, and the attachment.
pub(crate) fn result(configuration: &Configuration, namespace: &str, attached: &Attached) -> Value {
    let mut result = match &configuration.previous {
        Some(PreviousResult { document }) if document.is_object() => document.clone(),
        _ => json!({}),
    };
    result["cniVersion"] = json!(configuration.version.as_str());
    let version = configuration.version;
    push(&mut result, "interfaces", interface(version, &attached.host_interface, attached.mtu, None));
    let inside = interface(version, &attached.pod_interface, attached.mtu, Some(namespace));
    let inside = push(&mut result, "interfaces", inside);
    for address in &attached.addresses {
        let text = format!("{}/{}", address.address, address.prefix());
        let mut entry = json!({ "address": text, "gateway": address.gateway, "interface": inside });
        if version < CniVersion::V1_0_0 {
            entry["version"] = json!(if address.address.is_ipv4() { "4" } else { "6" });
        }
        push(&mut result, "ips", entry);
        let everywhere = if address.address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        push(&mut result, "routes", json!({ "dst": everywhere, "gw": address.gateway }));
    }
    if let Some(dns) = &configuration.dns {
        result["dns"] = dns.clone();
    } else if result.get("dns").is_none() {
        result["dns"] = json!({});
    }
    result
}

/// The answer to VERSION.
pub(crate) fn versions(asked: CniVersion) -> Value {
    json!({ "cniVersion": asked.as_str(), "supportedVersions": CniVersion::ALL.map(CniVersion::as_str) })
}

fn interface(version: CniVersion, interface: &Interface, mtu: u32, sandbox: Option<&str>) -> Value {
    let mut entry = json!({ "name": interface.name, "mac": interface.mac });
    if let Some(sandbox) = sandbox {
        entry["sandbox"] = json!(sandbox);
    }
    if version >= CniVersion::V1_1_0 {
        entry["mtu"] = json!(mtu);
    }
    entry
}

/// Appends to a list of a document, and gives the entry's index; what stands in the list's place and is none is replaced.
fn push(document: &mut Value, list: &str, entry: Value) -> usize {
    if let Some(list) = document[list].as_array_mut() {
        list.push(entry);
        return list.len() - 1;
    }
    document[list] = json!([entry]);
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Address;

    fn attached() -> Attached {
        let address = |address: &str, gateway: &str| Address {
            address: address.parse().unwrap(),
            gateway: gateway.parse().unwrap(),
        };
        Attached {
            host_interface: Interface { name: "shv0".into(), mac: "02:00:00:00:00:01".into() },
            pod_interface: Interface { name: "eth0".into(), mac: "02:00:00:00:00:02".into() },
            mtu: 1500,
            addresses: vec![address("10.244.1.5", "169.254.1.1"), address("fd00::5", "fe80::1")],
        }
    }

    fn configuration(extra: Value) -> Configuration {
        let mut document = json!({ "cniVersion": "1.0.0", "name": "pods" });
        document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Configuration::parse(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_result_is_whole_in_every_version() {
        for version in CniVersion::ALL {
            let configuration = configuration(json!({ "cniVersion": version.as_str() }));
            let family = |text: &str| (version < CniVersion::V1_0_0).then(|| text.to_owned());
            let mtu = (version >= CniVersion::V1_1_0).then_some(1500);
            let mut expected = json!({
                "cniVersion": version.as_str(),
                "interfaces": [
                    { "name": "shv0", "mac": "02:00:00:00:00:01" },
                    { "name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/a" },
                ],
                "ips": [
                    { "address": "10.244.1.5/32", "gateway": "169.254.1.1", "interface": 1 },
                    { "address": "fd00::5/128", "gateway": "fe80::1", "interface": 1 },
                ],
                "routes": [{ "dst": "0.0.0.0/0", "gw": "169.254.1.1" }, { "dst": "::/0", "gw": "fe80::1" }],
                "dns": {},
            });
            for (index, text) in ["4", "6"].into_iter().enumerate() {
                if let Some(family) = family(text) {
                    expected["ips"][index]["version"] = json!(family);
                }
                if let Some(mtu) = mtu {
                    expected["interfaces"][index]["mtu"] = json!(mtu);
                }
            }
            assert_eq!(result(&configuration, "/run/netns/a", &attached()), expected, "{version}");
        }
    }

    #[test]
    fn what_earlier_plugins_made_stays_and_indices_still_fit() {
        let previous = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{ "name": "net1", "sandbox": "/run/netns/a" }],
            "ips": [{ "address": "192.168.1.2/24", "interface": 0 }],
        });
        let configuration = configuration(json!({ "prevResult": previous, "dns": { "nameservers": ["10.96.0.10"] } }));
        let result = result(&configuration, "/run/netns/a", &attached());
        assert_eq!(result["ips"][0]["address"], "192.168.1.2/24");
        let index = usize::try_from(result["ips"][1]["interface"].as_u64().unwrap()).unwrap();
        assert_eq!(result["interfaces"][index]["name"], "eth0");
        assert_eq!(result["dns"]["nameservers"][0], "10.96.0.10");
    }
}
