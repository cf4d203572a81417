//! Whatever a document holds, the functions of every strategy come back, soon, and agree with each other.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::Strategy as Rules;
use crate::Document;
use crate::kind::Kind;
use crate::registry::Registry;
use crate::schema::{Arena, Field, Scalar, Type, TypeId};

/// Texts that some rule looks at closely.
const TEXTS: [&str; 40] = [
    "",
    "a",
    "A",
    "-",
    ".",
    "..",
    "/",
    "//",
    "a/b",
    "a/b/c",
    "é",
    "日本",
    "\u{0}",
    "None",
    "10.0.0.1",
    "::1",
    "::ffff:1.2.3.4",
    "10.0.0.0/8",
    "010.0.0.1",
    "0",
    "-1",
    "1",
    "1Gi",
    "1e400",
    "99999999999999999999",
    "50%",
    "101%",
    "%",
    "* * * * *",
    "*/0 1-0 * * 9",
    "@every 1s",
    "TZ=",
    "2024-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "Pod",
    "web",
    "http",
    "$(A)",
    "e30=",
    "kubernetes.io/x",
];

const NUMBERS: [i64; 12] =
    [0, 1, 2, -1, 80, 65_535, 65_536, 2_147_483_647, 2_147_483_648, -2_147_483_649, i64::MAX, i64::MIN];

/// How deep a document goes.
const DEPTH: usize = 14;

/// How long one function may take with a document of a few thousand values. A quadratic rule takes longer by orders of
/// magnitude with the large documents below.
const SOON: Duration = Duration::from_secs(5);

/// A reproducible source of choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap_or_default() % limit.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn text(&mut self) -> Document {
        TEXTS[self.below(TEXTS.len())].into()
    }

    fn number(&mut self) -> Document {
        NUMBERS[self.below(NUMBERS.len())].into()
    }

    /// Any JSON at all.
    fn junk(&mut self, depth: usize) -> Document {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Document::Null,
            1 => self.one_in(2).into(),
            2 => self.number(),
            3 => json!(1.5e300),
            4 => self.text(),
            5 => (0..self.below(3)).map(|_| self.junk(depth - 1)).collect(),
            _ => {
                let fields = ["metadata", "spec", "status", "name", "a", ""];
                let names = (0..self.below(4)).map(|_| fields[self.below(fields.len())].to_owned()).collect::<Vec<_>>();
                Document::Object(names.into_iter().map(|name| (name, self.junk(depth - 1))).collect())
            }
        }
    }

    /// A value of a type, most of the time.
    fn value(&mut self, arena: &Arena, ty: TypeId, depth: usize) -> Document {
        if depth == 0 || self.one_in(60) {
            return self.junk(1);
        }
        match arena.get(ty) {
            Type::Object(object) => {
                let chosen: Vec<(&String, &Field)> =
                    object.fields.iter().filter(|(_, field)| field.required || !self.one_in(3)).collect();
                let fields = chosen.into_iter().map(|(name, field)| (name.clone(), self.field(arena, field, depth)));
                Document::Object(fields.collect())
            }
            Type::Map(map) => {
                let keys: Vec<String> = (0..self.below(3)).map(|_| TEXTS[self.below(TEXTS.len())].to_owned()).collect();
                Document::Object(keys.into_iter().map(|key| (key, self.value(arena, map.values, depth - 1))).collect())
            }
            Type::List(list) => (0..self.below(3)).map(|_| self.value(arena, list.items, depth - 1)).collect(),
            Type::Scalar(scalar) => self.scalar(*scalar),
            Type::Any => self.junk(2),
        }
    }

    fn field(&mut self, arena: &Arena, field: &Field, depth: usize) -> Document {
        match field.words.len() {
            0 => self.value(arena, field.ty, depth - 1),
            _ if !matches!(arena.get(field.ty), Type::Scalar(_)) => self.value(arena, field.ty, depth - 1),
            count => field.words[self.below(count)].as_str().into(),
        }
    }

    fn scalar(&mut self, scalar: Scalar) -> Document {
        match scalar {
            Scalar::Int32 | Scalar::Int64 | Scalar::Number => self.number(),
            Scalar::Boolean => self.one_in(2).into(),
            Scalar::Quantity | Scalar::IntOrString if self.one_in(2) => self.number(),
            Scalar::String
            | Scalar::Bytes
            | Scalar::Time
            | Scalar::MicroTime
            | Scalar::Quantity
            | Scalar::IntOrString => self.text(),
        }
    }
}

/// Runs every function of a strategy over two documents.
fn run_all(rules: &Rules, first: &Document, second: &Document) {
    let now = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let (mut old, mut new) = (first.clone(), second.clone());
    (rules.default)(&mut old);
    (rules.default)(&mut new);
    let mut again = new.clone();
    (rules.default)(&mut again);
    assert_eq!(again, new, "defaults are filled in once");
    (rules.prepare_create)(&mut old);
    (rules.validate)(&old);
    let mut updated = new.clone();
    (rules.prepare_update)(&mut updated, &old);
    (rules.validate_update)(&updated, &old);
    let mut status = new.clone();
    (rules.prepare_status_update)(&mut status, &old);
    (rules.validate_status_update)(&status, &old);
    for update in rules.subresource_updates {
        let mut part = new.clone();
        (update.prepare)(&mut part, &old);
        (update.validate)(&part, &old);
    }
    for document in [first, &old, &updated] {
        assert_eq!((rules.row)(document, now).len(), rules.columns.len(), "a cell for each column");
        for (_, read) in rules.selectable_fields {
            read(document);
        }
        if let Some(grace_period) = rules.default_grace_period {
            grace_period(document);
        }
    }
}

fn kinds() -> Vec<std::sync::Arc<Kind>> {
    Registry::builtin().kinds().cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_document_of_a_kinds_shape_brings_a_strategy_down(seed in 1..u64::MAX) {
        let mut choices = Choices(seed);
        for kind in kinds() {
            let first = choices.value(Arena::builtin(), kind.schema, DEPTH);
            let second = choices.value(Arena::builtin(), kind.schema, DEPTH);
            run_all(&kind.strategy, &first, &second);
        }
    }

    #[test]
    fn no_json_at_all_brings_a_strategy_down(seed in 1..u64::MAX) {
        let mut choices = Choices(seed);
        for kind in kinds() {
            let (first, second) = (choices.junk(5), choices.junk(5));
            run_all(&kind.strategy, &first, &second);
        }
    }
}

#[test]
fn large_lists_are_gone_through_in_time_that_grows_with_their_length() {
    const LENGTH: usize = 3_000;
    let ports: Vec<Document> = (0..LENGTH).map(|index| json!({"port": 80, "name": format!("p{index}")})).collect();
    let volumes: Vec<Document> =
        (0..LENGTH).map(|index| json!({"name": format!("v{index}"), "emptyDir": {}})).collect();
    let mounts: Vec<Document> =
        (0..LENGTH).map(|index| json!({"name": format!("v{index}"), "mountPath": format!("/{index}")})).collect();
    let documents = [
        ("Service", json!({"spec": {"ports": ports}})),
        ("Pod", json!({"spec": {"volumes": volumes, "containers": [{"name": "a", "volumeMounts": mounts}]}})),
        ("Endpoints", json!({"subsets": [{"ports": ports}]})),
        (
            "ConfigMap",
            json!({"data": (0..LENGTH).map(|index| (format!("/{index}"), "x")).collect::<std::collections::BTreeMap<_, _>>()}),
        ),
    ];
    for (kind, document) in documents {
        let start = Instant::now();
        run_all(&super::strategy_for("", kind), &document, &document);
        assert!(start.elapsed() < SOON, "{kind} took {:?}", start.elapsed());
    }
}

#[test]
fn names_and_scopes_are_those_of_the_registry() {
    for kind in kinds() {
        let mut object = json!({"metadata": {"name": "10.0.0.1", "namespace": "default"}});
        (kind.strategy.default)(&mut object);
        let errors = (kind.strategy.validate)(&object);
        let is_refused = errors.iter().any(|error| error.path.as_str() == "metadata.namespace");
        let is_cluster = kind.scope == crate::kind::Scope::Cluster;
        let is_request = !kind.verbs.contains(&"get");
        assert!(is_request || is_refused == is_cluster, "{:?}", kind.gvk);
    }
}
