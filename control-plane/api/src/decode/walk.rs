//! One pass over a body, whatever its format: reads values where their types want them, drops what Go's types would not
//! write, and collects what is wrong.
//!
//! A wrong value does not end the walk: as with Go's decoder, a syntax error further on counts more.

use std::borrow::Cow;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use serde_json::{Map, Number};

use super::go_names::go_type;
use super::scalar::{self, Wrong};
use super::value::{Key, Value};
use super::{DecodeError, Decoded, Finding, FindingKind, MAX_DEPTH};
use crate::Document;
use crate::schema::{Arena, ListType, MapType, ObjectType, Type, TypeId};

/// The state of a walk.
pub(super) struct Walk<'a> {
    pub(super) arena: &'a Arena,
    path: Vec<Step<'a>>,
    findings: Vec<Finding>,
    /// A value that a type's own decoder refused: Go stops there, so it counts more than `mismatch`.
    refused: Option<String>,
    /// The first value of a wrong type.
    mismatch: Option<String>,
    too_deep: bool,
    /// YAML has one kind of number: 1.0 is an integer.
    integral_floats: bool,
}

/// One step of the path to a value.
enum Step<'a> {
    Field(&'a ObjectType, &'a str),
    Key(String),
    Index(usize),
}

/// Findings that one body can have, as upstream.
const MAX_FINDINGS: usize = 100;

// === impl Walk ===

impl<'a> Walk<'a> {
    pub(super) fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            path: Vec::new(),
            findings: Vec::new(),
            refused: None,
            mismatch: None,
            too_deep: false,
            integral_floats: false,
        }
    }

    pub(super) fn read_yaml_numbers(&mut self) {
        self.integral_floats = true;
    }

    pub(super) fn run<'de, D: Deserializer<'de>>(&mut self, ty: Option<TypeId>, body: D) -> Result<Document, D::Error> {
        Value { walk: self, ty }.deserialize(body)
    }

    /// The outcome; `result` is the document, or the parser's reason.
    pub(super) fn finish(self, result: Result<Document, String>) -> Result<Decoded, DecodeError> {
        if self.too_deep {
            return Err(DecodeError::Depth);
        }
        let document = result.map_err(DecodeError::Syntax)?;
        match self.refused.or(self.mismatch) {
            Some(reason) => Err(DecodeError::Type(reason)),
            None => Ok(Decoded { document, findings: self.findings }),
        }
    }

    pub(super) fn ty(&self, ty: Option<TypeId>) -> &'a Type {
        ty.map_or(&Type::Any, |ty| self.arena.get(ty))
    }

    fn find(&mut self, kind: FindingKind, name: &str) {
        if self.findings.len() >= MAX_FINDINGS {
            return;
        }
        let mut path = self.field_path();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        let finding = Finding { kind, path };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// The path as strict errors write it.
    fn field_path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Field(_, name) => push_name(&mut path, name),
                Step::Key(key) => push_name(&mut path, key),
            }
        }
        path
    }

    /// A value of the wrong type. `found` is Go's word for what it is, `wanted` Go's name of the type.
    pub(super) fn mismatch(&mut self, found: &str, wanted: &str) {
        if self.mismatch.is_some() {
            return;
        }
        let fields: Vec<&str> = self.path.iter().filter_map(Step::field).map(|(_, name)| name).collect();
        let target = match self.path.iter().rev().find_map(Step::field) {
            Some((owner, _)) => format!("struct field {}.{}", owner.go_name(), fields.join(".")),
            None => "value".to_owned(),
        };
        self.mismatch = Some(format!("json: cannot unmarshal {found} into Go {target} of type {wanted}"));
    }

    pub(super) fn scalar(&mut self, ty: Option<TypeId>, value: Document) -> Document {
        let (wanted, value) = match self.ty(ty) {
            Type::Any => return value,
            Type::Scalar(scalar) => match scalar::canonical(*scalar, value) {
                Ok(value) => return value,
                Err(Wrong::Refused(reason)) => {
                    self.refused.get_or_insert(reason);
                    return Document::Null;
                }
                Err(Wrong::Type(wanted, value)) => (Cow::Borrowed(wanted), value),
            },
            other @ (Type::Object(_) | Type::Map(_) | Type::List(_)) => (go_type(self.arena, other), value),
        };
        let found = match &value {
            Document::Number(number) if wanted.starts_with("int") => format!("number {number}"),
            Document::Number(_) => "number".to_owned(),
            Document::Bool(_) => "bool".to_owned(),
            Document::Null | Document::String(_) | Document::Array(_) | Document::Object(_) => "string".to_owned(),
        };
        self.mismatch(&found, &wanted);
        Document::Null
    }

    pub(super) fn float(&self, value: f64) -> Document {
        // Exact below 2^53, and a number beyond that is no integer that anybody wrote with a point.
        let is_integer = self.integral_floats && value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0;
        if is_integer {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be an integer below 2^53")]
            return Document::from(value as i64);
        }
        Number::from_f64(value).map_or(Document::Null, Document::Number)
    }

    /// The value that stands for a `null` in a list or a map.
    fn zero(&self, ty: TypeId) -> Document {
        match self.arena.get(ty) {
            Type::Object(_) | Type::Map(_) => Map::new().into(),
            Type::List(_) => Vec::<Document>::new().into(),
            Type::Scalar(scalar) => scalar::zero(*scalar),
            Type::Any => Document::Null,
        }
    }

    fn step<'de, T, E>(
        &mut self,
        step: Step<'a>,
        ty: Option<TypeId>,
        read: impl FnOnce(Value<'_, 'a>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: serde::de::Error,
    {
        if self.path.len() >= MAX_DEPTH {
            self.too_deep = true;
            return Err(E::custom("too deep"));
        }
        self.path.push(step);
        let value = read(Value { walk: self, ty });
        self.path.pop();
        value
    }

    pub(super) fn object<'de, A: MapAccess<'de>>(
        &mut self,
        object: &'a ObjectType,
        mut access: A,
    ) -> Result<Document, A::Error> {
        let mut document = Map::new();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(key) = access.next_key_seed(Key)? {
            let Some((name, field)) = object.fields.get_key_value(key.as_ref()) else {
                self.unknown(object, key, &mut access, &mut document)?;
                continue;
            };
            if seen.contains(&name.as_str()) {
                self.find(FindingKind::Duplicate, name);
                document.remove(name);
            }
            seen.push(name);
            let step = Step::Field(object, name);
            let value = self.step(step, Some(field.ty), |value| access.next_value_seed(value))?;
            let is_left_out = value.is_null() || (field.omit_empty && is_empty(&value));
            if !is_left_out {
                document.insert(name.clone(), value);
            }
        }
        Ok(document.into())
    }

    fn unknown<'de, A: MapAccess<'de>>(
        &mut self,
        object: &ObjectType,
        key: Cow<'de, str>,
        access: &mut A,
        document: &mut Map<String, Document>,
    ) -> Result<(), A::Error> {
        if !object.preserve_unknown {
            self.find(FindingKind::Unknown, &key);
            return access.next_value::<IgnoredAny>().map(drop);
        }
        if document.contains_key(key.as_ref()) {
            self.find(FindingKind::Duplicate, &key);
        }
        let step = Step::Key(key.clone().into_owned());
        let value = self.step(step, None, |value| access.next_value_seed(value))?;
        document.insert(key.into_owned(), value);
        Ok(())
    }

    pub(super) fn map<'de, A: MapAccess<'de>>(&mut self, map: &MapType, mut access: A) -> Result<Document, A::Error> {
        let mut document = Map::new();
        while let Some(key) = access.next_key_seed(Key)? {
            if document.contains_key(key.as_ref()) {
                self.find(FindingKind::Duplicate, &key);
            }
            let step = Step::Key(key.clone().into_owned());
            let value = self.step(step, Some(map.values), |value| access.next_value_seed(value))?;
            document.insert(key.into_owned(), if value.is_null() { self.zero(map.values) } else { value });
        }
        Ok(document.into())
    }

    pub(super) fn list<'de, A: SeqAccess<'de>>(
        &mut self,
        list: &ListType,
        mut access: A,
    ) -> Result<Document, A::Error> {
        let mut document = Vec::new();
        loop {
            let step = Step::Index(document.len());
            match self.step(step, Some(list.items), |value| access.next_element_seed(value))? {
                None => return Ok(document.into()),
                Some(Document::Null) => document.push(self.zero(list.items)),
                Some(value) => document.push(value),
            }
        }
    }

    pub(super) fn any_object<'de, A: MapAccess<'de>>(&mut self, mut access: A) -> Result<Document, A::Error> {
        let mut document = Map::new();
        while let Some(key) = access.next_key_seed(Key)? {
            if document.contains_key(key.as_ref()) {
                self.find(FindingKind::Duplicate, &key);
            }
            let step = Step::Key(key.clone().into_owned());
            let value = self.step(step, None, |value| access.next_value_seed(value))?;
            document.insert(key.into_owned(), value);
        }
        Ok(document.into())
    }

    pub(super) fn any_list<'de, A: SeqAccess<'de>>(&mut self, mut access: A) -> Result<Document, A::Error> {
        let mut document = Vec::new();
        loop {
            let step = Step::Index(document.len());
            match self.step(step, None, |value| access.next_element_seed(value))? {
                None => return Ok(document.into()),
                Some(value) => document.push(value),
            }
        }
    }
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

fn is_empty(value: &Document) -> bool {
    match value {
        Document::Null => true,
        Document::Bool(value) => !value,
        Document::Number(number) => number.as_f64() == Some(0.0),
        Document::String(text) => text.is_empty(),
        Document::Array(items) => items.is_empty(),
        Document::Object(fields) => fields.is_empty(),
    }
}

// === impl Step ===

impl<'a> Step<'a> {
    fn field(&self) -> Option<(&'a ObjectType, &'a str)> {
        match self {
            Step::Field(owner, name) => Some((owner, name)),
            Step::Key(_) | Step::Index(_) => None,
        }
    }
}
