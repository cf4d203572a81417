//! What holds for every pair of configurations, against a plain model: a document as a table of leaves.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::json;
use sheave_api::Document;

use super::ApplyError;
use super::scenario::Story;
use crate::error::PatchError;

/// Every leaf by its path as conflicts name it. Containers and environments are keyed by name, arguments are one leaf.
fn leaves(document: &Document) -> BTreeMap<String, Document> {
    let mut leaves = BTreeMap::new();
    collect(document, String::new(), &mut leaves);
    leaves
}

fn collect(value: &Document, path: String, leaves: &mut BTreeMap<String, Document>) {
    match value {
        Document::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| collect(value, format!("{path}.{name}"), leaves));
        }
        Document::Array(items) if !path.ends_with(".args") && !items.is_empty() => {
            items.iter().for_each(|item| collect(item, format!("{path}[name={}]", item["name"]), leaves));
        }
        value => {
            leaves.insert(path, value.clone());
        }
    }
}

fn without_managers(story: &Story) -> Document {
    let mut document = story.live().clone();
    document["metadata"].as_object_mut().expect("an object").remove("managedFields");
    document
}

fn word() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c")]
}

fn named(item: impl Strategy<Value = Document>) -> impl Strategy<Value = Document> {
    prop::collection::vec((word(), item), 1..4).prop_map(|items| {
        let mut seen = BTreeSet::new();
        let with_name = |(name, mut item): (&'static str, Document)| {
            item["name"] = json!(name);
            seen.insert(name).then_some(item)
        };
        items.into_iter().filter_map(with_name).collect()
    })
}

fn optional(value: impl Strategy<Value = Document>) -> impl Strategy<Value = Option<Document>> {
    (any::<bool>(), value).prop_map(|(is_there, value)| is_there.then_some(value))
}

fn object(fields: Vec<(&str, Option<Document>)>) -> Document {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn container() -> impl Strategy<Value = Document> {
    let env = named(optional(word().prop_map(|value| json!(value))).prop_map(|value| object(vec![("value", value)])));
    let args = prop::collection::vec(word(), 1..3).prop_map(|args| json!(args));
    let image = word().prop_map(|image| json!(image));
    (optional(image), optional(env), optional(args))
        .prop_map(|(image, env, args)| object(vec![("image", image), ("env", env), ("args", args)]))
}

fn configuration() -> impl Strategy<Value = Document> {
    let labels = prop::collection::btree_map(word(), word(), 1..3).prop_map(|labels| json!(labels));
    let replicas = (1..4).prop_map(|replicas| json!(replicas));
    (optional(labels), optional(replicas), optional(named(container()))).prop_map(|(labels, replicas, containers)| {
        let template = containers.map(|containers| json!({"spec": {"containers": containers}}));
        let spec = Some(object(vec![("replicas", replicas), ("template", template)])).filter(|spec| *spec != json!({}));
        object(vec![("metadata", Some(object(vec![("labels", labels)]))), ("spec", spec)])
    })
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in configuration(), second in configuration()) {
        let mut story = Story::of_a_deployment();
        story.update("creator", first);
        story.force("alice", second.clone());
        let once = story.live.clone();
        story.apply("alice", second);
        prop_assert_eq!(&story.live, &once);
    }

    #[test]
    fn the_conflicts_are_the_leaves_that_others_own_with_another_value(ours in configuration(), theirs in configuration()) {
        let mut story = Story::of_a_deployment();
        story.apply("bob", theirs.clone());
        let owned = leaves(&story.document(theirs));
        let wanted = leaves(&story.document(ours.clone()));
        let differs = |(path, value): &(&String, &Document)| owned.get(*path).is_some_and(|owned| owned != *value);
        let expected = wanted.iter().filter(differs).map(|(path, _)| path.clone()).collect::<BTreeSet<_>>();
        match story.try_apply("alice", ours, false) {
            Ok(()) => prop_assert!(expected.is_empty(), "no conflict over {:?}", expected),
            Err(PatchError::Apply(ApplyError::Conflicts(conflicts))) => {
                let paths = conflicts.iter().map(|conflict| conflict.path.to_string()).collect::<BTreeSet<_>>();
                prop_assert_eq!(paths, expected);
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn applying_and_letting_go_leaves_what_others_own(ours in configuration(), theirs in configuration()) {
        let mut story = Story::of_a_deployment();
        story.apply("bob", theirs);
        let before = leaves(&without_managers(&story));
        if story.try_apply("alice", ours, false).is_ok() {
            story.apply("alice", json!({}));
            prop_assert_eq!(leaves(&without_managers(&story)), before);
        }
    }

    #[test]
    fn after_a_forced_apply_every_applied_leaf_has_its_value(ours in configuration(), theirs in configuration()) {
        let mut story = Story::of_a_deployment();
        story.apply("bob", theirs);
        story.force("alice", ours.clone());
        let result = leaves(story.live());
        for (path, value) in leaves(&story.document(ours)) {
            prop_assert_eq!(result.get(&path), Some(&value), "{}", path);
        }
    }

    #[test]
    fn a_new_configuration_replaces_the_old_one_whole(first in configuration(), second in configuration()) {
        let mut story = Story::of_a_deployment();
        story.apply("alice", first);
        story.apply("alice", second.clone());
        let mut fresh = Story::of_a_deployment();
        fresh.apply("alice", second);
        prop_assert_eq!(leaves(&without_managers(&story)), leaves(&without_managers(&fresh)));
        prop_assert_eq!(story.fields_of("alice"), fresh.fields_of("alice"));
    }
}
