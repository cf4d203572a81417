//! Fields of the built-in types by their protobuf numbers.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::schema::{Arena, Field, FieldNumber, Type, TypeId};

/// What a field number of a message stands for.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// A field.
    Field(&'static str, &'static Field),
    /// A nested message whose fields JSON has in the outer object.
    Inlined,
}

static INDEX: LazyLock<HashMap<(TypeId, FieldNumber), Slot>> = LazyLock::new(|| {
    let arena = Arena::builtin();
    let mut index = HashMap::new();
    for (id, ty) in arena.types() {
        let Type::Object(object) = ty else { continue };
        for (name, field) in &object.fields {
            let Some(number) = field.number else { continue };
            index.insert((id, number), Slot::Field(name, field));
            if let FieldNumber::Inlined { outer, .. } = number {
                index.insert((id, FieldNumber::Own(outer)), Slot::Inlined);
            }
        }
    }
    index
});

/// What `number` stands for in messages of the type `ty`.
pub(super) fn slot(ty: TypeId, number: FieldNumber) -> Option<Slot> {
    INDEX.get(&(ty, number)).copied()
}
