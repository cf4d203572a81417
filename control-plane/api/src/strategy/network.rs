//! What else belongs to the network: endpoints, ingresses, policies, addresses.

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::Errors;
use crate::kind::Scope;
use crate::strategy::rules::{FOLLOWS_SPEC, Generation, Rules};
use crate::validation::metadata::NameRule;
use crate::validation::{Place, endpoints, ingress, net, network_policy, service_addresses};

/// core/v1 Endpoints
pub(super) struct Endpoints;

/// discovery.k8s.io/v1 `EndpointSlice`
pub(super) struct EndpointSlice;

/// networking.k8s.io/v1 Ingress
pub(super) struct Ingress;

/// networking.k8s.io/v1 `IngressClass`
pub(super) struct IngressClass;

/// networking.k8s.io/v1 `NetworkPolicy`
pub(super) struct NetworkPolicy;

/// networking.k8s.io/v1 `ServiceCIDR`
pub(super) struct ServiceCidr;

/// networking.k8s.io/v1 `IPAddress`
pub(super) struct IpAddress;

// === impl Endpoints ===

impl Rules for Endpoints {
    const TABLE: Table = columns::network::ENDPOINTS;
    const CREATE_ON_UPDATE: bool = true;

    fn default(object: &mut Document) {
        defaults::service::endpoints(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        endpoints::endpoints(object, errors);
    }
}

// === impl EndpointSlice ===

impl Rules for EndpointSlice {
    const GENERATION: Generation = Generation::Tracks(&["addressType", "endpoints", "ports", "metadata.labels"]);
    const TABLE: Table = columns::network::ENDPOINT_SLICE;

    fn default(object: &mut Document) {
        defaults::service::endpoint_slice(object);
    }

    fn validate(slice: &Place<'_>, errors: &mut Errors) {
        endpoints::slice(slice, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        endpoints::slice_update(new, old, errors);
    }
}

// === impl Ingress ===

impl Rules for Ingress {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::network::INGRESS;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        ingress::create(object, errors);
    }

    fn validate_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        ingress::ingress(new, errors);
    }

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        ingress::status(new, errors);
    }
}

// === impl IngressClass ===

impl Rules for IngressClass {
    const SCOPE: Scope = Scope::Cluster;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::network::INGRESS_CLASS;

    fn default(object: &mut Document) {
        defaults::service::ingress_class(object);
    }

    fn validate(class: &Place<'_>, errors: &mut Errors) {
        ingress::class(class, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        ingress::class_update(new, old, errors);
    }
}

// === impl NetworkPolicy ===

impl Rules for NetworkPolicy {
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::network::NETWORK_POLICY;

    fn default(object: &mut Document) {
        defaults::service::network_policy(object);
    }

    fn validate(policy: &Place<'_>, errors: &mut Errors) {
        network_policy::network_policy(policy, errors);
    }
}

// === impl ServiceCidr ===

impl Rules for ServiceCidr {
    const SCOPE: Scope = Scope::Cluster;
    const STATUS: bool = true;
    const TABLE: Table = columns::network::SERVICE_CIDR;

    fn validate(range: &Place<'_>, errors: &mut Errors) {
        service_addresses::range(range, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        service_addresses::range_update(new, old, errors);
    }
}

// === impl IpAddress ===

impl Rules for IpAddress {
    const SCOPE: Scope = Scope::Cluster;
    const NAME: NameRule = net::canonical_ip;
    const TABLE: Table = columns::network::IP_ADDRESS;

    fn validate(address: &Place<'_>, errors: &mut Errors) {
        service_addresses::address(address, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        service_addresses::address_update(new, old, errors);
    }
}
