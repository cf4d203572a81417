//! Documents along a schema, steered by the fuzzer's bytes.

use arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};
use sheave_api::schema::{Arena, ListTopology, ListType, ObjectType, Scalar, Type, TypeId};

/// Levels of generated documents: enough for a container's probe in a pod template.
const MAX_LEVELS: usize = 9;

const WORDS: &[&str] = &["a", "b", "c", "web", "TCP", "UDP", "", "é", "a/b~c", "$patch"];

/// Makes documents from bytes.
pub(crate) struct Generator<'a> {
    bytes: Unstructured<'a>,
    arena: &'static Arena,
}

// === impl Generator ===

impl<'a> Generator<'a> {
    /// A generator over the built-in types.
    #[must_use]
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { bytes: Unstructured::new(data), arena: Arena::builtin() }
    }

    /// One of `choices`.
    ///
    /// # Errors
    /// Never with the kinds of choices that are made here; the bytes run out into zeros.
    pub(crate) fn choose<'c, T>(&mut self, choices: &'c [T]) -> Result<&'c T> {
        self.bytes.choose(choices)
    }

    /// Whether something that happens once in `times` happens.
    ///
    /// # Errors
    /// As [`Generator::choose`].
    pub(crate) fn once_in(&mut self, times: u8) -> Result<bool> {
        self.bytes.ratio(1, times)
    }

    /// Whether bytes are left.
    #[must_use]
    pub(crate) fn has_more(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// A document of the type `name`; with the directives of strategic merge patches where `is_patch`.
    ///
    /// # Errors
    /// As [`Generator::choose`].
    ///
    /// # Panics
    /// When there is no such type.
    pub(crate) fn document(&mut self, name: &str, is_patch: bool) -> Result<Value> {
        let root = self.arena.named(name).expect("a type of the built-in arena");
        let Type::Object(object) = self.arena.get(root) else { return Ok(json!({})) };
        self.object(object, is_patch, MAX_LEVELS)
    }

    fn value(&mut self, ty: TypeId, is_patch: bool, levels: usize) -> Result<Value> {
        if levels == 0 || self.once_in(24)? {
            return self.junk();
        }
        match self.arena.get(ty) {
            Type::Object(object) => self.object(object, is_patch, levels - 1),
            Type::Map(map) => {
                let mut fields = Map::new();
                for _ in 0..self.bytes.int_in_range(0..=3)? {
                    let name = self.word()?;
                    fields.insert(name, self.value(map.values, is_patch, levels - 1)?);
                }
                self.add_directive(&mut fields, is_patch)?;
                Ok(Value::Object(fields))
            }
            Type::List(list) => self.list(list, is_patch, levels - 1),
            Type::Scalar(scalar) => self.scalar(*scalar),
            Type::Any => self.junk(),
        }
    }

    fn object(&mut self, object: &'static ObjectType, is_patch: bool, levels: usize) -> Result<Value> {
        let mut fields = Map::new();
        let names = object.fields.keys().collect::<Vec<_>>();
        for _ in 0..self.bytes.int_in_range(0..=4)? {
            let Some(name) = names.get(self.bytes.int_in_range(0..=names.len().max(1) - 1)?) else { break };
            let ty = object.fields[*name].ty;
            fields.insert((*name).clone(), self.value(ty, is_patch, levels)?);
            if is_patch && matches!(self.arena.get(ty), Type::List(_)) && self.once_in(3)? {
                let prefix = self.choose(&["$setElementOrder", "$deleteFromPrimitiveList"])?;
                let key = format!("{prefix}/{name}");
                fields.insert(key, self.value(ty, false, levels)?);
            }
        }
        if is_patch && self.once_in(16)? {
            let retained = fields.keys().map(|name| json!(name)).collect();
            fields.insert("$retainKeys".to_owned(), Value::Array(retained));
        }
        self.add_directive(&mut fields, is_patch)?;
        Ok(Value::Object(fields))
    }

    fn list(&mut self, list: &'static ListType, is_patch: bool, levels: usize) -> Result<Value> {
        let mut items = Vec::new();
        for _ in 0..self.bytes.int_in_range(0..=4)? {
            let mut item = self.value(list.items, is_patch, levels)?;
            if let (ListTopology::Map(keys), Value::Object(fields), Type::Object(object)) =
                (&list.topology, &mut item, self.arena.get(list.items))
            {
                for key in keys {
                    if let Some(field) = object.fields.get(key).filter(|_| !fields.contains_key(key)) {
                        fields.insert(key.clone(), self.value(field.ty, false, 1)?);
                    }
                }
            }
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn add_directive(&mut self, fields: &mut Map<String, Value>, is_patch: bool) -> Result<()> {
        if is_patch && self.once_in(12)? {
            let directive = *self.choose(&["replace", "delete", "merge", "burn"])?;
            fields.insert("$patch".to_owned(), json!(directive));
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar) -> Result<Value> {
        Ok(match scalar {
            Scalar::Boolean => json!(self.bytes.arbitrary::<bool>()?),
            Scalar::Int32 | Scalar::Int64 => json!(self.bytes.int_in_range(-1..=3)?),
            Scalar::Number => json!(f64::from(self.bytes.int_in_range(0..=8)?) / 4.0),
            Scalar::IntOrString if self.bytes.arbitrary()? => json!(self.bytes.int_in_range(0..=3)?),
            Scalar::String
            | Scalar::Bytes
            | Scalar::Time
            | Scalar::MicroTime
            | Scalar::Quantity
            | Scalar::IntOrString => json!(self.word()?),
        })
    }

    fn junk(&mut self) -> Result<Value> {
        let choices = [
            json!(null),
            json!({}),
            json!([]),
            json!("a"),
            json!(1),
            json!(1.0),
            json!({"a": {"b": null}}),
            json!([["a"]]),
        ];
        Ok(self.choose(&choices)?.clone())
    }

    fn word(&mut self) -> Result<String> {
        Ok((*self.choose(WORDS)?).to_owned())
    }
}
