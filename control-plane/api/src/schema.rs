//! How documents are shaped: an arena of types, with the merge rules of each list and map beside its type.
//!
//! One arena holds every built-in kind; a custom resource adds its own types at run time. Types refer to each other by
//! [`TypeId`], so recursive types need no special case.

mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::Document;

/// A type in an [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// All known types.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    types: Vec<Type>,
    by_name: BTreeMap<String, TypeId>,
    /// Names and descriptions of the definitions that are no objects, such as `Quantity`.
    plain_definitions: BTreeMap<TypeId, (String, Cow<'static, str>)>,
}

/// The shape of a value.
#[derive(Clone, Debug, Hash)]
pub enum Type {
    /// An object with known fields.
    Object(ObjectType),
    /// An object with free keys.
    Map(MapType),
    /// A list.
    List(ListType),
    /// A single value.
    Scalar(Scalar),
    /// Any JSON: `RawExtension`, `FieldsV1`, fields that preserve the unknown.
    Any,
}

/// An object with known fields.
#[derive(Clone, Debug, Default, Hash)]
pub struct ObjectType {
    /// The definition's name, such as `io.k8s.api.core.v1.Pod`; none for an inline object.
    pub name: Option<String>,
    /// The definition's description, for `kubectl explain`.
    pub description: Cow<'static, str>,
    /// The fields by their JSON names.
    pub fields: BTreeMap<String, Field>,
    /// `x-kubernetes-map-type: atomic`: server-side apply owns it as one value.
    pub atomic: bool,
    /// Unknown fields are kept.
    pub preserve_unknown: bool,
}

/// One field of an object.
#[derive(Clone, Debug, Hash)]
pub struct Field {
    /// Its type.
    pub ty: TypeId,
    /// Its description, for `kubectl explain`.
    pub description: Cow<'static, str>,
    /// Whether the schema requires it.
    pub required: bool,
    /// Strategic merge of this field's value.
    pub strategic: Strategic,
    /// The schema's own default. Server-side apply needs it where the field is part of a list's key (`protocol` of a
    /// port); the defaults of Kubernetes' API functions are the strategy's.
    pub default: Option<Document>,
    /// The words that the field, or each element of its list, takes; none for any. For explanation: whether a value is
    /// one of them is the strategy's to say.
    pub words: Vec<String>,
    /// An empty value (`""`, `0`, `false`, `[]`, `{}`) is the same as no value, and is left out of documents as Go's
    /// `omitempty` does. Never so for the fields of custom resources.
    pub omit_empty: bool,
    /// Where the field stands in a protobuf message; none for a field that protobuf bodies do not have.
    pub number: Option<FieldNumber>,
}

/// The number of a field in its protobuf message.
///
/// Kubernetes' JSON inlines some structs that its protobuf nests: the fields of a `Volume`'s source stand beside its
/// name in JSON, and inside of field 2 in protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldNumber {
    /// A field of the message itself.
    Own(u32),
    /// A field of a nested message that JSON inlines.
    Inlined {
        /// The nested message's number in the outer message.
        outer: u32,
        /// The field's number in the nested message.
        inner: u32,
    },
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key` of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Strategic {
    /// `merge` for a list whose elements are matched rather than replaced.
    pub merge: bool,
    /// The key by which a merged list's objects are matched; none for a list of scalars.
    pub merge_key: Option<String>,
    /// `retainKeys`: keys that the patch does not list under `$retainKeys` are dropped.
    pub retain_keys: bool,
    /// `replace`: an object that a patch replaces whole.
    pub replace: bool,
}

/// An object with free keys and values of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MapType {
    /// The type of every value.
    pub values: TypeId,
    /// Server-side apply owns it as one value.
    pub atomic: bool,
}

/// A list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListType {
    /// The type of every element.
    pub items: TypeId,
    /// How server-side apply owns its elements.
    pub topology: ListTopology,
}

/// `x-kubernetes-list-type` and `x-kubernetes-list-map-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListTopology {
    /// One owner for the whole list.
    Atomic,
    /// Scalars, each owned by its value.
    Set,
    /// Objects, each owned by the values of these fields.
    Map(Vec<String>),
}

/// A single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A string.
    String,
    /// A signed 32-bit integer.
    Int32,
    /// A signed 64-bit integer.
    Int64,
    /// A floating-point number.
    Number,
    /// True or false.
    Boolean,
    /// Base64 text of bytes.
    Bytes,
    /// RFC 3339 time, whole seconds.
    Time,
    /// RFC 3339 time with microseconds.
    MicroTime,
    /// A resource quantity: a string or a number.
    Quantity,
    /// An integer or a string.
    IntOrString,
}

// === impl Arena ===

static BUILTIN: LazyLock<Arc<Arena>> = LazyLock::new(|| {
    Arc::new(table::parse(include_str!("schema/kubernetes.txt")).expect("a unit test reads the embedded table"))
});

impl Arena {
    /// The types of every built-in kind. The first call takes a few milliseconds.
    #[must_use]
    pub fn builtin() -> &'static Arc<Self> {
        &BUILTIN
    }

    /// The type behind `id`.
    ///
    /// # Panics
    /// When `id` is from another arena.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// The type behind `id`; none when `id` is from a larger arena.
    #[must_use]
    pub fn try_get(&self, id: TypeId) -> Option<&Type> {
        self.types.get(id.0 as usize)
    }

    /// Every type, named or not.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        (0..).map(TypeId).zip(&self.types)
    }

    /// The definition called `name`, such as `io.k8s.api.core.v1.Pod`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// Every definition with its name, in the order of the names.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, TypeId)> {
        self.by_name.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// The description of a definition; empty for a type without one.
    #[must_use]
    pub fn description(&self, id: TypeId) -> &str {
        match self.get(id) {
            Type::Object(object) => &object.description,
            Type::Map(_) | Type::List(_) | Type::Scalar(_) | Type::Any => {
                self.plain_definitions.get(&id).map_or("", |(_, description)| description)
            }
        }
    }

    /// The name of a type that is a definition.
    #[must_use]
    pub fn name(&self, id: TypeId) -> Option<&str> {
        match self.get(id) {
            Type::Object(object) => object.name.as_deref(),
            Type::Map(_) | Type::List(_) | Type::Scalar(_) | Type::Any => {
                self.plain_definitions.get(&id).map(|(name, _)| name.as_str())
            }
        }
    }

    /// Adds a type, such as one of a custom resource.
    ///
    /// An object with a name becomes the definition of that name.
    ///
    /// # Panics
    /// When the arena holds 2^32 types.
    pub fn add(&mut self, ty: Type) -> TypeId {
        let id = TypeId(u32::try_from(self.types.len()).expect("fewer than 2^32 types"));
        if let Type::Object(ObjectType { name: Some(name), .. }) = &ty {
            self.by_name.insert(name.clone(), id);
        }
        self.types.push(ty);
        id
    }
}
