//! Default roles and bindings are brought up to date at every start: what is missing is added, what an administrator added
//! stays (`rbac/reconciliation` upstream). An object whose annotation says `autoupdate: "false"` is left alone.

use serde_json::json;
use sheave_api::Document;
use sheave_api::view::{Edit, View, equivalent};

use crate::authz::{Rule, uncovered};

/// What to do about a default object that is there.
#[derive(Debug, PartialEq)]
pub(super) enum Repair {
    /// It has everything.
    Nothing,
    /// It is written as this.
    Update(Box<Document>),
    /// Its role cannot be changed: it is deleted and made anew.
    Replace,
}

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What to do so that `found` is at least what `wanted` says.
pub(super) fn repair(found: &Document, wanted: &Document) -> Repair {
    let annotations = found.fields("metadata.annotations");
    if annotations.get(AUTOUPDATE).and_then(Document::as_str) == Some("false") {
        return Repair::Nothing;
    }
    if wanted.has("roleRef") && !equivalent(found.at("roleRef"), wanted.at("roleRef")) {
        return Repair::Replace;
    }
    let mut repaired = found.clone();
    add_fields(&mut repaired, wanted, "metadata.labels");
    add_fields(&mut repaired, wanted, "metadata.annotations");
    add_rules(&mut repaired, wanted);
    add_items(&mut repaired, wanted, "subjects");
    add_items(&mut repaired, wanted, "aggregationRule.clusterRoleSelectors");
    if repaired == *found { Repair::Nothing } else { Repair::Update(Box::new(repaired)) }
}

/// A label or annotation that is there keeps its value.
fn add_fields(object: &mut Document, wanted: &Document, path: &str) {
    for (name, value) in wanted.fields(path) {
        if !object.fields(path).contains_key(name)
            && let Some(fields) = object.object_mut(path)
        {
            fields.insert(name.clone(), value.clone());
        }
    }
}

/// Adds the parts of the wanted rules that no rule covers.
fn add_rules(object: &mut Document, wanted: &Document) {
    let missing = uncovered(&Rule::all_of(object), &Rule::all_of(wanted));
    push(object, "rules", missing.iter().map(Rule::document));
}

fn add_items(object: &mut Document, wanted: &Document, path: &str) {
    let missing = wanted.list(path).iter().filter(|item| !object.list(path).iter().any(|it| equivalent(it, item)));
    let missing: Vec<Document> = missing.cloned().collect();
    push(object, path, missing.into_iter());
}

fn push(object: &mut Document, path: &str, items: impl Iterator<Item = Document>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    object.default_to(path, json!([]));
    if let Some(list) = object.at_mut(path).and_then(Document::as_array_mut) {
        list.extend(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(rules: &Document) -> Document {
        json!({"kind": "ClusterRole", "metadata": {"name": "r", "annotations": {AUTOUPDATE: "true"}}, "rules": rules})
    }

    fn updated(found: &Document, wanted: &Document) -> Document {
        match repair(found, wanted) {
            Repair::Update(object) => *object,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn missing_rules_are_added_and_others_stay() {
        let wanted = role(&json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]));
        assert_eq!(repair(&wanted, &wanted), Repair::Nothing);
        let mine = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
        let half = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        let rest = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]});
        let repaired = updated(&role(&json!([mine, half])), &wanted);
        assert_eq!(repaired["rules"], json!([mine, half, rest]));
        assert_eq!(repair(&repaired, &wanted), Repair::Nothing);
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        assert_eq!(repair(&role(&all), &wanted), Repair::Nothing);
    }

    #[test]
    fn a_role_that_is_not_to_be_updated_stays() {
        let mut found = role(&json!([]));
        found["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        let wanted = role(&json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]));
        assert_eq!(repair(&found, &wanted), Repair::Nothing);
    }

    #[test]
    fn labels_that_gather_come_back() {
        let mut wanted = role(&json!([]));
        wanted["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"});
        assert_eq!(updated(&role(&json!([])), &wanted)["metadata"]["labels"], wanted["metadata"]["labels"]);
    }

    #[test]
    fn a_binding_gets_its_subjects_back_and_another_role_only_anew() {
        let binding = |role: &str, subjects: &[&str]| {
            let subjects: Vec<Document> = subjects.iter().map(|name| json!({"kind": "Group", "name": name})).collect();
            json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects})
        };
        let wanted = binding("view", &["all"]);
        assert_eq!(updated(&binding("view", &["mine"]), &wanted), binding("view", &["mine", "all"]));
        assert_eq!(repair(&binding("edit", &["all"]), &wanted), Repair::Replace);
    }
}
