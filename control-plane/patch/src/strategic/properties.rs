//! A patch that a client computes leads from one document to the other.
//!
//! The difference is computed here by the rules for clients, independently of how the patch is applied.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{prop_assert_eq, prop_oneof, proptest};
use serde_json::{Map, json};
use sheave_api::Document;
use sheave_api::schema::Arena;

use super::{Object, Schema, apply};

/// The patch that turns `old` into `new`.
fn difference(schema: Schema<'_>, old: &Object, new: &Object) -> Object {
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Document::Null);
    }
    for (name, new_value) in new {
        let Some(old_value) = old.get(name).filter(|old_value| *old_value != new_value) else {
            if !old.contains_key(name) {
                patch.insert(name.clone(), new_value.clone());
            }
            continue;
        };
        let field = schema.field(name).expect("only known fields are generated");
        match (old_value, new_value) {
            (Document::Object(old), Document::Object(new)) if !field.strategic.replace => {
                let below = difference(field.schema, old, new);
                patch.insert(name.clone(), Document::Object(below));
            }
            (Document::Array(old), Document::Array(new)) if field.strategic.merge && !old.is_empty() => {
                list_difference(&mut patch, name, field.strategic.merge_key.as_deref(), field.schema.items(), old, new);
            }
            _ => {
                patch.insert(name.clone(), new_value.clone());
            }
        }
    }
    patch
}

fn list_difference(
    patch: &mut Object,
    name: &str,
    key: Option<&str>,
    items: Schema<'_>,
    old: &[Document],
    new: &[Document],
) {
    let Some(key) = key else {
        let gone = old.iter().filter(|item| !new.contains(item)).cloned().collect();
        patch.insert(format!("$deleteFromPrimitiveList/{name}"), Document::Array(gone));
        patch.insert(format!("$setElementOrder/{name}"), Document::Array(new.to_vec()));
        patch
            .insert(name.to_owned(), Document::Array(new.iter().filter(|item| !old.contains(item)).cloned().collect()));
        return;
    };
    let by_key =
        |list: &[Document]| list.iter().map(|item| (item[key].to_string(), item.clone())).collect::<BTreeMap<_, _>>();
    let (old_by_key, new_by_key) = (by_key(old), by_key(new));
    let mut changed = Vec::new();
    for item in new {
        match old_by_key.get(&item[key].to_string()) {
            Some(Document::Object(before)) => {
                let mut below = difference(items, before, item.as_object().expect("an object"));
                if !below.is_empty() {
                    below.insert(key.to_owned(), item[key].clone());
                    changed.push(Document::Object(below));
                }
            }
            _ => changed.push(item.clone()),
        }
    }
    let gone = old.iter().filter(|item| !new_by_key.contains_key(&item[key].to_string()));
    changed.extend(gone.map(|item| json!({(key): item[key], "$patch": "delete"})));
    let order = new.iter().map(|item| json!({(key): item[key]})).collect();
    patch.insert(format!("$setElementOrder/{name}"), Document::Array(order));
    patch.insert(name.to_owned(), Document::Array(changed));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("d"), Just("e")].prop_map(str::to_owned)
}

/// A list of objects with distinct values of `key`.
fn keyed(key: &'static str, item: impl Strategy<Value = Document>) -> impl Strategy<Value = Document> {
    prop::collection::vec((word(), item), 0..5).prop_map(move |items| {
        let mut seen = std::collections::BTreeSet::new();
        let named = |(name, mut item): (String, Document)| {
            let fresh = seen.insert(name.clone());
            item[key] = json!(name);
            fresh.then_some(item)
        };
        items.into_iter().filter_map(named).collect()
    })
}

fn container() -> impl Strategy<Value = Document> {
    let env = keyed("name", word().prop_map(|value| json!({"value": value})));
    (any::<bool>(), word(), env, prop::collection::vec(word(), 0..3)).prop_map(|(has_args, image, env, args)| {
        let mut container = json!({"image": image, "env": env});
        if has_args {
            container["args"] = json!(args);
        }
        container
    })
}

fn pod() -> impl Strategy<Value = Document> {
    let labels = prop::collection::btree_map(word(), word(), 0..4);
    let finalizers = prop::collection::hash_set(word(), 0..4);
    (labels, finalizers, keyed("name", container()), any::<bool>()).prop_map(|(labels, finalizers, containers, wide)| {
        let mut spec = json!({"containers": containers});
        if wide {
            spec["hostNetwork"] = json!(true);
            spec["nodeSelector"] = json!(labels);
        }
        json!({"metadata": {"labels": labels, "finalizers": finalizers.into_iter().collect::<Vec<_>>()}, "spec": spec})
    })
}

proptest! {
    #[test]
    fn a_computed_patch_leads_to_its_target(old in pod(), new in pod()) {
        let arena = Arena::builtin();
        let root = arena.named("io.k8s.api.core.v1.Pod").expect("a built-in kind");
        let schema = Schema { arena, ty: Some(arena.get(root)) };
        let (Some(old_fields), Some(new_fields)) = (old.as_object(), new.as_object()) else { unreachable!() };
        let patch = Document::Object(difference(schema, old_fields, new_fields));
        let result = apply(arena, root, old.clone(), patch.clone()).unwrap_or_else(|error| panic!("{patch}: {error}"));
        prop_assert_eq!(&result, &new, "patch {}", patch);
        let again = apply(arena, root, result, patch).unwrap_or_else(|error| panic!("again: {error}"));
        prop_assert_eq!(again, new);
    }
}
