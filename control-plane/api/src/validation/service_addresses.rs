//! Ranges of service addresses, and the addresses taken from them.

use super::net;
use super::{IMMUTABLE, Place, immutable, path_segment, subdomain};
use crate::Document;
use crate::field::Errors;
use crate::names;
use crate::view::View;

/// An `IPAddress`, metadata apart.
pub(crate) fn address(address: &Place<'_>, errors: &mut Errors) {
    let parent = address.child("spec.parentRef");
    if !parent.is_set() {
        errors.required(&parent, "");
        return;
    }
    let (group, namespace) = (parent.child("group"), parent.child("namespace"));
    if !group.text().is_empty() {
        subdomain(&group, errors);
    }
    path_segment(&parent.child("resource"), "", errors);
    path_segment(&parent.child("name"), "", errors);
    if !namespace.text().is_empty() {
        errors.reasons(&namespace, names::path_segment(namespace.text()));
    }
}

/// An update of an `IPAddress`: what it was taken for stays.
pub(crate) fn address_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    immutable(&new.child("spec.parentRef"), old.at("spec.parentRef"), errors);
}

/// A `ServiceCIDR`, metadata apart: one range, or one of each family.
pub(crate) fn range(object: &Place<'_>, errors: &mut Errors) {
    let ranges = object.child("spec.cidrs");
    if ranges.len() == 0 {
        errors.required(&ranges, "at least one CIDR required");
        return;
    }
    if ranges.len() > 2 {
        errors.invalid(&ranges, "may only hold up to 2 values");
        return;
    }
    for range in ranges.items() {
        net::canonical_cidr(&range, errors);
    }
    let families: Vec<_> = ranges
        .items()
        .filter_map(|range| net::parse_cidr(range.text()))
        .map(|(network, _)| net::family(network))
        .collect();
    if matches!(families[..], [first, second] if first == second) {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(&ranges, detail);
    }
}

/// An update of a `ServiceCIDR`: a second family may be added, what is there stays.
pub(crate) fn range_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    let ranges = new.child("spec.cidrs");
    let before = old.list("spec.cidrs");
    if ranges.len() < before.len() {
        errors.invalid(&ranges, IMMUTABLE);
        return;
    }
    for (range, before) in ranges.items().zip(before) {
        if range.value() != before {
            errors.invalid(&range, IMMUTABLE);
        }
    }
    range(new, errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{refusals, refusals_of_spec, refusals_of_update};

    const GROUP: &str = "networking.k8s.io";

    #[test]
    fn ranges_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"cidrs": ["10.0.0.0/16", "fd00::/108"]}), ""),
            (json!({}), "spec.cidrs: Required value: at least one CIDR required"),
            (
                json!({"cidrs": ["10.0.0.0/16", "10.1.0.0/16"]}),
                "spec.cidrs: Invalid value: [\"10.0.0.0/16\",\"10.1.0.0/16\"]: may specify no more than one IP for each \
                 IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(refusals_of_spec(GROUP, "ServiceCIDR", &spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_range_can_get_a_second_family_but_not_change() {
        let of = |ranges: &[&str]| json!({"spec": {"cidrs": ranges}});
        let one = of(&["10.0.0.0/16"]);
        assert_eq!(refusals_of_update(GROUP, "ServiceCIDR", &one, &of(&["10.0.0.0/16", "fd00::/108"])), "");
        assert_eq!(
            refusals_of_update(GROUP, "ServiceCIDR", &one, &of(&["10.1.0.0/16"])),
            "spec.cidrs[0]: Invalid value: \"10.1.0.0/16\": field is immutable"
        );
    }

    #[test]
    fn an_address_is_named_by_itself() {
        let named = |name: &str| {
            let spec = json!({"parentRef": {"resource": "services", "name": "a", "namespace": "b"}});
            refusals(GROUP, "IPAddress", &json!({"metadata": {"name": name}, "spec": spec}))
        };
        assert_eq!(named("10.0.0.1"), "");
        assert_eq!(named("fd00::1"), "");
        assert_eq!(
            named("fd00:0::1"),
            "metadata.name: Invalid value: \"fd00:0::1\": must be in canonical form (\"fd00::1\")"
        );
        assert_eq!(
            named("web"),
            "metadata.name: Invalid value: \"web\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        );
    }
}
