//! Go's names of types, as its JSON decoder prints them.

use std::borrow::Cow;

use crate::schema::{Arena, ObjectType, Scalar, Type};

/// Go's name of a type, as its decoder prints it.
pub(super) fn go_type(arena: &Arena, ty: &Type) -> Cow<'static, str> {
    match ty {
        Type::Object(object) => object.go_type().into(),
        Type::List(list) => format!("[]{}", go_type(arena, arena.get(list.items))).into(),
        Type::Map(map) => match arena.get(map.values) {
            Type::Scalar(Scalar::Quantity) => "v1.ResourceList".into(),
            values => format!("map[string]{}", go_type(arena, values)).into(),
        },
        Type::Scalar(scalar) => match scalar {
            Scalar::String => "string",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Number => "float64",
            Scalar::Boolean => "bool",
            Scalar::Bytes => "[]uint8",
            Scalar::Time => "v1.Time",
            Scalar::MicroTime => "v1.MicroTime",
            Scalar::Quantity => "resource.Quantity",
            Scalar::IntOrString => "intstr.IntOrString",
        }
        .into(),
        Type::Any => "runtime.RawExtension".into(),
    }
}

/// The type that Go's decoder names when a value cannot be read: types with a decoder of their own name what they are
/// written as.
pub(super) fn wanted_by_go(arena: &Arena, ty: &Type) -> Cow<'static, str> {
    match ty {
        Type::Scalar(Scalar::Time | Scalar::MicroTime) => "string".into(),
        Type::Scalar(Scalar::IntOrString) => "int32".into(),
        other => go_type(arena, other),
    }
}

// === impl ObjectType ===

impl ObjectType {
    /// The name of its Go type, such as `PodSpec`.
    pub(super) fn go_name(&self) -> &str {
        self.name.as_deref().and_then(|name| name.rsplit('.').next()).unwrap_or_default()
    }

    /// Its Go type with the package, such as `v1.PodSpec`.
    fn go_type(&self) -> String {
        let mut parts = self.name.as_deref().unwrap_or_default().rsplit('.');
        let (name, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("{package}.{name}")
    }
}
