//! Rows of who may do what, and of what is asked before it is done.

use super::{AGE, NAME, NONE, Table, age, cells, count, integer, name, text, text_or, wide};
use crate::Document;
use crate::time;
use crate::view::View;

const UNSET: &str = "<unset>";

/// Role bindings, of a namespace or of the cluster.
pub(crate) const ROLE_BINDING: Table = Table {
    columns: &[
        NAME,
        text("Role", "What the subjects may do."),
        AGE,
        wide(text("Users", "The users among the subjects.")),
        wide(text("Groups", "The groups among the subjects.")),
        wide(text("ServiceAccounts", "The service accounts among the subjects.")),
    ],
    row: |binding, now| {
        let role = binding.at("roleRef");
        cells([
            name(binding),
            format!("{}/{}", role.text("kind"), role.text("name")).into(),
            age(binding, now),
            subjects(binding, "User").into(),
            subjects(binding, "Group").into(),
            subjects(binding, "ServiceAccount").into(),
        ])
    },
};

/// Requests for certificates.
pub(crate) const CERTIFICATE_SIGNING_REQUEST: Table = Table {
    columns: &[
        NAME,
        AGE,
        text("SignerName", "Who is to sign."),
        text("Requestor", "Who asks."),
        text("RequestedDuration", "How long the certificate should hold."),
        text("Condition", "What became of the request."),
    ],
    row: |request, now| {
        let duration = request.int("spec.expirationSeconds");
        cells([
            name(request),
            age(request, now),
            text_or(request, "spec.signerName", NONE),
            request.text("spec.username").into(),
            duration.map_or_else(|| NONE.to_owned(), time::human_duration).into(),
            request_condition(request).into(),
        ])
    },
};

/// Bundles of trust.
pub(crate) const CLUSTER_TRUST_BUNDLE: Table = Table {
    columns: &[NAME, text("SignerName", "Whose signatures are trusted.")],
    row: |bundle, _| cells([name(bundle), text_or(bundle, "spec.signerName", NONE)]),
};

/// Webhooks that change or refuse.
pub(crate) const WEBHOOK_CONFIGURATION: Table = Table {
    columns: &[NAME, integer("Webhooks", "How many webhooks there are."), AGE],
    row: |configuration, now| {
        cells([name(configuration), configuration.list("webhooks").len().into(), age(configuration, now)])
    },
};

/// Policies that refuse.
pub(crate) const VALIDATING_ADMISSION_POLICY: Table = Table {
    columns: &[
        NAME,
        integer("Validations", "How many rules there are."),
        text("ParamKind", "The kind of the parameters."),
        AGE,
    ],
    row: |policy, now| {
        cells([name(policy), policy.list("spec.validations").len().into(), param_kind(policy), age(policy, now)])
    },
};

/// Policies that change.
pub(crate) const MUTATING_ADMISSION_POLICY: Table = Table {
    columns: &[
        NAME,
        integer("Mutations", "How many rules there are."),
        text("ParamKind", "The kind of the parameters."),
        AGE,
    ],
    row: |policy, now| {
        cells([name(policy), policy.list("spec.mutations").len().into(), param_kind(policy), age(policy, now)])
    },
};

/// Where a policy holds.
pub(crate) const ADMISSION_POLICY_BINDING: Table = Table {
    columns: &[NAME, text("PolicyName", "The policy."), text("ParamRef", "The parameters."), AGE],
    row: |binding, now| {
        let reference = binding.at("spec.paramRef");
        let parameters = match (reference.text("name"), reference.text("namespace")) {
            ("", _) if reference.has("selector") => super::selector(reference.at("selector")),
            ("", _) => UNSET.to_owned(),
            (name, "") => format!("*/{name}"),
            (name, namespace) => format!("{namespace}/{name}"),
        };
        cells([name(binding), binding.text("spec.policyName").into(), parameters.into(), age(binding, now)])
    },
};

/// Which requests share a priority level.
pub(crate) const FLOW_SCHEMA: Table = Table {
    columns: &[
        NAME,
        text("PriorityLevel", "The priority level."),
        text("MatchingPrecedence", "Which schema is asked first: the lowest number."),
        text("DistinguisherMethod", "What tells flows apart."),
        AGE,
        text("MissingPL", "Whether the priority level is missing."),
    ],
    row: |schema, now| {
        let conditions = schema.list("status.conditions");
        let dangling = conditions.iter().find(|condition| condition.text("type") == "Dangling");
        cells([
            name(schema),
            schema.text("spec.priorityLevelConfiguration.name").into(),
            count(schema, "spec.matchingPrecedence"),
            text_or(schema, "spec.distinguisherMethod.type", NONE),
            age(schema, now),
            dangling.map_or("?", |condition| condition.text("status")).into(),
        ])
    },
};

/// How many requests of a level are served at a time.
pub(crate) const PRIORITY_LEVEL_CONFIGURATION: Table = Table {
    columns: &[
        NAME,
        text("Type", "Whether there is a limit."),
        text("NominalConcurrencyShares", "The level's share of the server."),
        text("Queues", "How many queues there are."),
        text("HandSize", "How many queues a flow may use."),
        text("QueueLengthLimit", "How long a queue may be."),
        AGE,
    ],
    row: |level, now| {
        let number = |path: &str| level.int(path).map_or_else(|| NONE.into(), Document::from);
        cells([
            name(level),
            level.text("spec.type").into(),
            number("spec.limited.nominalConcurrencyShares"),
            number("spec.limited.limitResponse.queuing.queues"),
            number("spec.limited.limitResponse.queuing.handSize"),
            number("spec.limited.limitResponse.queuing.queueLengthLimit"),
            age(level, now),
        ])
    },
};

/// Groups of the API and who serves them.
pub(crate) const API_SERVICE: Table = Table {
    columns: &[NAME, text("Service", "Who serves the group."), text("Available", "Whether the group is served."), AGE],
    row: |service, now| {
        let reference = service.at("spec.service");
        let server = if reference.is_object() {
            format!("{}/{}", reference.text("namespace"), reference.text("name"))
        } else {
            "Local".to_owned()
        };
        let conditions = service.list("status.conditions");
        let available = conditions.iter().find(|condition| condition.text("type") == "Available");
        let available = match available {
            None => "Unknown".to_owned(),
            Some(condition) => match (condition.text("status"), condition.text("reason")) {
                (status @ "True", _) | (status, "") => status.to_owned(),
                (status, reason) => format!("{status} ({reason})"),
            },
        };
        cells([name(service), server.into(), available.into(), age(service, now)])
    },
};

fn subjects(binding: &Document, kind: &str) -> String {
    let of_kind = binding.list("subjects").iter().filter(|subject| subject.text("kind") == kind);
    let names = of_kind.map(|subject| match (kind, subject.text("namespace")) {
        ("ServiceAccount", namespace) if !namespace.is_empty() => format!("{namespace}/{}", subject.text("name")),
        _ => subject.text("name").to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn request_condition(request: &Document) -> String {
    let has = |ty: &str| request.list("status.conditions").iter().any(|condition| condition.text("type") == ty);
    let decision = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if request.text("status.certificate").is_empty() { "" } else { ",Issued" };
    format!("{decision}{failed}{issued}")
}

fn param_kind(policy: &Document) -> Document {
    let kind = policy.at("spec.paramKind");
    if kind.is_object() { format!("{}/{}", kind.text("apiVersion"), kind.text("kind")).into() } else { UNSET.into() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn shown(table: &Table, object: &Document) -> Vec<String> {
        let row = (table.row)(object, Timestamp::UNIX_EPOCH);
        assert_eq!(row.len(), table.columns.len());
        row.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
    }

    #[test]
    fn bindings_show_their_subjects_by_kind() {
        let binding = json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "alice"}, {"kind": "Group", "name": "devs"}, {"kind": "User", "name": "bob"},
            {"kind": "ServiceAccount", "namespace": "a", "name": "b"},
        ]});
        assert_eq!(shown(&ROLE_BINDING, &binding)[1..], ["Role/r", "<unknown>", "alice, bob", "devs", "a/b"]);
    }

    #[test]
    fn requests_show_what_became_of_them() {
        let conditions = |types: &[&str]| types.iter().map(|ty| json!({"type": ty})).collect::<Vec<_>>();
        let table = [
            (json!({}), "Pending"),
            (json!({"conditions": conditions(&["Approved"])}), "Approved"),
            (json!({"conditions": conditions(&["Approved"]), "certificate": "x"}), "Approved,Issued"),
            (json!({"conditions": conditions(&["Approved", "Failed"])}), "Approved,Failed"),
            (json!({"conditions": conditions(&["Approved", "Denied"])}), "Denied"),
        ];
        for (status, expected) in table {
            assert_eq!(shown(&CERTIFICATE_SIGNING_REQUEST, &json!({"status": status}))[5], expected);
        }
        let request = json!({"spec": {"signerName": "s", "username": "u", "expirationSeconds": 3600}});
        assert_eq!(shown(&CERTIFICATE_SIGNING_REQUEST, &request)[2..5], ["s", "u", "60m"]);
    }

    #[test]
    fn the_rest_is_shown() {
        assert_eq!(shown(&WEBHOOK_CONFIGURATION, &json!({"webhooks": [{}, {}]}))[1], "2");
        let policy = json!({"spec": {"validations": [{}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}});
        assert_eq!(shown(&VALIDATING_ADMISSION_POLICY, &policy)[1..3], ["1", "v1/ConfigMap"]);
        let binding = json!({"spec": {"policyName": "p", "paramRef": {"name": "n"}}});
        assert_eq!(shown(&ADMISSION_POLICY_BINDING, &binding)[1..3], ["p", "*/n"]);
        let service = json!({"status": {"conditions": [
            {"type": "Available", "status": "False", "reason": "ServiceNotFound"}]}});
        assert_eq!(shown(&API_SERVICE, &service)[1..3], ["Local", "False (ServiceNotFound)"]);
        let level = json!({"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 5}}});
        assert_eq!(shown(&PRIORITY_LEVEL_CONFIGURATION, &level)[1..4], ["Limited", "5", "<none>"]);
        let schema = json!({"spec": {"matchingPrecedence": 9, "priorityLevelConfiguration": {"name": "p"}}});
        assert_eq!(shown(&FLOW_SCHEMA, &schema)[1..], ["p", "9", "<none>", "<unknown>", "?"]);
    }
}
