//! Node selectors and terms over pods, compiled once for a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as LabelSelectorObject;
use sheave_api::selector::LabelSelector;

use crate::node::NodeState;
use crate::symbol::{Symbol, Symbols};

/// One term of a node selector: all of its requirements hold.
#[derive(Clone, Debug)]
pub(crate) struct NodeTerm {
    labels: Vec<NodeRequirement>,
    /// `metadata.name`, the only field there is.
    names: Vec<NameRequirement>,
}

#[derive(Clone, Debug)]
struct NodeRequirement {
    key: Symbol,
    operator: NodeOperator,
}

#[derive(Clone, Debug)]
enum NodeOperator {
    In(Vec<Symbol>),
    NotIn(Vec<Symbol>),
    Exists,
    DoesNotExist,
    Greater(i64),
    Less(i64),
    /// An operator or a number that makes no sense matches nothing.
    Never,
}

#[derive(Clone, Debug)]
struct NameRequirement {
    names: Vec<String>,
    included: bool,
}

/// A set of pods, and the topology in which they are looked for.
#[derive(Clone, Debug)]
pub(crate) struct PodTerm {
    pub(crate) topology_key: Symbol,
    namespaces: Vec<String>,
    /// None: no namespace beside those named.
    namespace_selector: Option<LabelSelector>,
    selector: LabelSelector,
}

/// A pod as far as terms can see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodIdentity<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) namespace_labels: Option<&'a BTreeMap<String, String>>,
    pub(crate) labels: &'a BTreeMap<String, String>,
}

// === impl NodeTerm ===

impl NodeTerm {
    /// A term without any requirement matches no node.
    pub(crate) fn compile(term: &core::NodeSelectorTerm, symbols: &mut Symbols) -> Self {
        let labels = term.match_expressions.iter().flatten();
        let names = term.match_fields.iter().flatten();
        Self {
            labels: labels.map(|requirement| NodeRequirement::compile(requirement, symbols)).collect(),
            names: names.map(NameRequirement::compile).collect(),
        }
    }

    pub(crate) fn matches(&self, node: &NodeState, symbols: &Symbols) -> bool {
        !(self.labels.is_empty() && self.names.is_empty())
            && self.labels.iter().all(|requirement| requirement.matches(node, symbols))
            && self.names.iter().all(|requirement| requirement.names.contains(&node.name) == requirement.included)
    }
}

impl NodeRequirement {
    fn compile(requirement: &core::NodeSelectorRequirement, symbols: &mut Symbols) -> Self {
        let values = requirement.values.as_deref().unwrap_or_default();
        let key = symbols.intern(&requirement.key);
        let number = || values.first().and_then(|value| value.parse().ok());
        let mut symbols = || values.iter().map(|value| symbols.intern(value)).collect();
        let operator = match requirement.operator.as_str() {
            "In" => NodeOperator::In(symbols()),
            "NotIn" => NodeOperator::NotIn(symbols()),
            "Exists" => NodeOperator::Exists,
            "DoesNotExist" => NodeOperator::DoesNotExist,
            "Gt" => number().map_or(NodeOperator::Never, NodeOperator::Greater),
            "Lt" => number().map_or(NodeOperator::Never, NodeOperator::Less),
            _ => NodeOperator::Never,
        };
        Self { key, operator }
    }

    fn matches(&self, node: &NodeState, symbols: &Symbols) -> bool {
        let value = node.label(self.key);
        let number = || value.and_then(|value| symbols.text(value).parse::<i64>().ok());
        match &self.operator {
            NodeOperator::In(values) => value.is_some_and(|value| values.contains(&value)),
            NodeOperator::NotIn(values) => !value.is_some_and(|value| values.contains(&value)),
            NodeOperator::Exists => value.is_some(),
            NodeOperator::DoesNotExist => value.is_none(),
            NodeOperator::Greater(bound) => number().is_some_and(|number| number > *bound),
            NodeOperator::Less(bound) => number().is_some_and(|number| number < *bound),
            NodeOperator::Never => false,
        }
    }
}

impl NameRequirement {
    fn compile(requirement: &core::NodeSelectorRequirement) -> Self {
        let known = requirement.key == "metadata.name";
        let names = requirement.values.clone().unwrap_or_default();
        match requirement.operator.as_str() {
            "In" if known => Self { names, included: true },
            "NotIn" if known => Self { names, included: false },
            _ => Self { names: Vec::new(), included: true },
        }
    }
}

// === impl PodTerm ===

impl PodTerm {
    /// Compiles a term of a pod in `namespace` with `labels`: they stand in for what the term leaves out.
    pub(crate) fn compile(
        term: &core::PodAffinityTerm,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        symbols: &mut Symbols,
    ) -> Self {
        let named = term.namespaces.clone().unwrap_or_default();
        let implied = named.is_empty() && term.namespace_selector.is_none();
        let keys = |keys: &Option<Vec<String>>| keys.clone().unwrap_or_default();
        let own = own_labels(&keys(&term.match_label_keys), labels, "In");
        let others = own_labels(&keys(&term.mismatch_label_keys), labels, "NotIn");
        Self {
            topology_key: symbols.intern(&term.topology_key),
            namespaces: if implied { vec![namespace.to_owned()] } else { distinct(named) },
            namespace_selector: term
                .namespace_selector
                .as_ref()
                .map(|selector| selector_of(Some(selector), Vec::new())),
            selector: selector_of(term.label_selector.as_ref(), [own, others].concat()),
        }
    }

    /// The namespaces of the pods that it can mean; none where it selects namespaces by their labels.
    pub(crate) fn only_namespaces(&self) -> Option<&[String]> {
        self.namespace_selector.is_none().then_some(self.namespaces.as_slice())
    }

    pub(crate) fn matches(&self, pod: PodIdentity<'_>) -> bool {
        let by_labels = || {
            let labels = pod.namespace_labels;
            let value = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
            self.namespace_selector.as_ref().is_some_and(|selector| selector.matches_with(value))
        };
        (self.namespaces.iter().any(|name| name == pod.namespace) || by_labels())
            && self.selector.matches_with(|key| pod.labels.get(key).map(String::as_str))
    }
}

fn distinct(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

type Expression = (String, &'static str, String);

/// `matchLabelKeys`: the pod's own values of these keys.
pub(crate) fn own_labels(
    keys: &[String],
    labels: &BTreeMap<String, String>,
    operator: &'static str,
) -> Vec<Expression> {
    keys.iter().filter_map(|key| Some((key.clone(), operator, labels.get(key)?.clone()))).collect()
}

/// The selector of an object, with further expressions. No selector at all matches nothing.
pub(crate) fn selector_of(object: Option<&LabelSelectorObject>, further: Vec<Expression>) -> LabelSelector {
    let Some(object) = object else { return LabelSelector::nothing() };
    let mut document = serde_json::to_value(object).unwrap_or_default();
    if !further.is_empty() {
        let mut expressions = document["matchExpressions"].as_array().cloned().unwrap_or_default();
        expressions.extend(
            further.into_iter().map(
                |(key, operator, value)| serde_json::json!({ "key": key, "operator": operator, "values": [value] }),
            ),
        );
        document["matchExpressions"] = expressions.into();
    }
    LabelSelector::from_object(&document).unwrap_or_else(|_| LabelSelector::nothing())
}
