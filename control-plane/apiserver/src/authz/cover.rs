//! Whether somebody's rules cover other rules, as `k8s.io/component-helpers/auth/rbac/validation` decides it.

use super::rules::Rule;

/// The parts of `wanted` that `owned` does not cover; each part names one thing of each sort.
pub(crate) fn uncovered(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    wanted.iter().flat_map(parts).filter(|part| !owned.iter().any(|rule| covers(rule, part))).collect()
}

/// A rule taken apart into rules of one verb and one resource, or one verb and one path.
fn parts(rule: &Rule) -> Vec<Rule> {
    let mut parts = Vec::new();
    for verb in &rule.verbs {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let part = Rule {
                    verbs: vec![verb.clone()],
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    parts.push(part);
                    continue;
                }
                let named = rule.resource_names.iter();
                parts.extend(named.map(|name| Rule { resource_names: vec![name.clone()], ..part.clone() }));
            }
        }
        let paths = rule.non_resource_urls.iter();
        parts.extend(paths.map(|path| Rule {
            verbs: vec![verb.clone()],
            non_resource_urls: vec![path.clone()],
            ..Rule::default()
        }));
    }
    parts
}

fn covers(owner: &Rule, part: &Rule) -> bool {
    part.verbs.iter().all(|verb| owner.has_verb(verb))
        && part.api_groups.iter().all(|group| owner.has_group(group))
        && part.resources.iter().all(|resource| covers_resource(owner, resource))
        && covers_names(owner, part)
        && part.non_resource_urls.iter().all(|path| covers_path(owner, path))
}

fn covers_resource(owner: &Rule, resource: &str) -> bool {
    match resource.split_once('/') {
        None if resource == "*" => owner.resources.iter().any(|it| it == "*"),
        None => owner.has_resource(resource, ""),
        Some((parent, sub)) => owner.resources.iter().any(|it| it == resource) || owner.has_resource(parent, sub),
    }
}

/// A rule without names covers those with; one with names covers only its own.
fn covers_names(owner: &Rule, part: &Rule) -> bool {
    owner.resource_names.is_empty()
        || (!part.resource_names.is_empty() && part.resource_names.iter().all(|name| owner.has_name(name)))
}

fn covers_path(owner: &Rule, path: &str) -> bool {
    owner.non_resource_urls.iter().any(|it| it == path) || owner.has_path(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(document: &sheave_api::Document) -> Rule {
        Rule::of(document)
    }

    #[test]
    fn what_is_not_covered_is_named_part_by_part() {
        let owned = [rule(&json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}))];
        let wanted = [rule(&json!({"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get"]}))];
        let missing = uncovered(&owned, &wanted);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].resources, ["secrets"]);
    }

    #[test]
    fn a_star_is_covered_only_by_a_star() {
        let pods = [rule(&json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}))];
        let all = [rule(&json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}))];
        assert!(!uncovered(&pods, &all).is_empty());
        assert!(uncovered(&all, &pods).is_empty());
        assert!(uncovered(&all, &all).is_empty());
    }

    #[test]
    fn a_rule_for_one_name_does_not_cover_all_names() {
        let one = [rule(&json!({"apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"], "verbs": ["get"]}))];
        let all = [rule(&json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}))];
        assert!(!uncovered(&one, &all).is_empty());
        assert!(uncovered(&all, &one).is_empty());
    }
}
