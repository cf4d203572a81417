//! Probes and what is done when a container starts and stops.

use crate::Document;
use crate::field::Errors;
use crate::names;
use crate::validation::{Place, not_negative, positive};
use crate::view::View;

/// Ways to ask or tell a container something.
const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// `lifecycle` and the three probes of a container.
pub(super) fn lifecycle_and_probes(container: &Place<'_>, spec: &Place<'_>, errors: &mut Errors) {
    let lifecycle = container.child("lifecycle");
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.child(hook);
        if hook.is_set() {
            handler(&hook, &["exec", "httpGet", "tcpSocket", "sleep"], spec, errors);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let place = container.child(name);
        if !place.is_set() {
            continue;
        }
        probe(&place, spec, errors);
        if name == "readinessProbe" {
            let period = place.child("terminationGracePeriodSeconds");
            if period.is_set() {
                errors.invalid(&period, "must not be set for readinessProbes");
            }
        } else {
            let threshold = place.child("successThreshold");
            if threshold.int() != Some(1) {
                errors.invalid_int(&threshold, "must be 1");
            }
        }
    }
}

fn probe(probe: &Place<'_>, spec: &Place<'_>, errors: &mut Errors) {
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], spec, errors);
    for name in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        not_negative(&probe.child(name), errors);
    }
    let period = probe.child("terminationGracePeriodSeconds");
    if period.is_set() {
        positive(&period, errors);
    }
}

/// Exactly one of the ways that are possible here.
fn handler(holder: &Place<'_>, possible: &[&str], spec: &Place<'_>, errors: &mut Errors) {
    let mut given = 0;
    for name in HANDLERS.into_iter().filter(|name| possible.contains(name)) {
        let place = holder.child(name);
        if !place.is_set() {
            continue;
        }
        given += 1;
        if given > 1 {
            errors.forbidden(&place, "may not specify more than 1 handler type");
            continue;
        }
        match name {
            "exec" => {
                let command = place.child("command");
                if command.len() == 0 {
                    errors.required(&command, "");
                }
            }
            "httpGet" => http_get(&place, errors),
            "sleep" => sleep(&place, spec, errors),
            _ => port_number_or_name(&place.child("port"), errors),
        }
    }
    if given == 0 {
        errors.required(holder, "must specify a handler type");
    }
}

fn http_get(get: &Place<'_>, errors: &mut Errors) {
    crate::validation::required_text(&get.child("path"), errors);
    port_number_or_name(&get.child("port"), errors);
    crate::validation::one_of(&get.child("scheme"), &["HTTP", "HTTPS"], errors);
    let headers = get.child("httpHeaders");
    for header in headers.items() {
        let name = header.value().text("name");
        for reason in names::http_header(name) {
            errors.invalid_as(&headers, name, reason);
        }
    }
}

fn sleep(sleep: &Place<'_>, spec: &Place<'_>, errors: &mut Errors) {
    let seconds = sleep.value().int("seconds").unwrap_or_default();
    let grace_period = spec.value().int("terminationGracePeriodSeconds").unwrap_or_default();
    if seconds < 0 || seconds > grace_period {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace_period})");
        errors.invalid_as(sleep, seconds, detail);
    }
}

/// A port by number or by the name that a container gives it.
pub(crate) fn port_number_or_name(port: &Place<'_>, errors: &mut Errors) {
    match port.value() {
        Document::String(name) => errors.reasons(port, names::port_name(name)),
        _ => crate::validation::port_number(port, errors),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::refusals_of_spec;

    fn refusals(fields: &crate::Document) -> String {
        let mut container = json!({"name": "a", "image": "x"});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        refusals_of_spec(&json!({"containers": [container]})).replace("spec.containers[0].", "")
    }

    #[test]
    fn probes_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"livenessProbe": {"httpGet": {"port": 80}}}), ""),
            (json!({"readinessProbe": {"exec": {"command": ["true"]}, "successThreshold": 3}}), ""),
            (json!({"livenessProbe": {}}), "livenessProbe: Required value: must specify a handler type"),
            (
                json!({"livenessProbe": {"tcpSocket": {"port": 80}, "httpGet": {"port": 80}}}),
                "livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            ),
            (
                json!({"livenessProbe": {"tcpSocket": {"port": 80}, "successThreshold": 2}}),
                "livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ),
            (
                json!({"startupProbe": {"tcpSocket": {"port": "WEB"}}}),
                "startupProbe.tcpSocket.port: Invalid value: \"WEB\": must contain only alpha-numeric characters (a-z, \
                 0-9), and hyphens (-)\nstartupProbe.tcpSocket.port: Invalid value: \"WEB\": must contain at least one \
                 letter (a-z)",
            ),
            (
                json!({"readinessProbe": {"tcpSocket": {"port": 80}, "terminationGracePeriodSeconds": 5}}),
                "readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
            ),
            (
                json!({"livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": -1}}),
                "livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            ),
            (json!({"livenessProbe": {"exec": {}}}), "livenessProbe.exec.command: Required value"),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals(&fields), expected, "{fields}");
        }
    }

    #[test]
    fn hooks_may_sleep_within_the_grace_period() {
        assert_eq!(refusals(&json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}})), "");
        assert_eq!(
            refusals(&json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}})),
            "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
             terminationGracePeriodSeconds (30)"
        );
    }
}
