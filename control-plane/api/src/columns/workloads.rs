//! Rows of what runs pods: deployments, sets, jobs, and what scales and protects them.

use jiff::Timestamp;

use super::{
    AGE, NAME, NONE, Table, age, boolean, cells, containers, count, integer, map, name, selector, text, text_or, wide,
};
use crate::Document;
use crate::quantity::Quantity;
use crate::strategy::Column;
use crate::time;
use crate::view::View;

const CONTAINERS: Column = wide(text("Containers", "The names of the containers in the template."));
const IMAGES: Column = wide(text("Images", "The images of the containers in the template."));
const SELECTOR: Column = wide(text("Selector", "The labels of the pods that belong to it."));
const DESIRED: Column = integer("Desired", "How many pods there should be.");
const CURRENT: Column = integer("Current", "How many pods there are.");
const READY: Column = integer("Ready", "How many pods are ready.");

/// Deployments.
pub(crate) const DEPLOYMENT: Table = Table {
    columns: &[
        NAME,
        text("Ready", "How many pods are ready of those that should be."),
        text("Up-to-date", "How many pods have the present template."),
        text("Available", "How many pods have been ready for long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |deployment, now| {
        let (names, images) = containers(deployment.at("spec.template.spec"));
        cells([
            name(deployment),
            ready_of(deployment),
            count(deployment, "status.updatedReplicas"),
            count(deployment, "status.availableReplicas"),
            age(deployment, now),
            names.into(),
            images.into(),
            selector(deployment.at("spec.selector")).into(),
        ])
    },
};

/// Replica sets.
pub(crate) const REPLICA_SET: Table = Table {
    columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
    row: |set, now| replicas_row(set, now, selector(set.at("spec.selector"))),
};

/// Replication controllers.
pub(crate) const REPLICATION_CONTROLLER: Table = Table {
    columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
    row: |controller, now| replicas_row(controller, now, map(controller.at("spec.selector"))),
};

/// Stateful sets.
pub(crate) const STATEFUL_SET: Table = Table {
    columns: &[NAME, text("Ready", "How many pods are ready of those that should be."), AGE, CONTAINERS, IMAGES],
    row: |set, now| {
        let (names, images) = containers(set.at("spec.template.spec"));
        cells([name(set), ready_of(set), age(set, now), names.into(), images.into()])
    },
};

/// Daemon sets.
pub(crate) const DAEMON_SET: Table = Table {
    columns: &[
        NAME,
        integer("Desired", "How many nodes should run the pod."),
        integer("Current", "How many nodes run the pod and should."),
        integer("Ready", "How many nodes run the pod and it is ready."),
        integer("Up-to-date", "How many nodes run the pod with the present template."),
        integer("Available", "How many nodes run the pod and it has been ready for long enough."),
        text("Node Selector", "The labels of the nodes that should run the pod."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |set, now| {
        let (names, images) = containers(set.at("spec.template.spec"));
        cells([
            name(set),
            count(set, "status.desiredNumberScheduled"),
            count(set, "status.currentNumberScheduled"),
            count(set, "status.numberReady"),
            count(set, "status.updatedNumberScheduled"),
            count(set, "status.numberAvailable"),
            map(set.at("spec.template.spec.nodeSelector")).into(),
            age(set, now),
            names.into(),
            images.into(),
            selector(set.at("spec.selector")).into(),
        ])
    },
};

/// Jobs.
pub(crate) const JOB: Table = Table {
    columns: &[
        NAME,
        text("Status", "How far the job is."),
        text("Completions", "How many pods succeeded of those that should."),
        text("Duration", "How long the job took or has taken."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |job, now| {
        let (names, images) = containers(job.at("spec.template.spec"));
        cells([
            name(job),
            job_status(job).into(),
            job_completions(job).into(),
            job_duration(job, now).into(),
            age(job, now),
            names.into(),
            images.into(),
            selector(job.at("spec.selector")).into(),
        ])
    },
};

/// Cron jobs.
pub(crate) const CRON_JOB: Table = Table {
    columns: &[
        NAME,
        text("Schedule", "When jobs are made, as a cron expression."),
        text("Timezone", "The time zone of the schedule."),
        boolean("Suspend", "Whether no jobs are made for now."),
        integer("Active", "How many jobs are running."),
        text("Last Schedule", "How long ago a job was last made."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |cron_job, now| {
        let (names, images) = containers(cron_job.at("spec.jobTemplate.spec.template.spec"));
        let suspend = cron_job.at("spec.suspend").as_bool();
        let last = cron_job.at("status.lastScheduleTime");
        cells([
            name(cron_job),
            cron_job.text("spec.schedule").into(),
            text_or(cron_job, "spec.timeZone", NONE),
            match suspend {
                Some(true) => "True",
                Some(false) => "False",
                None => "<unset>",
            }
            .into(),
            cron_job.list("status.active").len().into(),
            if last.is_null() { NONE.into() } else { time::age(last, now).into() },
            age(cron_job, now),
            names.into(),
            images.into(),
            selector(cron_job.at("spec.jobTemplate.spec.selector")).into(),
        ])
    },
};

/// Pod templates.
pub(crate) const POD_TEMPLATE: Table = Table {
    columns: &[
        NAME,
        text("Containers", "The names of the containers in the template."),
        text("Images", "The images of the containers in the template."),
        text("Pod Labels", "The labels of the template."),
    ],
    row: |template, _| {
        let (names, images) = containers(template.at("template.spec"));
        cells([name(template), names.into(), images.into(), map(template.at("template.metadata.labels")).into()])
    },
};

/// Controller revisions.
pub(crate) const CONTROLLER_REVISION: Table = Table {
    columns: &[
        NAME,
        text("Controller", "What the revision belongs to."),
        text("Revision", "The number of the revision."),
        AGE,
    ],
    row: |revision, now| {
        let controller = revision.list("metadata.ownerReferences").iter().find(|owner| owner.flag("controller"));
        let controller = controller.map_or_else(|| NONE.to_owned(), controller_name);
        cells([name(revision), controller.into(), count(revision, "revision"), age(revision, now)])
    },
};

/// Pod disruption budgets.
pub(crate) const POD_DISRUPTION_BUDGET: Table = Table {
    columns: &[
        NAME,
        text("Min Available", "How many pods must stay available."),
        text("Max Unavailable", "How many pods may be unavailable."),
        integer("Allowed Disruptions", "How many pods may be evicted at this moment."),
        AGE,
    ],
    row: |budget, now| {
        cells([
            name(budget),
            int_or_text(budget.at("spec.minAvailable"), "N/A"),
            int_or_text(budget.at("spec.maxUnavailable"), "N/A"),
            count(budget, "status.disruptionsAllowed"),
            age(budget, now),
        ])
    },
};

/// Horizontal pod autoscalers, in autoscaling/v2 or v1.
pub(crate) const HORIZONTAL_POD_AUTOSCALER: Table = Table {
    columns: &[
        NAME,
        text("Reference", "What is scaled."),
        text("Targets", "The present and the wanted value of each metric."),
        text("MinPods", "The fewest pods."),
        text("MaxPods", "The most pods."),
        text("Replicas", "How many pods there are."),
        AGE,
    ],
    row: |autoscaler, now| {
        let target = autoscaler.at("spec.scaleTargetRef");
        let minimum = autoscaler.int("spec.minReplicas");
        cells([
            name(autoscaler),
            format!("{}/{}", target.text("kind"), target.text("name")).into(),
            metrics(autoscaler).into(),
            minimum.map_or_else(|| "<unset>".to_owned(), |minimum| minimum.to_string()).into(),
            count(autoscaler, "spec.maxReplicas"),
            count(autoscaler, "status.currentReplicas"),
            age(autoscaler, now),
        ])
    },
};

/// The `scale` subresource of any of these.
pub(crate) const SCALE: Table = Table {
    columns: &[NAME, DESIRED, integer("Available", "How many pods there are."), AGE],
    row: |scale, now| {
        cells([name(scale), count(scale, "spec.replicas"), count(scale, "status.replicas"), age(scale, now)])
    },
};

fn ready_of(object: &Document) -> Document {
    let (ready, desired) = (object.int("status.readyReplicas"), object.int("spec.replicas"));
    format!("{}/{}", ready.unwrap_or_default(), desired.unwrap_or_default()).into()
}

fn replicas_row(object: &Document, now: Timestamp, selector: String) -> Vec<Document> {
    let (names, images) = containers(object.at("spec.template.spec"));
    cells([
        name(object),
        count(object, "spec.replicas"),
        count(object, "status.replicas"),
        count(object, "status.readyReplicas"),
        age(object, now),
        names.into(),
        images.into(),
        selector.into(),
    ])
}

fn int_or_text(value: &Document, absent: &str) -> Document {
    match value {
        Document::Null => absent.into(),
        Document::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

fn job_status(job: &Document) -> &'static str {
    let has = |ty: &str| {
        let conditions = job.list("status.conditions");
        conditions.iter().any(|condition| condition.text("type") == ty && condition.text("status") == "True")
    };
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if job.has("metadata.deletionTimestamp") {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn job_completions(job: &Document) -> String {
    let succeeded = job.int("status.succeeded").unwrap_or_default();
    match (job.int("spec.completions"), job.int("spec.parallelism").unwrap_or_default()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(job: &Document, now: Timestamp) -> String {
    let Some(start) = time::parse(job.text("status.startTime")) else { return String::new() };
    let end = time::parse(job.text("status.completionTime")).unwrap_or(now);
    time::human_duration(time::seconds_between(start, end))
}

/// `kind.group/name` in lower case.
fn controller_name(owner: &Document) -> String {
    let kind = owner.text("kind").to_lowercase();
    match owner.text("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", owner.text("name")),
        None => format!("{kind}/{}", owner.text("name")),
    }
}

/// The first two metrics as `present/wanted`, and how many more there are.
fn metrics(autoscaler: &Document) -> String {
    const SHOWN: usize = 2;
    if let Some(target) = autoscaler.int("spec.targetCPUUtilizationPercentage") {
        let current = autoscaler.int("status.currentCPUUtilizationPercentage");
        return format!("cpu: {}/{target}%", percent(current));
    }
    let specs = autoscaler.list("spec.metrics");
    if specs.is_empty() {
        return NONE.to_owned();
    }
    let statuses = autoscaler.list("status.currentMetrics");
    let absent = Document::Null;
    let shown: Vec<String> = specs
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(index, spec)| metric(spec, statuses.get(index).unwrap_or(&absent)))
        .collect();
    let shown = shown.join(", ");
    if specs.len() > SHOWN { format!("{shown} + {} more...", specs.len() - SHOWN) } else { shown }
}

fn metric(spec: &Document, status: &Document) -> String {
    let source = match spec.text("type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".to_owned(),
    };
    let target = spec.at(source).at("target");
    let current = status.at(source).at("current");
    let per_pod = target.has("averageValue");
    match source {
        "resource" | "containerResource" => {
            let resource = spec.at(source).text("name");
            if per_pod {
                let current = quantity(current.at("averageValue"), "<unknown>");
                return format!("{resource}: {current}/{}", quantity(target.at("averageValue"), "0"));
            }
            let wanted = target.int("averageUtilization");
            let wanted = wanted.map_or_else(|| "<auto>".to_owned(), |wanted| format!("{wanted}%"));
            format!("{resource}: {}/{wanted}", percent(current.int("averageUtilization")))
        }
        "pods" => {
            let current = quantity(current.at("averageValue"), "<unknown>");
            format!("{current}/{}", quantity(target.at("averageValue"), "0"))
        }
        _ if per_pod => {
            let current = quantity(current.at("averageValue"), "<unknown>");
            format!("{current}/{} (avg)", quantity(target.at("averageValue"), "0"))
        }
        _ => {
            let current = quantity(current.at("value"), "<unknown>");
            format!("{current}/{}", quantity(target.at("value"), "0"))
        }
    }
}

fn percent(value: Option<i64>) -> String {
    value.map_or_else(|| "<unknown>".to_owned(), |value| format!("{value}%"))
}

fn quantity(value: &Document, absent: &str) -> String {
    Quantity::of(value).map_or_else(|| absent.to_owned(), |quantity| quantity.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(table: &Table, object: &Document) -> Vec<String> {
        let now = time::parse("2024-01-02T00:00:00Z").unwrap();
        let row = (table.row)(object, now);
        assert_eq!(row.len(), table.columns.len());
        row.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
    }

    fn template() -> Document {
        json!({"spec": {
            "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}],
            "nodeSelector": {"ssd": "true"},
        }})
    }

    #[test]
    fn deployments_show_ready_of_wanted() {
        let deployment = json!({
            "metadata": {"name": "web", "creationTimestamp": "2024-01-01T23:59:00Z"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
            "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
        });
        assert_eq!(shown(&DEPLOYMENT, &deployment), ["web", "2/3", "3", "1", "60s", "a,b", "x:1,y", "app=web"]);
        assert_eq!(shown(&STATEFUL_SET, &deployment), ["web", "2/3", "60s", "a,b", "x:1,y"]);
    }

    #[test]
    fn sets_show_their_counts() {
        let set = json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
            "status": {"replicas": 2, "readyReplicas": 1, "desiredNumberScheduled": 5, "numberReady": 4},
        });
        assert_eq!(shown(&REPLICA_SET, &set), ["web", "3", "2", "1", "<unknown>", "a,b", "x:1,y", "app=web"]);
        let daemons = shown(&DAEMON_SET, &set);
        assert_eq!(daemons[..8], ["web", "5", "0", "4", "0", "0", "ssd=true", "<unknown>"]);
        let controller = json!({"metadata": {"name": "rc"}, "spec": {"replicas": 1, "selector": {"app": "nginx"}}});
        assert_eq!(shown(&REPLICATION_CONTROLLER, &controller)[7], "app=nginx");
    }

    #[test]
    fn jobs_show_completions_and_duration() {
        let condition = |ty: &str| json!([{"type": ty, "status": "True"}]);
        let table = [
            (json!({"spec": {"completions": 10}, "status": {"succeeded": 4}}), ["Running", "4/10", ""]),
            (json!({"spec": {"parallelism": 5}}), ["Running", "0/1 of 5", ""]),
            (json!({"spec": {"parallelism": 1}}), ["Running", "0/1", ""]),
            (
                json!({"spec": {"completions": 1}, "status": {"succeeded": 1, "conditions": condition("Complete"),
                    "startTime": "2024-01-01T00:00:00Z", "completionTime": "2024-01-01T00:00:32Z"}}),
                ["Complete", "1/1", "32s"],
            ),
            (
                json!({"spec": {"completions": 1}, "status": {"conditions": condition("Failed"),
                    "startTime": "2024-01-01T23:00:00Z"}}),
                ["Failed", "0/1", "60m"],
            ),
            (json!({"spec": {}, "status": {"conditions": condition("Suspended")}}), ["Suspended", "0/1", ""]),
            (json!({"metadata": {"deletionTimestamp": "x"}}), ["Terminating", "0/1", ""]),
        ];
        for (job, expected) in table {
            assert_eq!(shown(&JOB, &job)[1..4], expected, "{job}");
        }
    }

    #[test]
    fn cron_jobs_show_when_they_ran_last() {
        let cron_job = json!({
            "metadata": {"name": "c"},
            "spec": {"schedule": "0 */5 * * *", "suspend": false, "timeZone": "Etc/UTC"},
            "status": {"active": [{}], "lastScheduleTime": "2024-01-01T23:00:00Z"},
        });
        assert_eq!(shown(&CRON_JOB, &cron_job)[1..6], ["0 */5 * * *", "Etc/UTC", "False", "1", "60m"]);
        let bare = shown(&CRON_JOB, &json!({}));
        assert_eq!(bare[2..6], ["<none>", "<unset>", "0", "<none>"]);
    }

    #[test]
    fn autoscalers_show_present_and_wanted_values() {
        let cpu = |wanted: i64| {
            let target = json!({"type": "Utilization", "averageUtilization": wanted});
            json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
        };
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"averageValue": "1024Mi"}}});
        let pods = json!({"type": "Pods", "pods": {"target": {"averageValue": "2"}}});
        let now = json!([{"type": "Resource", "resource": {"current": {"averageUtilization": 7}}}]);
        let table = [
            (json!({"spec": {"metrics": [cpu(50)]}}), "cpu: <unknown>/50%"),
            (json!({"spec": {"metrics": [cpu(50)]}, "status": {"currentMetrics": now}}), "cpu: 7%/50%"),
            (
                json!({"spec": {"metrics": [cpu(50), memory, pods]}}),
                "cpu: <unknown>/50%, memory: <unknown>/1Gi + 1 more...",
            ),
            (json!({"spec": {"targetCPUUtilizationPercentage": 80}}), "cpu: <unknown>/80%"),
            (json!({"spec": {}}), "<none>"),
        ];
        for (autoscaler, expected) in table {
            assert_eq!(shown(&HORIZONTAL_POD_AUTOSCALER, &autoscaler)[2], expected, "{autoscaler}");
        }
    }

    #[test]
    fn budgets_revisions_and_templates_are_shown() {
        let budget = json!({"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}});
        assert_eq!(shown(&POD_DISRUPTION_BUDGET, &budget)[1..4], ["50%", "N/A", "1"]);
        let revision = json!({"revision": 4, "metadata": {"ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true}]}});
        assert_eq!(shown(&CONTROLLER_REVISION, &revision)[1..3], ["daemonset.apps/d", "4"]);
        let template =
            json!({"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}}});
        assert_eq!(shown(&POD_TEMPLATE, &template)[1..], ["c", "", "a=b"]);
    }
}
