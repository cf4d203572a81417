//! Names and amounts of resources: requests, limits, quotas, capacities.

use super::{NOT_NEGATIVE, Place};
use crate::field::Errors;
use crate::names;
use crate::quantity::Quantity;

/// The prefix of requests in a quota.
const REQUESTS_PREFIX: &str = "requests.";

/// The prefix of huge pages of a size.
const HUGE_PAGES_PREFIX: &str = "hugepages-";

/// What a resource's name must be.
pub(crate) type ResourceRule = fn(&Place<'_>, &str, &mut Errors);

/// Resources of containers.
const CONTAINER_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Resources that a quota can bound, apart from those with a prefix.
const QUOTA_RESOURCES: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
];

/// The requests and limits of a container (or of a whole pod): known resources, amounts that make sense, requests
/// within limits.
pub(crate) fn requirements(resources: &Place<'_>, errors: &mut Errors) {
    let (limits, requests) = (resources.child("limits"), resources.child("requests"));
    resource_list(&limits, container_resource, errors);
    for (name, _) in limits.entries() {
        huge_pages(&limits.key(name), name, errors);
    }
    for (name, request) in requests.entries() {
        container_resource(&request, name, errors);
        amount(&request, name, errors);
        request_within_limit(&limits, &requests, name, errors);
        huge_pages(&request, name, errors);
    }
    let names = || limits.entries().chain(requests.entries()).map(|(name, _)| name);
    let has_huge_pages = names().any(is_huge_pages);
    if has_huge_pages && !names().any(|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(resources, "HugePages require cpu or memory");
    }
}

/// A map of resources to amounts, where each name follows `rule`.
pub(crate) fn resource_list(list: &Place<'_>, rule: ResourceRule, errors: &mut Errors) {
    for (name, value) in list.entries() {
        rule(&value, name, errors);
        amount(&value, name, errors);
    }
}

/// A resource of a container.
pub(crate) fn container_resource(place: &Place<'_>, name: &str, errors: &mut Errors) {
    any_resource(place, name, errors);
    if !name.contains('/') {
        if !CONTAINER_RESOURCES.contains(&name) && !is_huge_pages(name) {
            errors.invalid_as(place, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.invalid_as(place, name, "doesn't follow extended resource name standard");
    }
}

/// A resource that a quota can bound.
pub(crate) fn quota_resource(place: &Place<'_>, name: &str, errors: &mut Errors) {
    any_resource(place, name, errors);
    let bare = name.strip_prefix(REQUESTS_PREFIX).unwrap_or(name);
    if !name.contains('/') && !is_standard_quota_resource(name) && !is_huge_pages(bare) {
        errors.invalid_as(place, name, "must be a standard resource for quota");
    }
}

/// Any qualified name.
pub(crate) fn any_resource(place: &Place<'_>, name: &str, errors: &mut Errors) {
    let reasons = names::qualified_name(name);
    if reasons.is_empty() && !name.contains('/') && !is_standard(name) {
        errors.invalid_as(place, name, "must be a standard resource type or fully qualified");
    }
    for reason in reasons {
        errors.invalid_as(place, name, reason);
    }
}

/// Whether a quota knows the resource without a prefix of its own.
pub(crate) fn is_standard_quota_resource(name: &str) -> bool {
    QUOTA_RESOURCES.contains(&name)
}

/// An amount of a resource: not negative, and whole where the resource is counted.
pub(crate) fn amount(place: &Place<'_>, resource: &str, errors: &mut Errors) {
    let Some(quantity) = Quantity::of(place.value()) else { return };
    not_negative(place, &quantity, errors);
    if is_counted(resource) && quantity.milli_value() % 1000 != 0 {
        errors.invalid_as(place, quantity.to_string(), "must be an integer");
    }
}

/// The quantity must not be negative, where there is one.
pub(crate) fn not_negative(place: &Place<'_>, quantity: &Quantity, errors: &mut Errors) {
    if quantity.is_negative() {
        errors.invalid_as(place, quantity.to_string(), NOT_NEGATIVE);
    }
}

/// The quantity must be more than nothing.
pub(crate) fn positive(place: &Place<'_>, quantity: &Quantity, errors: &mut Errors) {
    if quantity.signum() <= 0 {
        errors.invalid_as(place, quantity.to_string(), "must be greater than zero");
    }
}

/// Whether more of the resource may be promised than there is.
pub(crate) fn is_overcommit_allowed(resource: &str) -> bool {
    is_native(resource) && !is_huge_pages(resource)
}

fn request_within_limit(limits: &Place<'_>, requests: &Place<'_>, name: &str, errors: &mut Errors) {
    let amount = |list: &Place<'_>| list.value().get(name).and_then(Quantity::of);
    let Some(request) = amount(requests) else { return };
    let Some(limit) = amount(limits) else {
        if !is_overcommit_allowed(name) {
            errors.required(limits, "Limit must be set for non overcommitable resources");
        }
        return;
    };
    if request != limit && !is_overcommit_allowed(name) {
        errors.invalid_as(requests, request.to_string(), format!("must be equal to {name} limit of {limit}"));
    } else if request > limit {
        let detail = format!("must be less than or equal to {name} limit of {limit}");
        errors.invalid_as(requests, request.to_string(), detail);
    }
}

fn huge_pages(place: &Place<'_>, name: &str, errors: &mut Errors) {
    let Some(size) = name.strip_prefix(HUGE_PAGES_PREFIX) else { return };
    let (Ok(size), Some(amount)) = (size.parse::<Quantity>(), Quantity::of(place.value())) else { return };
    let (size, units) = (size.value(), amount.value());
    if size <= 0 || units % size != 0 {
        let amount = amount.to_string();
        let detail = format!("{amount} is not positive integer multiple of {name}");
        errors.invalid_as(place, amount, detail);
    }
}

fn is_huge_pages(name: &str) -> bool {
    name.starts_with(HUGE_PAGES_PREFIX)
}

/// A resource of Kubernetes' own: without a prefix, or with one of its domains.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource that somebody else defines, and that a quota can bound.
fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with(REQUESTS_PREFIX)
        && names::qualified_name(&format!("{REQUESTS_PREFIX}{name}")).is_empty()
}

fn is_standard(name: &str) -> bool {
    let bare = name.strip_prefix(REQUESTS_PREFIX).unwrap_or(name);
    is_standard_quota_resource(name) || is_huge_pages(bare)
}

/// Counted in whole units: objects, extended resources.
fn is_counted(name: &str) -> bool {
    let objects = [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    objects.contains(&name) || is_extended(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::check;

    fn refusals(resources: &crate::Document) -> String {
        let document = json!({ "resources": resources });
        let errors = check(&document, |root, errors| requirements(&root.child("resources"), errors));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn requests_and_limits_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"limits": {"cpu": "1"}, "requests": {"cpu": "500m", "memory": "1Gi"}}), ""),
            (
                json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
                "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ),
            (
                json!({"requests": {"cpu": "-1"}}),
                "resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
            (
                json!({"limits": {"disk": "1"}}),
                "resources.limits[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified\n\
                 resources.limits[disk]: Invalid value: \"disk\": must be a standard resource for containers",
            ),
            (
                json!({"requests": {"nvidia.com/gpu": "1"}}),
                "resources.limits: Required value: Limit must be set for non overcommitable resources",
            ),
            (json!({"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}), ""),
            (
                json!({"limits": {"nvidia.com/gpu": "500m"}}),
                "resources.limits[nvidia.com/gpu]: Invalid value: \"500m\": must be an integer",
            ),
            (
                json!({"limits": {"nvidia.com/gpu": "2"}, "requests": {"nvidia.com/gpu": "1"}}),
                "resources.requests: Invalid value: \"1\": must be equal to nvidia.com/gpu limit of 2",
            ),
            (
                json!({"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}),
                "resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of \
                 hugepages-2Mi",
            ),
            (json!({"limits": {"hugepages-2Mi": "4Mi"}}), "resources: Forbidden: HugePages require cpu or memory"),
        ];
        for (resources, expected) in table {
            assert_eq!(refusals(&resources), expected, "{resources}");
        }
    }
}
