//! From the name in a proxied path to an address.

use rand::seq::IndexedRandom as _;
use sheave_api::Document;
use sheave_api::view::View as _;

use super::connector::Destination;
use super::kubelet;
use crate::call::{self, Call};
use crate::status::StatusError;

/// `[scheme:]name[:port]`, as `net.SplitSchemeNamePort` upstream reads it.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    is_tls: bool,
    name: &'a str,
    port: &'a str,
}

/// Where a proxied request for the object in the path goes.
pub(super) fn destination(call: &Call) -> Result<Destination, StatusError> {
    let plural = call.kind.plural.as_str();
    let id = call.name();
    let reference = Reference::parse(id).ok_or_else(|| {
        let kind = plural.strip_suffix('s').unwrap_or(plural);
        StatusError::bad_request(format!("invalid {kind} request {id:?}"))
    })?;
    match plural {
        "nodes" => node(call, &reference),
        "services" => service(call, &reference),
        _ => pod(call, &reference),
    }
}

/// A node's kubelet, or another port of the node. Only the kubelet gets this server's certificate.
fn node(call: &Call, reference: &Reference<'_>) -> Result<Destination, StatusError> {
    let node = kubelet::node(call, reference.name)?;
    let (host, own) = (kubelet::host(&node)?, kubelet::port(&node));
    let port = if reference.port.is_empty() { own } else { number(reference.port)? };
    if port == own {
        return Ok(Destination::Kubelet { host, port, is_verified: true });
    }
    Ok(Destination::Backend { host, port, is_tls: reference.is_tls })
}

fn pod(call: &Call, reference: &Reference<'_>) -> Result<Destination, StatusError> {
    let pod = object(call, "", "pods", reference.name)?;
    let ports = pod.list("spec.containers").iter().flat_map(|container| container.list("ports"));
    let port = if reference.port.is_empty() {
        ports
            .filter_map(|port| port.int("containerPort"))
            .next()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(80)
    } else {
        number(reference.port)?
    };
    let host = pod.text("status.podIP");
    if host.is_empty() {
        return Err(StatusError::unavailable(format!("pod {:?} has no address yet", reference.name)));
    }
    Ok(Destination::Backend { host: proxyable(host)?, port, is_tls: reference.is_tls })
}

fn service(call: &Call, reference: &Reference<'_>) -> Result<Destination, StatusError> {
    let service = object(call, "", "services", reference.name)?;
    let port = port_name(&service, reference)?;
    let endpoints = call.of_kind("", "v1", "endpoints", Some(reference.name))?;
    let none = || StatusError::unavailable(format!("no endpoints available for service {:?}", reference.name));
    let endpoints = call.server.store.get(&endpoints.key()).ok_or_else(none)?;
    let endpoints = call::decode(&endpoints)?;
    let ready: Vec<(&str, i64)> = endpoints
        .list("subsets")
        .iter()
        .filter_map(|subset| {
            let port = subset.list("ports").iter().find(|it| it.text("name") == port)?.int("port")?;
            Some(subset.list("addresses").iter().map(move |address| (address.text("ip"), port)))
        })
        .flatten()
        .collect();
    let &(host, port) = ready.choose(&mut rand::rng()).ok_or_else(none)?;
    let port = u16::try_from(port).map_err(|_| none())?;
    Ok(Destination::Backend { host: proxyable(host)?, port, is_tls: reference.is_tls })
}

/// The name of the service's port; a number stands for the port that has it, and nothing for the only one.
fn port_name<'a>(service: &'a Document, reference: &Reference<'a>) -> Result<&'a str, StatusError> {
    let ports = service.list("spec.ports");
    let asked = reference.port;
    match ports {
        [only] if asked.is_empty() => return Ok(only.text("name")),
        _ if asked.is_empty() => return Ok(""),
        _ => {}
    }
    let has =
        |port: &&Document| port.text("name") == asked || port.int("port").is_some_and(|it| it.to_string() == asked);
    ports.iter().find(has).map(|port| port.text("name")).ok_or_else(|| {
        StatusError::unavailable(format!("no service port {asked:?} found for service {:?}", reference.name))
    })
}

fn object(call: &Call, group: &str, plural: &str, name: &str) -> Result<Document, StatusError> {
    call::decode(&call.of_kind(group, "v1", plural, Some(name))?.entry()?)
}

fn number(port: &str) -> Result<u16, StatusError> {
    let parsed = port.parse().ok().filter(|&port| port > 0);
    parsed.ok_or_else(|| StatusError::bad_request(format!("invalid port {port:?}: must be between 1 and 65535")))
}

/// An address in a status or in Endpoints is what somebody wrote there: this server must not be made to call itself or
/// its own link (CVE-2020-8555 and the like).
fn proxyable(host: &str) -> Result<String, StatusError> {
    let refused = || StatusError::bad_request(format!("address not allowed: {host}"));
    let address: std::net::IpAddr = host.parse().map_err(|_| refused())?;
    let is_link_local = match address {
        std::net::IpAddr::V4(address) => address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let mapped_loopback = address.to_canonical().is_loopback();
    if address.is_loopback() || mapped_loopback || address.is_unspecified() || address.is_multicast() || is_link_local {
        return Err(refused());
    }
    Ok(host.to_owned())
}

/// The prefix of proxied paths of the object in the path, without a slash at its end.
pub(super) fn prefix(call: &Call) -> String {
    let collection = match call.namespace() {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/{}", call.kind.plural),
        None => format!("/api/v1/{}", call.kind.plural),
    };
    format!("{collection}/{}/proxy", call.name())
}

// === impl Reference ===

impl<'a> Reference<'a> {
    fn parse(id: &'a str) -> Option<Self> {
        let parts: Vec<&str> = id.split(':').collect();
        let (scheme, name, port) = match parts.as_slice() {
            [name] => ("", *name, ""),
            [name, port] => ("", *name, *port),
            [scheme, name, port] => (*scheme, *name, *port),
            _ => return None,
        };
        let is_known = matches!(scheme, "" | "http" | "https");
        let is_port = port.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (is_known && is_port && !name.is_empty()).then_some(Self { is_tls: scheme == "https", name, port })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_names_a_scheme_an_object_and_a_port() {
        let reference = |is_tls, name, port| Some(Reference { is_tls, name, port });
        for (id, expected) in [
            ("web", reference(false, "web", "")),
            ("web:80", reference(false, "web", "80")),
            ("web:http", reference(false, "web", "http")),
            ("https:web:", reference(true, "web", "")),
            ("http:web:80", reference(false, "web", "80")),
            ("ftp:web:80", None),
            (":80", None),
            ("a:b:c:d", None),
            ("web:8 0", None),
        ] {
            assert_eq!(Reference::parse(id), expected, "{id}");
        }
    }

    #[test]
    fn a_port_is_found_by_name_by_number_and_by_being_the_only_one() {
        let two = json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 443}]}});
        let one = json!({"spec": {"ports": [{"port": 80}]}});
        for (service, id, expected) in [
            (&two, "s:b", Ok("b")),
            (&two, "s:443", Ok("b")),
            (&one, "s", Ok("")),
            (&one, "s:80", Ok("")),
            (&two, "s:81", Err("no service port \"81\" found for service \"s\"")),
        ] {
            let found = port_name(service, &Reference::parse(id).unwrap()).map_err(|error| error.message().to_owned());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{id}");
        }
    }

    #[test]
    fn nobody_is_made_to_call_themselves() {
        for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "fe80::1", "224.0.0.1", "n1"]
        {
            assert!(proxyable(host).is_err(), "{host}");
        }
        assert!(proxyable("10.244.0.7").is_ok() && proxyable("fd00:10:244::7").is_ok());
    }
}
