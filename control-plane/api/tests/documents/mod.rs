//! Documents made from a schema: one with every field, and random ones.

use serde_json::{Map, Number, Value, json};
use sheave_api::schema::{Arena, FieldNumber, Scalar, Type, TypeId};

/// Decides what a document holds.
pub(crate) trait Filler {
    /// Whether an optional field is there.
    fn includes(&mut self) -> bool;

    /// How many elements a list or a map has: at least one, because protobuf has no empty lists.
    fn count(&mut self) -> usize;

    /// The next number; any will do, but they should differ.
    fn number(&mut self) -> u32;
}

/// Every field, two elements in every list.
#[derive(Default)]
pub(crate) struct Every {
    number: u32,
}

/// Some fields and some elements, always the same for one seed.
pub(crate) struct Random {
    state: u64,
}

/// Types that contain themselves end here.
const DEPTH: usize = 12;

/// A document of the type `ty`.
pub(crate) fn fill(arena: &Arena, ty: TypeId, filler: &mut dyn Filler) -> Value {
    value(arena, ty, filler, 0)
}

fn value(arena: &Arena, ty: TypeId, filler: &mut dyn Filler, depth: usize) -> Value {
    match arena.get(ty) {
        Type::Object(object) => {
            let mut fields = Map::new();
            for (name, field) in &object.fields {
                // Fields without a number are those of the envelope.
                let is_in_messages = matches!(field.number, Some(FieldNumber::Own(_) | FieldNumber::Inlined { .. }));
                if is_in_messages && depth < DEPTH && filler.includes() {
                    fields.insert(name.clone(), value(arena, field.ty, filler, depth + 1));
                }
            }
            fields.into()
        }
        Type::Map(map) => (0..filler.count())
            .map(|_| (format!("key-{}", filler.number()), value(arena, map.values, filler, depth + 1)))
            .collect::<Map<_, _>>()
            .into(),
        Type::List(list) => (0..filler.count()).map(|_| value(arena, list.items, filler, depth + 1)).collect(),
        Type::Scalar(scalar) => self::scalar(*scalar, filler.number()),
        Type::Any => json!({"f:field": {"number": filler.number(), "text": "a\"b", "list": [1, {}]}}),
    }
}

fn scalar(scalar: Scalar, number: u32) -> Value {
    let signed = i32::from_ne_bytes(number.to_ne_bytes());
    match scalar {
        Scalar::String => format!("text {number} \u{e9}\n\"").into(),
        Scalar::Int32 => signed.into(),
        Scalar::Int64 => (i64::from(signed) * 1_000_003).into(),
        Scalar::Number => Number::from_f64(f64::from(signed) / 8.0).map(Value::Number).into(),
        Scalar::Boolean => (number % 2 == 1).into(),
        Scalar::Bytes => ["", "AA==", "AAE=", "AAEC"][number as usize % 4].into(),
        Scalar::Time => format!("20{:02}-03-04T05:06:07Z", number % 100).into(),
        Scalar::MicroTime => format!("2001-02-03T04:05:06.{:06}Z", number % 1_000_000).into(),
        Scalar::Quantity => ["500m", "1Gi", "0", "12e6", "3"][number as usize % 5].into(),
        Scalar::IntOrString if number.is_multiple_of(2) => signed.into(),
        Scalar::IntOrString => format!("{}%", number % 100).into(),
    }
}

// === impl Every ===

impl Filler for Every {
    fn includes(&mut self) -> bool {
        true
    }

    fn count(&mut self) -> usize {
        2
    }

    fn number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }
}

// === impl Random ===

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    /// Marsaglia's xorshift.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

impl Filler for Random {
    fn includes(&mut self) -> bool {
        self.next().is_multiple_of(3)
    }

    fn count(&mut self) -> usize {
        1 + usize::try_from(self.next() % 2).unwrap()
    }

    fn number(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap()
    }
}
