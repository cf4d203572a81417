//! The subresources that write a part of a pod: `ephemeralcontainers` and `resize`.

use super::SubresourceUpdate;
use crate::Document;
use crate::field::FieldError;
use crate::strategy::rules::count_generation;
use crate::validation::check;
use crate::validation::metadata;
use crate::validation::pod as rules;
use crate::view::{Edit, View};

/// All of them.
pub(super) const UPDATES: &[SubresourceUpdate] = &[
    SubresourceUpdate {
        name: "ephemeralcontainers",
        prepare: prepare_ephemeral_containers,
        validate: validate_ephemeral_containers,
    },
    SubresourceUpdate { name: "resize", prepare: prepare_resize, validate: validate_resize },
];

/// Only the ephemeral containers are the new pod's.
fn prepare_ephemeral_containers(new: &mut Document, old: &Document) {
    let containers = new.at("spec.ephemeralContainers").clone();
    take_over(new, old);
    new.put("spec.ephemeralContainers", containers);
    count_generation(new, old, &["spec"]);
}

fn validate_ephemeral_containers(new: &Document, old: &Document) -> Vec<FieldError> {
    check(new, |pod, errors| {
        metadata::validate_update(pod, old, errors);
        rules::update::ephemeral_containers(pod, old, errors);
    })
}

/// Only the resources and resize policies of containers, and the resources of the pod, are the new pod's.
fn prepare_resize(new: &mut Document, old: &Document) {
    let given = new.clone();
    take_over(new, old);
    for list in ["spec.containers", "spec.initContainers"] {
        for container in new.list_mut(list) {
            let name = container.text("name").to_owned();
            let wanted = given.list(list).iter().find(|wanted| wanted.text("name") == name);
            if let Some(wanted) = wanted {
                container.copy_from(wanted, "resources");
                container.copy_from(wanted, "resizePolicy");
            }
        }
    }
    new.copy_from(&given, "spec.resources");
    count_generation(new, old, &["spec"]);
}

fn validate_resize(new: &Document, old: &Document) -> Vec<FieldError> {
    check(new, |pod, errors| {
        metadata::validate_update(pod, old, errors);
        rules::update::resize(pod, old, errors);
    })
}

/// The stored pod, with what the request alone carries: the resource version and the field managers.
fn take_over(new: &mut Document, old: &Document) {
    let mut taken = old.clone();
    for path in ["metadata.resourceVersion", "metadata.managedFields"] {
        taken.copy_from(new, path);
    }
    *new = taken;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::strategy::strategy_for;
    use crate::view::View;

    #[test]
    fn each_subresource_writes_its_part_alone() {
        let old = json!({
            "metadata": {"name": "a", "generation": 1},
            "spec": {"containers": [{"name": "c", "image": "x", "resources": {}}]},
        });
        let given = json!({
            "metadata": {"name": "a", "labels": {"a": "b"}},
            "spec": {
                "containers": [{"name": "c", "image": "y", "resources": {"limits": {"cpu": "1"}}}],
                "ephemeralContainers": [{"name": "d"}],
            },
        });
        let strategy = strategy_for("", "Pod");
        for update in strategy.subresource_updates {
            let mut new = given.clone();
            (update.prepare)(&mut new, &old);
            let container = &new.at("spec.containers")[0];
            assert_eq!(container.text("image"), "x", "{}", update.name);
            assert!(!new.has("metadata.labels"), "{}", update.name);
            assert_eq!(new.int("metadata.generation"), Some(2), "{}", update.name);
            assert_eq!(container.has("resources.limits"), update.name == "resize");
            assert_eq!(new.has("spec.ephemeralContainers"), update.name == "ephemeralcontainers");
        }
    }
}
