//! What must hold of a document before it is stored, in the words of Kubernetes 1.35.
//!
//! Rules read places (a value and its path) and add what they refuse to a list, so one answer names all errors.

pub(crate) mod autoscaling;
pub(crate) mod certificates;
pub(crate) mod classes;
pub(crate) mod cluster;
pub(crate) mod configuration;
pub(crate) mod cron_job;
pub(crate) mod disruption;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod ingress;
pub(crate) mod int_or_percent;
pub(crate) mod job;
pub(crate) mod labels;
pub(crate) mod metadata;
pub(crate) mod net;
pub(crate) mod network_policy;
pub(crate) mod place;
pub(crate) mod pod;
pub(crate) mod quota;
pub(crate) mod rbac;
pub(crate) mod resources;
pub(crate) mod service;
pub(crate) mod service_addresses;
pub(crate) mod storage;
pub(crate) mod storage_classes;
pub(crate) mod volume_sources;
pub(crate) mod workloads;

use crate::Document;
use crate::field::{Errors, FieldError};
use crate::names;
use crate::view::equivalent;

pub use metadata::check_field_manager;
pub(crate) use place::Place;

/// What an update of a fixed field is answered with.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// What a negative count is answered with.
pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Runs `rules` over a document.
pub(crate) fn check(document: &Document, rules: impl FnOnce(&Place<'_>, &mut Errors)) -> Vec<FieldError> {
    let mut errors = Errors::new();
    rules(&Place::root(document), &mut errors);
    errors.into_vec()
}

/// The text must be given and be one of `supported`.
pub(crate) fn required_one_of(place: &Place<'_>, supported: &[&str], errors: &mut Errors) {
    if place.text().is_empty() {
        errors.required(place, "");
    } else {
        one_of(place, supported, errors);
    }
}

/// The text must be one of `supported`, the empty one included only if it is listed.
pub(crate) fn one_of(place: &Place<'_>, supported: &[&str], errors: &mut Errors) {
    if !supported.contains(&place.text()) {
        errors.not_supported(place, supported);
    }
}

/// The text must be one of `supported` where it is given.
pub(crate) fn optional_one_of(place: &Place<'_>, supported: &[&str], errors: &mut Errors) {
    if place.is_set() {
        one_of(place, supported, errors);
    }
}

/// The text must not be empty.
pub(crate) fn required_text(place: &Place<'_>, errors: &mut Errors) {
    if place.text().is_empty() {
        errors.required(place, "");
    }
}

/// The integer must not be negative where it is given.
pub(crate) fn not_negative(place: &Place<'_>, errors: &mut Errors) {
    if place.int().is_some_and(|value| value < 0) {
        errors.invalid_int(place, NOT_NEGATIVE);
    }
}

/// The integer must be positive; an absent one counts as 0.
pub(crate) fn positive(place: &Place<'_>, errors: &mut Errors) {
    if place.int().unwrap_or_default() <= 0 {
        errors.invalid_int(place, "must be greater than 0");
    }
}

/// The value must mean the same as `old`.
pub(crate) fn immutable(place: &Place<'_>, old: &Document, errors: &mut Errors) {
    if !equivalent(place.value(), old) {
        errors.invalid(place, IMMUTABLE);
    }
}

/// The text must be a DNS subdomain.
pub(crate) fn subdomain(place: &Place<'_>, errors: &mut Errors) {
    errors.reasons(place, names::dns_subdomain(place.text()));
}

/// The text must be a DNS label.
pub(crate) fn dns_label(place: &Place<'_>, errors: &mut Errors) {
    errors.reasons(place, names::dns_label(place.text()));
}

/// The text must be given and be able to stand in a path. `detail` is said where it is not given.
pub(crate) fn path_segment(place: &Place<'_>, detail: &str, errors: &mut Errors) {
    if place.text().is_empty() {
        errors.required(place, detail);
    } else {
        errors.reasons(place, names::path_segment(place.text()));
    }
}

/// A reference to an object by kind and name.
pub(crate) fn names_of_reference(reference: &Place<'_>, errors: &mut Errors) {
    path_segment(&reference.child("kind"), "", errors);
    path_segment(&reference.child("name"), "", errors);
}

/// The text must be a path below a domain, such as `example.com/name`.
pub(crate) fn domain_prefixed_path(place: &Place<'_>, errors: &mut Errors) {
    if place.text().is_empty() {
        errors.required(place, "");
        return;
    }
    let parts = place.text().split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty());
    let Some((domain, path)) = parts else {
        errors.invalid_text(place, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        return;
    };
    for reason in names::dns_subdomain(domain) {
        errors.invalid_as(place, domain, reason);
    }
    for reason in names::http_path(path) {
        errors.invalid_as(place, path, reason);
    }
}

/// The port number must be between 1 and 65535; an absent one counts as 0.
pub(crate) fn port_number(place: &Place<'_>, errors: &mut Errors) {
    for reason in names::port_number(place.int().unwrap_or_default()) {
        errors.invalid_int(place, reason);
    }
}

/// What differs between two objects, a line for each field before and after, cut where it gets long.
pub(crate) fn difference(old: &Document, new: &Document) -> String {
    const LINES: usize = 40;
    const LINE_LENGTH: usize = 400;
    let names = old.as_object().into_iter().chain(new.as_object()).flatten().map(|(name, _)| name);
    let mut lines = Vec::new();
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let (before, after) = (old.get(name).unwrap_or(&Document::Null), new.get(name).unwrap_or(&Document::Null));
        if equivalent(before, after) {
            continue;
        }
        for (sign, value) in [('-', before), ('+', after)] {
            let line: String = format!("{sign} {name}: {value}").chars().take(LINE_LENGTH).collect();
            lines.push(line);
        }
        if lines.len() >= LINES {
            break;
        }
    }
    lines.join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kind::Scope;
    use crate::registry::Registry;
    use crate::strategy::{Strategy, strategy_for};
    use crate::view::Edit;

    fn lines(errors: &[FieldError]) -> String {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Gives the object a name, and a namespace where its kind lives in one.
    fn with_identity(group: &str, kind: &str, object: &Document) -> Document {
        let registry = Registry::builtin();
        let row = registry.kinds().find(|row| row.gvk.group == group && row.gvk.kind == kind).expect("a built-in kind");
        let mut object = object.clone();
        object.default_to("metadata.name", "a");
        object.default_to("metadata.uid", "u");
        if row.scope == Scope::Namespaced {
            object.default_to("metadata.namespace", "default");
        }
        object
    }

    /// What is wrong with a new object, one line per error.
    pub(crate) fn refusals(group: &str, kind: &str, object: &Document) -> String {
        let strategy = strategy_for(group, kind);
        let mut object = with_identity(group, kind, object);
        (strategy.default)(&mut object);
        (strategy.prepare_create)(&mut object);
        lines(&(strategy.validate)(&object))
    }

    /// As [`refusals`], for an object with this spec.
    pub(crate) fn refusals_of_spec(group: &str, kind: &str, spec: &Document) -> String {
        refusals(group, kind, &serde_json::json!({ "spec": spec }))
    }

    fn defaulted(strategy: &Strategy, group: &str, kind: &str, object: &Document) -> Document {
        let mut object = with_identity(group, kind, object);
        (strategy.default)(&mut object);
        object
    }

    /// What is wrong with an update from `old` to `new`, one line per error.
    pub(crate) fn refusals_of_update(group: &str, kind: &str, old: &Document, new: &Document) -> String {
        let strategy = strategy_for(group, kind);
        let old = defaulted(&strategy, group, kind, old);
        let mut new = defaulted(&strategy, group, kind, new);
        (strategy.prepare_update)(&mut new, &old);
        lines(&(strategy.validate_update)(&new, &old))
    }

    /// What is wrong with an update of the status, one line per error.
    pub(crate) fn refusals_of_status(group: &str, kind: &str, old: &Document, new: &Document) -> String {
        let strategy = strategy_for(group, kind);
        let old = defaulted(&strategy, group, kind, old);
        let mut new = defaulted(&strategy, group, kind, new);
        (strategy.prepare_status_update)(&mut new, &old);
        lines(&(strategy.validate_status_update)(&new, &old))
    }

    /// What is wrong with an update through the subresource `name`, one line per error.
    pub(crate) fn refusals_of_subresource(
        (group, kind, name): (&str, &str, &str),
        old: &Document,
        new: &Document,
    ) -> String {
        let strategy = strategy_for(group, kind);
        let old = defaulted(&strategy, group, kind, old);
        let mut new = defaulted(&strategy, group, kind, new);
        let update = strategy.subresource_updates.iter().find(|update| update.name == name).expect("a subresource");
        (update.prepare)(&mut new, &old);
        lines(&(update.validate)(&new, &old))
    }

    #[test]
    fn a_difference_names_the_fields_that_changed() {
        let (old, new) = (serde_json::json!({"a": 1, "b": 2, "c": []}), serde_json::json!({"a": 1, "b": 3}));
        assert_eq!(difference(&old, &new), "- b: 2\n+ b: 3");
    }
}
