//! Cron jobs.

use super::job::job_spec;
use super::{Place, not_negative, required_one_of};
use crate::Document;
use crate::field::{Errors, FieldError};
use crate::schedule::Schedule;
use crate::view::View;

/// A job is called after its cron job and its minute, eleven characters more.
const NAME_LENGTH: usize = 52;

/// A part of a time zone's name is at most this long (<https://data.iana.org/time-zones/theory.html#naming>).
const ZONE_PART_LENGTH: usize = 14;

/// A new cron job, metadata apart.
pub(crate) fn create(cron_job: &Place<'_>, errors: &mut Errors) {
    self::cron_job(cron_job, &Document::Null, errors);
    let name = cron_job.child("metadata.name");
    if name.text().len() > NAME_LENGTH {
        errors.invalid_text(&name, format!("must be no more than {NAME_LENGTH} characters"));
    }
}

/// A cron job, metadata apart. `old` is the stored one, if any: what it already got wrong stays possible.
pub(crate) fn cron_job(cron_job: &Place<'_>, old: &Document, errors: &mut Errors) {
    let spec = cron_job.child("spec");
    let text = spec.child("schedule");
    if text.text().is_empty() {
        errors.required(&text, "");
    } else {
        schedule(&text, errors);
    }
    for name in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(&spec.child(name), errors);
    }
    let zone = spec.child("timeZone");
    if zone.is_set() && zone.value() != old.at("spec.timeZone") {
        time_zone(&zone, errors);
    }
    required_one_of(&spec.child("concurrencyPolicy"), &["Allow", "Forbid", "Replace"], errors);
    let job = spec.child("jobTemplate.spec");
    job_spec(&job, errors);
    let (selector, manual) = (job.child("selector"), job.child("manualSelector"));
    if selector.is_set() {
        errors.invalid(&selector, "`selector` will be auto-generated");
    }
    if manual.value() == &Document::Bool(true) {
        errors.push(FieldError::not_supported(&manual.path(), true, &["nil", "false"]));
    }
}

fn schedule(schedule: &Place<'_>, errors: &mut Errors) {
    if schedule.text().contains("TZ") {
        errors.invalid_text(schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    } else if let Err(error) = Schedule::parse(schedule.text()) {
        errors.invalid_text(schedule, error.to_string());
    }
}

fn time_zone(zone: &Place<'_>, errors: &mut Errors) {
    let name = zone.text();
    if name.is_empty() {
        errors.invalid_text(zone, "timeZone must be nil or non-empty string");
        return;
    }
    let is_part = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
        let length = (1..=ZONE_PART_LENGTH).contains(&part.len());
        length && !matches!(part, "." | "..") && !part.starts_with('-') && part.bytes().all(known)
    };
    if !name.split('/').all(is_part) {
        errors.invalid_text(zone, format!("unknown time zone {name}"));
        return;
    }
    if name.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid_text(zone, detail);
    }
    if jiff::tz::TimeZone::get(name).is_err() {
        errors.invalid_text(zone, format!("unknown time zone {name}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Document;
    use crate::validation::tests::{refusals, refusals_of_spec};
    use crate::view::Edit;

    fn spec(fields: Document) -> Document {
        let mut spec = json!({"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {"spec":
            {"restartPolicy": "OnFailure", "containers": [{"name": "a", "image": "x"}]}}}}});
        for (path, value) in fields.as_object().unwrap() {
            spec.put(path, value.clone());
        }
        spec
    }

    #[test]
    fn cron_jobs_are_refused_in_kubernetes_words() {
        let table = [
            (json!({}), ""),
            (json!({"timeZone": "Europe/Paris"}), ""),
            (json!({"schedule": ""}), "spec.schedule: Required value"),
            (
                json!({"schedule": "* * * *"}),
                "spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * *]",
            ),
            (
                json!({"schedule": "TZ=UTC * * * * *"}),
                "spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone \
                 field instead",
            ),
            (
                json!({"timeZone": "Mars/Olympus"}),
                "spec.timeZone: Invalid value: \"Mars/Olympus\": unknown time zone Mars/Olympus",
            ),
            (json!({"timeZone": "../x"}), "spec.timeZone: Invalid value: \"../x\": unknown time zone ../x"),
            (
                json!({"concurrencyPolicy": "Queue"}),
                "spec.concurrencyPolicy: Unsupported value: \"Queue\": supported values: \"Allow\", \"Forbid\", \
                 \"Replace\"",
            ),
            (
                json!({"jobTemplate.spec.selector": {"matchLabels": {"a": "b"}}}),
                "spec.jobTemplate.spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` will be \
                 auto-generated",
            ),
            (
                json!({"successfulJobsHistoryLimit": -1}),
                "spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec("batch", "CronJob", &spec(fields.clone())), expected, "{fields}");
        }
    }

    #[test]
    fn the_name_leaves_room_for_the_names_of_jobs() {
        let named = |length: usize| json!({"metadata": {"name": "a".repeat(length)}, "spec": spec(json!({}))});
        assert_eq!(refusals("batch", "CronJob", &named(52)), "");
        assert!(refusals("batch", "CronJob", &named(53)).ends_with(": must be no more than 52 characters"));
    }
}
