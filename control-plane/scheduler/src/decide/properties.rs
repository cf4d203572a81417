//! Random clusters, against the rules written down plainly: walks over pods and nodes as JSON, no index, no group.

use std::collections::BTreeSet;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop};
use proptest::{prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

use super::tests::Scene;
use crate::filter::Candidate;

const HOST: &str = "kubernetes.io/hostname";

/// A cluster as the rules see it.
#[derive(Clone, Debug)]
struct World {
    nodes: Vec<Value>,
    /// Pods with the index of their node.
    running: Vec<(Value, usize)>,
}

// === impl World ===

impl World {
    fn node_of(&self, running: &(Value, usize)) -> &Value {
        &self.nodes[running.1]
    }

    /// The nodes that inter-pod affinity, anti-affinity both ways and hard spread leave for `pod`.
    fn fitting(&self, pod: &Value) -> BTreeSet<String> {
        let fits = |node: &&Value| {
            matches_node_selector(pod, node)
                && self.affinity_holds(pod, node)
                && self.anti_affinity_holds(pod, node)
                && self.others_anti_affinity_holds(pod, node)
                && terms(pod, "spread").iter().all(|constraint| self.spread_holds(pod, constraint, node))
        };
        self.nodes.iter().filter(fits).map(name).collect()
    }

    /// Each term has, in the node's domain, a pod that all terms mean; or nobody is meant anywhere and the pod means itself.
    fn affinity_holds(&self, pod: &Value, node: &Value) -> bool {
        let terms = terms(pod, "podAffinity");
        let is_meant = |other: &Value| terms.iter().all(|term| means(pod, term, other));
        let meant = self.running.iter().filter(|running| is_meant(&running.0)).collect::<Vec<_>>();
        let near = |term: &Value| meant.iter().any(|running| same_domain(term, node, self.node_of(running)));
        let nowhere = terms.iter().all(|term| {
            let key = key(term);
            meant.iter().all(|running| label(self.node_of(running), key).is_none())
        });
        terms.iter().all(|term| label(node, key(term)).is_some())
            && (terms.iter().all(near) || (nowhere && is_meant(pod)))
    }

    fn anti_affinity_holds(&self, pod: &Value, node: &Value) -> bool {
        terms(pod, "podAntiAffinity").iter().all(|term| {
            let meant = self.running.iter().filter(|running| means(pod, term, &running.0));
            meant.into_iter().all(|running| !same_domain(term, node, self.node_of(running)))
        })
    }

    fn others_anti_affinity_holds(&self, pod: &Value, node: &Value) -> bool {
        self.running.iter().all(|running| {
            terms(&running.0, "podAntiAffinity")
                .iter()
                .all(|term| !means(&running.0, term, pod) || !same_domain(term, node, self.node_of(running)))
        })
    }

    /// The skew stays within bounds, counted over the nodes that have every key and that the pod could run on.
    fn spread_holds(&self, pod: &Value, constraint: &Value, node: &Value) -> bool {
        let keys = terms(pod, "spread").iter().map(|constraint| key(constraint).to_owned()).collect::<Vec<_>>();
        let honors = constraint["nodeAffinityPolicy"] != "Ignore";
        let counts = |node: &&Value| {
            keys.iter().all(|key| label(node, key).is_some()) && (!honors || matches_node_selector(pod, node))
        };
        let eligible = self.nodes.iter().filter(counts).collect::<Vec<_>>();
        let key = key(constraint);
        let is_spread = |other: &Value| {
            other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                && other["metadata"]["deletionTimestamp"].is_null()
                && selects(&constraint["labelSelector"], other)
        };
        let in_domain = |domain: &str| {
            let there = self.running.iter().filter(|running| {
                let node = self.node_of(running);
                counts(&node) && label(node, key) == Some(domain) && is_spread(&running.0)
            });
            i64::try_from(there.count()).unwrap()
        };
        let domains = eligible.iter().filter_map(|node| label(node, key)).collect::<BTreeSet<_>>();
        let enough = domains.len() as u64 >= constraint["minDomains"].as_u64().unwrap_or(1);
        let lowest = if enough { domains.iter().map(|domain| in_domain(domain)).min().unwrap_or(0) } else { 0 };
        let own = i64::from(selects(&constraint["labelSelector"], pod));
        let Some(domain) = label(node, key) else { return false };
        in_domain(domain) + own - lowest <= constraint["maxSkew"].as_i64().unwrap()
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"][key].as_str()
}

fn key(term: &Value) -> &str {
    term["topologyKey"].as_str().unwrap()
}

fn same_domain(term: &Value, one: &Value, other: &Value) -> bool {
    label(one, key(term)).is_some_and(|value| label(other, key(term)) == Some(value))
}

/// The required terms of a kind of affinity, or the hard spread constraints.
fn terms(pod: &Value, kind: &str) -> Vec<Value> {
    let list = match kind {
        "spread" => &pod["spec"]["topologySpreadConstraints"],
        kind => &pod["spec"]["affinity"][kind]["requiredDuringSchedulingIgnoredDuringExecution"],
    };
    list.as_array().cloned().unwrap_or_default()
}

/// Whether a term of `owner` means `other`.
fn means(owner: &Value, term: &Value, other: &Value) -> bool {
    let namespace = &other["metadata"]["namespace"];
    let here = match term["namespaces"].as_array() {
        Some(named) => named.contains(namespace),
        None if term["namespaceSelector"].is_null() => *namespace == owner["metadata"]["namespace"],
        None => false,
    };
    let of_namespace = json!({"metadata": {"labels": {"kubernetes.io/metadata.name": namespace}}});
    let selected = !term["namespaceSelector"].is_null() && selects(&term["namespaceSelector"], &of_namespace);
    (here || selected) && selects(&term["labelSelector"], other)
}

/// `matchLabels` and `In` are all that is generated; nothing at all selects nothing.
fn selects(selector: &Value, object: &Value) -> bool {
    let has = |(key, value): (&String, &Value)| label(object, key) == value.as_str();
    !selector.is_null() && selector["matchLabels"].as_object().into_iter().flatten().all(has)
}

fn matches_node_selector(pod: &Value, node: &Value) -> bool {
    let selector = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    selector.into_iter().all(|(key, value)| label(node, key) == value.as_str())
}

fn some(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    (any::<bool>(), value).prop_map(|(is_there, value)| is_there.then_some(value))
}

fn node() -> impl Strategy<Value = Value> {
    let mostly = || prop_oneof![3 => word().prop_map(Some), 1 => Just(None)];
    (mostly(), mostly(), prop::bool::weighted(0.8)).prop_map(|(zone, disk, has_host)| {
        let mut labels = json!({});
        if let Some(zone) = zone {
            labels["zone"] = zone;
        }
        if let Some(disk) = disk {
            labels["disk"] = disk;
        }
        if has_host {
            labels[HOST] = json!("");
        }
        json!({"metadata": {"labels": labels}, "status": {"allocatable": {"cpu": "64", "memory": "64Gi", "pods": "110"}}})
    })
}

fn word() -> impl Strategy<Value = Value> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(|word| json!(word))
}

fn topology() -> impl Strategy<Value = Value> {
    prop_oneof![Just("zone"), Just(HOST), Just("disk")].prop_map(|key| json!(key))
}

fn selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(json!({})),
        1 => Just(json!(null)),
        6 => word().prop_map(|app| json!({"matchLabels": {"app": app}})),
    ]
}

fn term() -> impl Strategy<Value = Value> {
    let namespaces = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"namespaces": ["one"]})),
        1 => Just(json!({"namespaceSelector": {}})),
        1 => Just(json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "two"}}})),
    ];
    (topology(), selector(), namespaces).prop_map(|(key, selector, mut term)| {
        term["topologyKey"] = key;
        term["labelSelector"] = selector;
        term
    })
}

fn spread() -> impl Strategy<Value = Value> {
    (topology(), selector(), 1..3, some((1..4).prop_map(|n| json!(n))), any::<bool>()).prop_map(
        |(key, selector, skew, domains, ignores)| {
            let mut constraint = json!({"topologyKey": key, "labelSelector": selector, "maxSkew": skew, "whenUnsatisfiable": "DoNotSchedule"});
            if let Some(domains) = domains {
                constraint["minDomains"] = domains;
            }
            if ignores {
                constraint["nodeAffinityPolicy"] = json!("Ignore");
            }
            constraint
        },
    )
}

fn required(terms: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let terms = prop::collection::vec(terms, 1..3);
    terms.prop_map(|terms| json!({"requiredDuringSchedulingIgnoredDuringExecution": terms}))
}

/// The constraints of one pod. Most have one kind, or hardly a node would be left to disagree on.
fn constraints() -> impl Strategy<Value = Value> {
    let near = || required(term()).prop_map(|near| json!({"affinity": {"podAffinity": near}}));
    let away = || required(term()).prop_map(|away| json!({"affinity": {"podAntiAffinity": away}}));
    let spread = || prop::collection::vec(spread(), 1..3).prop_map(|all| json!({"topologySpreadConstraints": all}));
    let all = (required(term()), required(term()), spread()).prop_map(|(near, away, mut all)| {
        all["affinity"] = json!({"podAffinity": near, "podAntiAffinity": away});
        all
    });
    prop_oneof![2 => near(), 2 => away(), 4 => spread(), 1 => all]
}

fn pod() -> impl Strategy<Value = Value> {
    let namespace = prop_oneof![3 => Just("one"), 1 => Just("two")];
    let disk = prop_oneof![3 => Just(None), 1 => word().prop_map(Some)];
    (word(), namespace, constraints(), disk, prop::bool::weighted(0.2)).prop_map(
        |(app, namespace, mut spec, disk, terminating)| {
            spec["containers"] = json!([{"name": "c"}]);
            if let Some(disk) = disk {
                spec["nodeSelector"] = json!({"disk": disk});
            }
            let labels = json!({"app": app});
            let mut pod =
                json!({"metadata": {"name": "p", "uid": "u", "namespace": namespace, "labels": labels}, "spec": spec});
            if terminating {
                pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            pod
        },
    )
}

/// Most running pods have no terms, so that they let others come.
fn running() -> impl Strategy<Value = Value> {
    (pod(), prop::bool::weighted(0.8)).prop_map(|(mut pod, is_plain)| {
        if is_plain {
            pod["spec"]["affinity"] = json!({});
        }
        pod
    })
}

fn world() -> impl Strategy<Value = World> {
    let nodes = prop::collection::vec(node(), 1..6);
    let running = prop::collection::vec((running(), any::<prop::sample::Index>()), 0..10);
    (nodes, running).prop_map(|(mut nodes, running)| {
        for (number, node) in nodes.iter_mut().enumerate() {
            let name = json!(format!("n{number}"));
            if node["metadata"]["labels"][HOST].is_string() {
                node["metadata"]["labels"][HOST] = name.clone();
            }
            node["metadata"]["name"] = name;
        }
        let running = running.into_iter().map(|(pod, index)| (pod, index.index(nodes.len()))).collect();
        World { nodes, running }
    })
}

/// What the index says.
fn fitting(world: &World, pod: &Value) -> BTreeSet<String> {
    let mut scene = Scene::new(&world.nodes);
    for namespace in ["one", "two"] {
        let labels = [("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())].into();
        scene.0.set_namespace(namespace, labels);
    }
    for (running, node) in &world.running {
        scene = scene.runs(running, &format!("n{node}"));
    }
    let pod = scene.compile(pod);
    let candidate = Candidate::new(&scene.0, &pod);
    let fits = scene.0.live_nodes().filter(|node| candidate.check(node, &mut Vec::new()));
    fits.map(|node| node.name.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn affinity_and_spread_leave_the_nodes_that_the_rules_leave(world in world(), mut pod in pod()) {
        pod["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
        prop_assert_eq!(fitting(&world, &pod), world.fitting(&pod));
    }
}
