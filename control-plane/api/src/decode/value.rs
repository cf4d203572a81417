//! The visitors of a walk: serde calls them with what stands in the body.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Map;

use super::go_names::wanted_by_go;
use super::walk::Walk;
use crate::Document;
use crate::schema::{Scalar, Type, TypeId};

/// Reads one value; without a type, one of any shape.
pub(super) struct Value<'w, 'a> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) ty: Option<TypeId>,
}

/// Reads the key of a map. In YAML it can be any scalar.
pub(super) struct Key;

// === impl Value ===

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_none<E>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Document, E> {
        Ok(self.walk.scalar(self.ty, value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Document, E> {
        Ok(self.walk.scalar(self.ty, value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Document, E> {
        Ok(self.walk.scalar(self.ty, value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Document, E> {
        match self.walk.float(value) {
            Document::Null => Err(E::custom("a number that is not finite")),
            number => Ok(self.walk.scalar(self.ty, number)),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Document, E> {
        Ok(self.walk.scalar(self.ty, value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Document, E> {
        Ok(self.walk.scalar(self.ty, value.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        match self.walk.ty(self.ty) {
            Type::Object(object) => self.walk.object(object, access),
            Type::Map(map) => self.walk.map(map, access),
            Type::Any => self.walk.any_object(access),
            Type::Scalar(Scalar::Quantity) => {
                while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(self.walk.scalar(self.ty, Map::new().into()))
            }
            wanted @ (Type::List(_) | Type::Scalar(_)) => {
                while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                let wanted = wanted_by_go(self.walk.arena, wanted);
                self.walk.mismatch("object", &wanted);
                Ok(Document::Null)
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        match self.walk.ty(self.ty) {
            Type::List(list) => self.walk.list(list, access),
            Type::Any => self.walk.any_list(access),
            Type::Scalar(Scalar::Quantity) => {
                while access.next_element::<IgnoredAny>()?.is_some() {}
                Ok(self.walk.scalar(self.ty, Vec::<Document>::new().into()))
            }
            wanted @ (Type::Object(_) | Type::Map(_) | Type::Scalar(_)) => {
                while access.next_element::<IgnoredAny>()?.is_some() {}
                let wanted = wanted_by_go(self.walk.arena, wanted);
                self.walk.mismatch("array", &wanted);
                Ok(Document::Null)
            }
        }
    }
}

// === impl Key ===

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }

    fn visit_string<E>(self, key: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key))
    }

    fn visit_bool<E>(self, key: bool) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_string()))
    }

    fn visit_i64<E>(self, key: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_string()))
    }

    fn visit_u64<E>(self, key: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_string()))
    }

    fn visit_f64<E>(self, key: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed("null"))
    }
}
