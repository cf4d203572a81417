//! Jobs.

use std::collections::BTreeSet;

use serde_json::json;

use super::pod::{self, selected_labels};
use super::{IMMUTABLE, Place, domain_prefixed_path, immutable, labels, not_negative, one_of, optional_one_of};
use crate::Document;
use crate::field::{Cause, Errors, FieldError};
use crate::names;
use crate::selector::LabelSelector;
use crate::strategy::{CONTROLLER_UID_LABEL, JOB_NAME_LABEL, OLD_CONTROLLER_UID_LABEL, OLD_JOB_NAME_LABEL};
use crate::view::{Edit, View, equivalent};

const INDEXED_PARALLELISM: i64 = 100_000;
const FAILED_INDEXES: i64 = 100_000;
const MANY_COMPLETIONS: i64 = 100_000;
const PARALLELISM_OF_MANY: i64 = 10_000;
const FAILED_INDEXES_OF_MANY: i64 = 10_000;
const MANAGED_BY_LENGTH: usize = 63;
const RULES: usize = 20;
const EXIT_CODES: usize = 255;
const SUCCEEDED_INDEXES_LENGTH: usize = 64 * 1024;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const NEEDS_INDEXES: &str = "requires indexed completion mode";

/// A new job, metadata apart.
pub(crate) fn create(job: &Place<'_>, errors: &mut Errors) {
    generated_selector(job, errors);
    let spec = job.child("spec");
    job_spec(&spec, errors);
    selector(&spec, errors);
    let completions = spec.value().int("completions").unwrap_or_default();
    if is_indexed(spec.value()) && completions > 0 {
        // Each pod is called after its index.
        let name = job.value().text("metadata.name");
        let longest = format!("{name}-{}", completions - 1);
        if !names::dns_label(&longest).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {longest}");
            errors.invalid_as(&job.child("metadata.name"), name, detail);
        }
    }
}

/// The labels and the selector that the server made must be there, unless the job brings its own.
fn generated_selector(job: &Place<'_>, errors: &mut Errors) {
    let selector = job.child("spec.selector");
    if job.value().flag("spec.manualSelector") || !selector.is_set() {
        return;
    }
    let (uid, name) = (job.value().text("metadata.uid"), job.value().text("metadata.name"));
    if uid.is_empty() {
        errors.required(&job.child("metadata.uid"), "");
    }
    let metadata = job.child("spec.template.metadata");
    let expected = [
        (OLD_CONTROLLER_UID_LABEL, uid),
        (OLD_JOB_NAME_LABEL, name),
        (CONTROLLER_UID_LABEL, uid),
        (JOB_NAME_LABEL, name),
    ];
    let labels = metadata.child("labels");
    for (key, value) in expected {
        let label = labels.key(key);
        if !label.is_set() {
            errors.required(&label, format!("must be '{value}'"));
        } else if label.text() != value {
            let shown = labels.value().clone();
            errors.invalid_as(&label, shown, format!("must be '{value}'"));
        }
    }
    let generated = Document::Object(expected.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect());
    if LabelSelector::from_object(selector.value()).is_ok_and(|selector| !selector.matches(&generated)) {
        errors.invalid(&selector, "`selector` not auto-generated");
    }
}

fn selector(spec: &Place<'_>, errors: &mut Errors) {
    let selector = spec.child("selector");
    if selector.is_set() {
        labels::label_selector(&selector, errors);
    } else {
        errors.required(&selector, "");
    }
    let selector = LabelSelector::from_object(selector.value()).ok();
    selected_labels(&spec.child("template"), selector.as_ref(), errors);
}

/// The spec of a job, or of the jobs that a cron job makes; the selector apart.
pub(crate) fn job_spec(spec: &Place<'_>, errors: &mut Errors) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for name in counts {
        not_negative(&spec.child(name), errors);
    }
    let per_index = spec.child("backoffLimitPerIndex");
    if spec.value().has("maxFailedIndexes") && !per_index.is_set() {
        errors.required(&per_index, "when maxFailedIndexes is specified");
    }
    let manager = spec.child("managedBy");
    if manager.is_set() {
        domain_prefixed_path(&manager, errors);
        if manager.text().len() > MANAGED_BY_LENGTH {
            errors.too_long(&manager, MANAGED_BY_LENGTH);
        }
    }
    optional_one_of(&spec.child("completionMode"), &["NonIndexed", "Indexed"], errors);
    if is_indexed(spec.value()) {
        indexes(spec, errors);
    } else if matches!(spec.value().text("completionMode"), "" | "NonIndexed") {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            let place = spec.child(name);
            if place.is_set() {
                errors.invalid_int(&place, NEEDS_INDEXES);
            }
        }
    }
    failure_policy(spec, errors);
    success_policy(spec, errors);
    replacement_policy(spec, errors);
    pod::template(&spec.child("template"), errors);
    restart_policy(spec, errors);
}

fn is_indexed(spec: &Document) -> bool {
    spec.text("completionMode") == "Indexed"
}

/// The bounds of a job whose pods are numbered.
fn indexes(spec: &Place<'_>, errors: &mut Errors) {
    let (completions, parallelism) = (spec.child("completions"), spec.child("parallelism"));
    let failed = spec.child("maxFailedIndexes");
    if !completions.is_set() {
        errors.required(&completions, "when completion mode is Indexed");
    }
    at_most(&parallelism, INDEXED_PARALLELISM, " when completion mode is Indexed", errors);
    if let Some(completions) = completions.int()
        && failed.int().is_some_and(|failed| failed > completions)
    {
        errors.invalid_int(&failed, "must be less than or equal to completions");
    }
    at_most(&failed, FAILED_INDEXES, "", errors);
    let many = completions.int().is_some_and(|completions| completions > MANY_COMPLETIONS);
    if many && spec.value().has("backoffLimitPerIndex") {
        let condition = format!(" when completions are above {MANY_COMPLETIONS} and used with backoff limit per index");
        at_most(&parallelism, PARALLELISM_OF_MANY, &condition, errors);
        at_most(&failed, FAILED_INDEXES_OF_MANY, &condition, errors);
        if !failed.is_set() {
            errors.required(&failed, format!("must be specified when completions is above {MANY_COMPLETIONS}"));
        }
    }
}

fn at_most(place: &Place<'_>, limit: i64, condition: &str, errors: &mut Errors) {
    if place.int().is_some_and(|value| value > limit) {
        errors.invalid_int(place, format!("must be less than or equal to {limit}{condition}"));
    }
}

fn restart_policy(spec: &Place<'_>, errors: &mut Errors) {
    let policy = spec.child("template.spec.restartPolicy");
    match policy.text() {
        "" | "Always" => errors.required(&policy, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.value().has("podFailurePolicy") => {
            errors.invalid_text(&policy, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" => {}
        _ => errors.not_supported(&policy, &["OnFailure", "Never"]),
    }
}

fn replacement_policy(spec: &Place<'_>, errors: &mut Errors) {
    let policy = spec.child("podReplacementPolicy");
    if !policy.is_set() {
        return;
    }
    let supported: &[&str] =
        if spec.value().has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    one_of(&policy, supported, errors);
}

fn failure_policy(spec: &Place<'_>, errors: &mut Errors) {
    let rules = spec.child("podFailurePolicy.rules");
    if rules.len() > RULES {
        errors.too_many(&rules, RULES);
    }
    let template = spec.value().at("template.spec");
    let names = ["containers", "initContainers"].into_iter().flat_map(|list| template.list(list));
    let names: BTreeSet<&str> = names.map(|container| container.text("name")).collect();
    for rule in rules.items() {
        failure_rule(&rule, spec.value(), &names, errors);
    }
}

fn failure_rule(rule: &Place<'_>, spec: &Document, containers: &BTreeSet<&str>, errors: &mut Errors) {
    let action = rule.child("action");
    match action.text() {
        "" => errors.required(&action, one_of_values(&ACTIONS)),
        "FailIndex" if !spec.has("backoffLimitPerIndex") => {
            errors.invalid_text(&action, "requires the backoffLimitPerIndex to be set");
        }
        _ => one_of(&action, &ACTIONS, errors),
    }
    let (codes, conditions) = (rule.child("onExitCodes"), rule.child("onPodConditions"));
    if codes.is_set() {
        exit_codes(&codes, containers, errors);
    }
    if conditions.len() > RULES {
        errors.too_many(&conditions, RULES);
    }
    for pattern in conditions.items() {
        let (condition, status) = (pattern.child("type"), pattern.child("status"));
        errors.reasons(&condition, names::qualified_name(condition.text()));
        required_one_of_values(&status, &["False", "True", "Unknown"], errors);
    }
    match (codes.is_set(), conditions.len() > 0) {
        (true, true) => errors.without_value(rule, "specifying both OnExitCodes and OnPodConditions is not supported"),
        (false, false) => {
            errors.without_value(rule, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn exit_codes(codes: &Place<'_>, containers: &BTreeSet<&str>, errors: &mut Errors) {
    let (operator, container, values) = (codes.child("operator"), codes.child("containerName"), codes.child("values"));
    required_one_of_values(&operator, &["In", "NotIn"], errors);
    if container.is_set() && !containers.contains(container.text()) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.invalid_text(&container, detail);
    }
    if values.len() == 0 {
        errors.invalid_as(&values, json!([]), "at least one value is required");
    } else if values.len() > EXIT_CODES {
        errors.too_many(&values, EXIT_CODES);
    }
    let (mut seen, mut ordered, mut last) = (BTreeSet::new(), true, i64::MIN);
    for value in values.items() {
        let code = value.int().unwrap_or_default();
        if operator.text() == "In" && code == 0 {
            errors.invalid_int(&value, "must not be 0 for the In operator");
        }
        if !seen.insert(code) {
            errors.duplicate(&value);
        }
        ordered &= last <= code;
        last = code;
    }
    if !ordered {
        errors.invalid(&values, "must be ordered");
    }
}

fn one_of_values(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| crate::field::quote(value)).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

fn required_one_of_values(place: &Place<'_>, values: &[&str], errors: &mut Errors) {
    if place.text().is_empty() {
        errors.required(place, one_of_values(values));
    } else {
        one_of(place, values, errors);
    }
}

fn success_policy(spec: &Place<'_>, errors: &mut Errors) {
    let policy = spec.child("successPolicy");
    if !policy.is_set() {
        return;
    }
    if !is_indexed(spec.value()) {
        errors.invalid(&policy, NEEDS_INDEXES);
        return;
    }
    let rules = policy.child("rules");
    if rules.len() == 0 {
        errors.required(&rules, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.len() > RULES {
        errors.too_many(&rules, RULES);
    }
    let completions = spec.value().int("completions").unwrap_or_default();
    for rule in rules.items() {
        success_rule(&rule, completions, errors);
    }
}

fn success_rule(rule: &Place<'_>, completions: i64, errors: &mut Errors) {
    let (count, indexes) = (rule.child("succeededCount"), rule.child("succeededIndexes"));
    if !count.is_set() && !indexes.is_set() {
        errors.required(rule, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = 0;
    if indexes.is_set() {
        if indexes.text().len() > SUCCEEDED_INDEXES_LENGTH {
            errors.too_long(&indexes, SUCCEEDED_INDEXES_LENGTH);
        }
        match count_indexes(indexes.text(), completions) {
            Ok(found) => total = found,
            Err(error) => errors.invalid_text(&indexes, format!("error parsing succeededIndexes: {error}")),
        }
    }
    not_negative(&count, errors);
    let Some(wanted) = count.int() else { return };
    if wanted > completions {
        let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid_int(&count, detail);
    }
    if indexes.is_set() && wanted > total {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid_int(&count, detail);
    }
}

/// How many indexes a list such as `1,3-5,7` names: in order, without overlap, each below `completions`.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (mut total, mut last): (i64, Option<i64>) = (0, None);
    for interval in text.split(',') {
        let limits: Vec<&str> = interval.split('-').collect();
        if limits.len() > 2 {
            return Err(format!(
                "the fragment \"{interval}\" violates the requirement that an index interval can have at \
                                most two parts separated by '-'"
            ));
        }
        let parse = |limit: &str| {
            limit
                .parse::<u32>()
                .map(i64::from)
                .map_err(|_| format!("cannot convert string to integer for index: {}", crate::field::quote(limit)))
        };
        let first = parse(limits[0])?;
        let end = limits.get(1).map_or(Ok(first), |limit| parse(limit))?;
        if let Some(limit) = [first, end].into_iter().find(|limit| *limit >= completions) {
            return Err(format!("too large index: {}", crate::field::quote(&limit.to_string())));
        }
        if limits.len() == 2 && first >= end {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// An update of a job: what its pods are made by stays.
pub(crate) fn update(job: &Place<'_>, old: &Document, errors: &mut Errors) {
    let (spec, before) = (job.child("spec"), old.at("spec"));
    job_spec(&spec, errors);
    selector(&spec, errors);
    completions(&spec, before, errors);
    immutable(&spec.child("selector"), before.at("selector"), errors);
    template(job, old, errors);
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(&spec.child(name), before.at(name), errors);
    }
}

/// An indexed job grows and shrinks, its completions together with its parallelism.
fn completions(spec: &Place<'_>, before: &Document, errors: &mut Errors) {
    let completions = spec.child("completions");
    if !is_indexed(spec.value()) {
        immutable(&completions, before.at("completions"), errors);
    } else if completions.is_set()
        && !equivalent(completions.value(), before.at("completions"))
        && completions.int() != spec.value().int("parallelism")
    {
        errors.invalid_int(&completions, "can only be modified in tandem with spec.parallelism");
    }
}

/// The template stays; until the first pod was made, where its pods may run can change.
fn template(job: &Place<'_>, old: &Document, errors: &mut Errors) {
    let template = job.child("spec.template");
    let mut before = old.at("spec.template").clone();
    let suspended = old.flag("spec.suspend");
    if suspended && !old.has("status.startTime") {
        for path in
            ["spec.nodeSelector", "spec.tolerations", "spec.schedulingGates", "metadata.annotations", "metadata.labels"]
        {
            before.copy_from(template.value(), path);
        }
        before.copy_from(template.value(), "spec.affinity.nodeAffinity");
    }
    if !equivalent(template.value(), &before) {
        errors.invalid(&template, IMMUTABLE);
    }
}

/// An update of a job's status: counters go up, an end stays an end.
pub(crate) fn status(job: &Place<'_>, old: &Document, errors: &mut Errors) {
    let status = job.child("status");
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        not_negative(&status.child(name), errors);
    }
    uncounted(&status.child("uncountedTerminatedPods"), errors);
    end(job, errors);
    for name in ["failed", "succeeded"] {
        let counter = status.child(name);
        if counter.int().unwrap_or_default() < old.at("status").int(name).unwrap_or_default() {
            errors.invalid_int(&counter, format!("cannot decrease the {name} counter"));
        }
    }
    let conditions = status.child("conditions");
    for name in ["Failed", "Complete", "FailureTarget"] {
        if has(old, name) && !has(job.value(), name) {
            errors.without_value(&conditions, &format!("cannot disable the terminal {name}=True condition"));
        }
    }
    let (ready, active) = (status.child("ready"), status.value().int("active").unwrap_or_default());
    if ready.int().is_some_and(|ready| ready > active) {
        errors.invalid_int(&ready, "cannot set more ready pods than active");
    }
}

fn uncounted(pods: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    let (succeeded, failed) = (pods.child("succeeded"), pods.child("failed"));
    for uid in succeeded.items().chain(failed.items()) {
        if uid.text().is_empty() {
            errors.invalid_text(&uid, "must not be empty");
        } else if !seen.insert(uid.text().to_owned()) {
            errors.duplicate(&uid);
        }
    }
}

/// What must hold of a job that is over, or says that it is.
fn end(job: &Place<'_>, errors: &mut Errors) {
    let status = job.child("status");
    let conditions = status.child("conditions");
    let (complete, failed) = (has(job.value(), "Complete"), has(job.value(), "Failed"));
    if complete && failed {
        errors.without_value(&conditions, "cannot set Complete=True and Failed=true conditions");
    }
    let time = status.child("completionTime");
    if time.is_set() && !complete {
        errors.invalid(&time, "cannot set completionTime when there is no Complete=True condition");
    }
    if complete && !time.is_set() {
        errors.required(&time, "completionTime is required for Complete jobs");
    }
    if failed && !has(job.value(), "FailureTarget") {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.without_value(&conditions, detail);
    }
    if complete && !has(job.value(), "SuccessCriteriaMet") {
        let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        errors.without_value(&conditions, detail);
    }
    if !complete && !failed {
        return;
    }
    for name in ["active", "terminating"] {
        let count = status.child(name);
        if count.int().is_some_and(|count| count > 0) {
            errors.invalid_int(&count, format!("{name}>0 is invalid for finished job"));
        }
    }
    let start = status.child("startTime");
    if !start.is_set() {
        errors.required(&start, "startTime is required for finished job");
    }
}

fn has(job: &Document, condition: &str) -> bool {
    let is_it = |found: &Document| found.text("type") == condition && found.text("status") == "True";
    job.list("status.conditions").iter().any(is_it)
}

impl Errors {
    /// A value that is wrong as a whole, and too large to show.
    fn without_value(&mut self, place: &Place<'_>, detail: &str) {
        let message = format!("Invalid value: {detail}");
        self.push(FieldError { path: place.path(), cause: Cause::Invalid, message });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::tests::{refusals_of_spec, refusals_of_status, refusals_of_update};

    fn spec(fields: Document) -> Document {
        let mut spec =
            json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}});
        for (path, value) in fields.as_object().unwrap() {
            spec.put(path, value.clone());
        }
        spec
    }

    #[test]
    fn jobs_are_refused_in_kubernetes_words() {
        let table = [
            (json!({}), ""),
            (json!({"template.spec.restartPolicy": "OnFailure"}), ""),
            (
                json!({"template.spec.restartPolicy": null}),
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ),
            (json!({"parallelism": -1}), "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
            (json!({"completionMode": "Indexed", "completions": 3}), ""),
            (
                json!({"completionMode": "Indexed", "parallelism": 1}),
                "spec.completions: Required value: when completion mode is Indexed",
            ),
            (
                json!({"backoffLimitPerIndex": 1}),
                "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            ),
            (
                json!({"podFailurePolicy": {"rules": [{"action": "Panic", "onExitCodes": {"operator": "In", "values": [2, 1]}}]}}),
                "spec.podFailurePolicy.rules[0].action: Unsupported value: \"Panic\": supported values: \"Count\", \
                 \"FailIndex\", \"FailJob\", \"Ignore\"\n\
                 spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1]: must be ordered",
            ),
            (
                json!({"podFailurePolicy": {"rules": [{"action": "Count"}]}}),
                "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is \
                 required",
            ),
            (
                json!({"podReplacementPolicy": "Never"}),
                "spec.podReplacementPolicy: Unsupported value: \"Never\": supported values: \"Failed\", \
                 \"TerminatingOrFailed\"",
            ),
            (
                json!({"selector": {"matchLabels": {"mine": "yes"}}}),
                "spec.selector: Invalid value: {\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"u\",\
                 \"mine\":\"yes\"}}: `selector` not auto-generated\n\
                 spec.template.metadata.labels: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u\",\
                 \"batch.kubernetes.io/job-name\":\"a\",\"controller-uid\":\"u\",\"job-name\":\"a\"}: `selector` does \
                 not match template `labels`",
            ),
            (
                json!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}, "template.metadata.labels": {"a": "b"}}),
                "",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec("batch", "Job", &spec(fields.clone())), expected, "{fields}");
        }
    }

    #[test]
    fn the_template_of_a_job_stays_but_for_where_a_suspended_one_will_run() {
        let old = json!({"spec": spec(json!({"suspend": true, "selector": {"matchLabels": {"a": "b"}},
            "template.metadata.labels": {"a": "b"}}))});
        let mut elsewhere = old.clone();
        elsewhere.put("spec.template.spec.nodeSelector", json!({"disk": "ssd"}));
        assert_eq!(refusals_of_update("batch", "Job", &old, &elsewhere), "");
        let mut running = old.clone();
        running.put("spec.suspend", false);
        assert!(refusals_of_update("batch", "Job", &running, &elsewhere).ends_with(": field is immutable"));
        let mut more = old.clone();
        more.put("spec.completions", 5);
        assert_eq!(
            refusals_of_update("batch", "Job", &old, &more),
            "spec.completions: Invalid value: 5: field is immutable"
        );
    }

    #[test]
    fn a_job_ends_once() {
        let condition = |name: &str| json!({"type": name, "status": "True"});
        let old = json!({"status": {"succeeded": 2, "startTime": "2024-01-01T00:00:00Z"}});
        let done = json!({"status": {"succeeded": 3, "startTime": "2024-01-01T00:00:00Z",
            "completionTime": "2024-01-01T00:01:00Z",
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]}});
        assert_eq!(refusals_of_status("batch", "Job", &old, &done), "");
        assert_eq!(
            refusals_of_status("batch", "Job", &done, &old),
            "status.succeeded: Invalid value: 2: cannot decrease the succeeded counter\n\
             status.conditions: Invalid value: cannot disable the terminal Complete=True condition"
        );
        let running = json!({"status": {"active": 1, "conditions": [condition("Complete")]}});
        assert_eq!(refusals_of_status("batch", "Job", &json!({}), &running).lines().count(), 4);
    }

    #[test]
    fn lists_of_indexes_are_counted() {
        let table = [
            ("", Ok(0)),
            ("1,3-5,7", Ok(5)),
            ("9", Ok(1)),
            ("10", Err("too large index: \"10\"".to_owned())),
            ("3,2", Err("non-increasing order, previous: 3, current: 2".to_owned())),
            ("x", Err("cannot convert string to integer for index: \"x\"".to_owned())),
        ];
        for (text, expected) in table {
            assert_eq!(count_indexes(text, 10), expected, "{text}");
        }
    }
}
