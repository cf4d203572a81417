//! Which address families a Service has: `ipFamilyPolicy` and `ipFamilies` (KEP-563).

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde_json::json;
use sheave_api::Document;
use sheave_api::field::{Cause, FieldError, Path};
use sheave_api::view::{Edit, View};

use super::{is_external_name, is_headless};
use crate::options::Options;

/// Fills in policy and families, or says why the cluster cannot have them.
pub(super) fn complete(options: &Options, service: &mut Document, errors: &mut Vec<FieldError>) {
    if is_external_name(service) {
        return;
    }
    let configured: Vec<&str> = options.service_cidrs.iter().map(family_of_range).collect();
    let mut families = wanted(service);
    for (index, family) in families.iter().enumerate() {
        if !configured.contains(&family.as_str()) {
            let path = Path::new("spec").child("ipFamilies").index(index);
            errors.push(invalid(path, family, "not configured on this cluster"));
        }
    }
    let policy = policy(service, &families);
    if policy == "RequireDualStack" && configured.len() < 2 && !is_selectorless_headless(service) {
        let path = Path::new("spec").child("ipFamilyPolicy");
        errors.push(invalid(path, policy, "this cluster is not configured for dual-stack services"));
    }
    if families.is_empty() {
        families.extend(configured.first().map(|&family| family.to_owned()));
    }
    if policy != "SingleStack" {
        let second = configured.iter().find(|&&family| !families.iter().any(|it| it == family));
        families.extend(second.map(|&family| family.to_owned()));
    }
    let single = policy == "SingleStack";
    families.truncate(if single { 1 } else { 2 });
    let policy = policy.to_owned();
    service.put("spec.ipFamilyPolicy", policy);
    service.put("spec.ipFamilies", json!(families));
}

/// The families that the user names, or those of the addresses that the user names.
fn wanted(service: &Document) -> Vec<String> {
    let named: Vec<String> = service.texts("spec.ipFamilies").map(ToOwned::to_owned).collect();
    if !named.is_empty() {
        return named;
    }
    let addresses = service.texts("spec.clusterIPs").filter_map(|address| address.parse().ok());
    addresses.map(|address: IpAddr| family(address).to_owned()).collect()
}

fn policy<'a>(service: &'a Document, families: &[String]) -> &'a str {
    match service.text("spec.ipFamilyPolicy") {
        "" if is_selectorless_headless(service) => "RequireDualStack",
        "" if families.len() > 1 => "RequireDualStack",
        "" => "SingleStack",
        policy => policy,
    }
}

/// A headless Service without a selector may get endpoints of any family.
fn is_selectorless_headless(service: &Document) -> bool {
    is_headless(service) && service.fields("spec.selector").is_empty()
}

/// `IPv4` or `IPv6`.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

pub(super) fn family_of_range(range: &IpNetwork) -> &'static str {
    if range.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn invalid(path: Path, value: &str, why: &str) -> FieldError {
    FieldError { path, cause: Cause::Invalid, message: format!("Invalid value: {value:?}: {why}") }
}
