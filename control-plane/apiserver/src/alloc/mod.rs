//! What a Service needs for itself alone: cluster IPs, node ports, a health-check port.
//!
//! Each is reserved by a key of its own, written in the transaction that writes the Service and expected to be absent:
//! nothing is handed out twice, whoever races and whenever the process dies. An address's key holds the `IPAddress`
//! object that Kubernetes shows for it; a port's key holds the name of its Service.

mod addresses;
mod families;
mod ports;
mod repair;
mod reservation;

pub(crate) use addresses::nth;
pub(crate) use repair::repair;

use sheave_api::Document;
use sheave_api::field::FieldError;
use sheave_api::view::{Edit, View};
use sheave_store::{Operation, Store};

use crate::options::Options;
use reservation::Reservations;

/// Completes a new or changed Service and says what must be reserved and released with it.
///
/// # Errors
/// Every address and port that cannot be had.
pub(crate) fn reserve(
    store: &Store,
    options: &Options,
    service: &mut Document,
    old: Option<&Document>,
) -> Result<Vec<Operation>, Vec<FieldError>> {
    let mut errors = Vec::new();
    families::complete(options, service, &mut errors);
    if errors.is_empty() {
        addresses::complete(store, options, service, old, &mut errors);
        ports::complete(store, options, service, old, &mut errors);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (wanted, held) = (Reservations::of(service), old.map(Reservations::of).unwrap_or_default());
    Ok(wanted.operations(&held, service))
}

/// An update that does not mention the address families keeps them.
pub(crate) fn carry_over(service: &mut Document, old: &Document) {
    if is_external_name(service) || is_external_name(old) {
        return;
    }
    for field in ["spec.ipFamilyPolicy", "spec.ipFamilies"] {
        if !service.has(field) {
            service.copy_from(old, field);
        }
    }
}

/// What a removed Service gives back.
pub(crate) fn released(service: &Document) -> Vec<Operation> {
    Reservations::default().operations(&Reservations::of(service), service)
}

fn is_external_name(service: &Document) -> bool {
    service.text("spec.type") == "ExternalName"
}

fn is_headless(service: &Document) -> bool {
    service.text("spec.clusterIP") == "None"
}
