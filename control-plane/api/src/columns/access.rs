//! Rows of who may do what, and of what is asked before it is done.

use super::{AGE, NAME, NONE, Table, age, cells, name, text, text_or, wide};
use crate::Document;
use crate::time;
use crate::view::View;

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
}
