//! Events, in both of their groups.

use crate::Document;
use crate::columns::{self, Table};
use crate::field::Errors;
use crate::names;
use crate::strategy::FieldReader;
use crate::strategy::rules::Rules;
use crate::validation::metadata::NameRule;
use crate::validation::{Place, events};
use crate::view::View;

/// core/v1 Event
pub(super) struct Event;

/// events.k8s.io/v1 Event
pub(super) struct RegardingEvent;

// === impl Event ===

impl Rules for Event {
    const NAME: NameRule = names::path_segment;
    const TABLE: Table = columns::cluster::EVENT;
    const CREATE_ON_UPDATE: bool = true;
    const FIELDS: &'static [(&'static str, FieldReader)] = &[
        ("involvedObject.kind", |event| event.text("involvedObject.kind").to_owned()),
        ("involvedObject.namespace", |event| event.text("involvedObject.namespace").to_owned()),
        ("involvedObject.name", |event| event.text("involvedObject.name").to_owned()),
        ("involvedObject.uid", |event| event.text("involvedObject.uid").to_owned()),
        ("involvedObject.apiVersion", |event| event.text("involvedObject.apiVersion").to_owned()),
        ("involvedObject.resourceVersion", |event| event.text("involvedObject.resourceVersion").to_owned()),
        ("involvedObject.fieldPath", |event| event.text("involvedObject.fieldPath").to_owned()),
        ("reason", |event| event.text("reason").to_owned()),
        ("reportingComponent", |event| event.text("reportingComponent").to_owned()),
        ("source", |event| match event.text("source.component") {
            "" => event.text("reportingComponent").to_owned(),
            component => component.to_owned(),
        }),
        ("type", |event| event.text("type").to_owned()),
    ];
    fn validate(event: &Place<'_>, errors: &mut Errors) {
        events::event(event, events::CORE, errors);
    }
}

// === impl RegardingEvent ===

impl Rules for RegardingEvent {
    const NAME: NameRule = names::path_segment;
    const TABLE: Table = columns::cluster::EVENT;
    const CREATE_ON_UPDATE: bool = true;
    const FIELDS: &'static [(&'static str, FieldReader)] = &[
        ("regarding.kind", |event| event.text("regarding.kind").to_owned()),
        ("regarding.namespace", |event| event.text("regarding.namespace").to_owned()),
        ("regarding.name", |event| event.text("regarding.name").to_owned()),
        ("regarding.uid", |event| event.text("regarding.uid").to_owned()),
        ("regarding.apiVersion", |event| event.text("regarding.apiVersion").to_owned()),
        ("regarding.resourceVersion", |event| event.text("regarding.resourceVersion").to_owned()),
        ("regarding.fieldPath", |event| event.text("regarding.fieldPath").to_owned()),
        ("reason", |event| event.text("reason").to_owned()),
        ("reportingController", |event| event.text("reportingController").to_owned()),
        ("type", |event| event.text("type").to_owned()),
    ];
    fn validate(event: &Place<'_>, errors: &mut Errors) {
        events::event(event, events::REGARDING, errors);
        events::strict(event, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        events::event(new, events::REGARDING, errors);
        events::strict_update(new, old, errors);
    }
}
