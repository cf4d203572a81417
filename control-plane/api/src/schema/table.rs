//! Reads the embedded table of Kubernetes' types.
//!
//! The file's own head describes its lines. Descriptions stay slices of the binary, so that the arena costs little
//! memory and those pages are read only when somebody asks for an explanation.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::{Arena, Field, FieldNumber, ListTopology, ListType, MapType, ObjectType, Scalar, Strategic, Type, TypeId};

/// A line that is not of the table's form.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the type table: {reason}: {text:?}")]
pub(super) struct TableError {
    line: usize,
    reason: &'static str,
    text: String,
}

/// Reads a whole table.
pub(super) fn parse(table: &'static str) -> Result<Arena, TableError> {
    let mut reader = Reader::default();
    for kind in [Pass::Names, Pass::Fields] {
        for (index, text) in table.lines().enumerate() {
            reader.line(kind, text).map_err(|reason| TableError { line: index + 1, reason, text: text.to_owned() })?;
        }
    }
    Ok(reader.finish())
}

/// Definitions refer to later ones, so their names are read before their fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Names,
    Fields,
}

#[derive(Default)]
struct Reader {
    arena: Arena,
    /// Lists and maps already made, so that equal ones share an entry.
    lists: HashMap<ListType, TypeId>,
    maps: HashMap<MapType, TypeId>,
    scalars: BTreeMap<&'static str, TypeId>,
    /// Copies of atomic objects whose fields are owned one by one, and what they are copies of.
    granular_copies: Vec<(TypeId, TypeId)>,
    current: Option<TypeId>,
    current_field: Option<String>,
}

/// What follows the type of a field.
#[derive(Default)]
struct Flags<'a> {
    required: bool,
    significant: bool,
    topology: Option<&'a str>,
    strategic: Strategic,
    default: Option<crate::Document>,
    words: Vec<String>,
}

const UNNAMED: &[(&str, Scalar)] = &[
    ("boolean", Scalar::Boolean),
    ("bytes", Scalar::Bytes),
    ("int32", Scalar::Int32),
    ("int64", Scalar::Int64),
    ("number", Scalar::Number),
    ("string", Scalar::String),
];

// === impl Reader ===

impl Reader {
    fn line(&mut self, pass: Pass, text: &'static str) -> Result<(), &'static str> {
        let (mark, rest) = text.split_at_checked(2).ok_or("too short")?;
        match (mark, pass) {
            ("# ", _) => Ok(()),
            ("= ", Pass::Names) => self.name(rest),
            ("= ", Pass::Fields) => {
                self.current = rest.split(' ').next().and_then(|name| self.arena.named(name));
                self.current_field = None;
                Ok(())
            }
            (". ", Pass::Fields) => self.field(rest),
            ("| ", Pass::Fields) => self.description(rest),
            (". " | "| ", Pass::Names) => Ok(()),
            _ => Err("no such line"),
        }
    }

    fn finish(mut self) -> Arena {
        for (copy, original) in self.granular_copies {
            if let Type::Object(object) = self.arena.get(original) {
                self.arena.types[copy.0 as usize] = Type::Object(ObjectType { atomic: false, ..object.clone() });
            }
        }
        self.arena
    }

    fn name(&mut self, rest: &'static str) -> Result<(), &'static str> {
        let mut words = rest.split(' ');
        let (Some(name), Some(form), flag) = (words.next(), words.next(), words.next()) else {
            return Err("a definition has a name and a type");
        };
        let object =
            || ObjectType { name: Some(name.to_owned()), atomic: flag == Some("atomic"), ..ObjectType::default() };
        let ty = match form {
            "object" => Type::Object(object()),
            "any" => Type::Any,
            "int-or-string" => Type::Scalar(Scalar::IntOrString),
            "micro-time" => Type::Scalar(Scalar::MicroTime),
            "quantity" => Type::Scalar(Scalar::Quantity),
            "time" => Type::Scalar(Scalar::Time),
            _ => return Err("no such type"),
        };
        let is_plain = !matches!(ty, Type::Object(_));
        let id = self.arena.add(ty);
        if is_plain {
            self.arena.plain_definitions.insert(id, (name.to_owned(), Cow::Borrowed("")));
            self.arena.by_name.insert(name.to_owned(), id);
        }
        Ok(())
    }

    fn description(&mut self, text: &'static str) -> Result<(), &'static str> {
        let id = self.current.ok_or("a description without a definition")?;
        let text = unescape(text);
        match (&mut self.arena.types[id.0 as usize], &self.current_field) {
            (Type::Object(object), Some(field)) => {
                object.fields.get_mut(field).ok_or("a description without a field")?.description = text;
            }
            (Type::Object(object), None) => object.description = text,
            (Type::Map(_) | Type::List(_) | Type::Scalar(_) | Type::Any, _) => {
                self.arena.plain_definitions.entry(id).and_modify(|(_, description)| *description = text);
            }
        }
        Ok(())
    }

    fn field(&mut self, rest: &'static str) -> Result<(), &'static str> {
        let mut words = rest.splitn(4, ' ');
        let (Some(name), Some(number), Some(ty)) = (words.next(), words.next(), words.next()) else {
            return Err("a field has a name, a number and a type");
        };
        let flags = Flags::parse(words.next().unwrap_or_default())?;
        let ty = self.field_type(ty, flags.topology)?;
        let field = Field {
            ty,
            description: Cow::Borrowed(""),
            required: flags.required,
            strategic: flags.strategic,
            default: flags.default,
            words: flags.words,
            omit_empty: !flags.required && !flags.significant && self.may_omit_empty(ty),
            number: parse_number(number)?,
        };
        let Some(Type::Object(object)) = self.current.map(|id| &mut self.arena.types[id.0 as usize]) else {
            return Err("a field outside of an object");
        };
        object.fields.insert(name.to_owned(), field);
        self.current_field = Some(name.to_owned());
        Ok(())
    }

    /// A type expression, with the topology that a field's flags give to the outermost type.
    fn field_type(&mut self, expression: &'static str, topology: Option<&str>) -> Result<TypeId, &'static str> {
        if let Some(items) = expression.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let items = self.field_type(items, None)?;
            let topology = list_topology(topology)?;
            return Ok(self.list(ListType { items, topology }));
        }
        if let Some(values) = expression.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let values = self.field_type(values, None)?;
            return Ok(self.map(MapType { values, atomic: topology == Some("atomic") }));
        }
        let id = self.plain_type(expression)?;
        match (topology, self.arena.get(id)) {
            (None, _) => Ok(id),
            // The field says otherwise than its type: it gets a copy, made when every field is known.
            (Some("granular"), Type::Object(_)) => {
                let copy = self.arena.add(Type::Any);
                self.granular_copies.push((copy, id));
                Ok(copy)
            }
            _ => Err("a topology that does not fit the type"),
        }
    }

    fn plain_type(&mut self, expression: &'static str) -> Result<TypeId, &'static str> {
        if let Some(id) = self.arena.named(expression).or_else(|| self.scalars.get(expression).copied()) {
            return Ok(id);
        }
        let (name, scalar) = UNNAMED.iter().find(|(name, _)| *name == expression).ok_or("no such type")?;
        let id = self.arena.add(Type::Scalar(*scalar));
        self.scalars.insert(name, id);
        Ok(id)
    }

    // Structs, and the scalars that are structs in Go, have no empty value to Go's JSON.
    fn may_omit_empty(&self, ty: TypeId) -> bool {
        match self.arena.get(ty) {
            Type::Map(_) | Type::List(_) => true,
            Type::Scalar(scalar) => match scalar {
                Scalar::String | Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::Boolean | Scalar::Bytes => {
                    true
                }
                Scalar::Time | Scalar::MicroTime | Scalar::Quantity | Scalar::IntOrString => false,
            },
            Type::Object(_) | Type::Any => false,
        }
    }

    fn list(&mut self, list: ListType) -> TypeId {
        let arena = &mut self.arena;
        *self.lists.entry(list).or_insert_with_key(|list| arena.add(Type::List(list.clone())))
    }

    fn map(&mut self, map: MapType) -> TypeId {
        let arena = &mut self.arena;
        *self.maps.entry(map).or_insert_with_key(|map| arena.add(Type::Map(map.clone())))
    }
}

// === impl Flags ===

impl<'a> Flags<'a> {
    fn parse(text: &'a str) -> Result<Self, &'static str> {
        let mut flags = Self::default();
        for flag in text.split(' ').filter(|flag| !flag.is_empty()) {
            match flag.split_once('=').unwrap_or((flag, "")) {
                ("required", _) => flags.required = true,
                ("significant", _) => flags.significant = true,
                ("atomic" | "granular" | "set" | "map", _) => flags.topology = Some(flag),
                ("merge", key) => {
                    flags.strategic.merge = true;
                    flags.strategic.merge_key = (!key.is_empty()).then(|| key.to_owned());
                }
                ("enum", words) => flags.words = words.split(',').map(|word| word.replace('_', " ")).collect(),
                ("retainKeys", _) => flags.strategic.retain_keys = true,
                ("replace", _) => flags.strategic.replace = true,
                ("default", value) => {
                    flags.default = Some(serde_json::from_str(value).map_err(|_| "a default that is no JSON")?);
                }
                _ => return Err("no such flag"),
            }
        }
        Ok(flags)
    }
}

// A list without a marker is atomic: server-side apply's rule for schemas that say nothing.
fn list_topology(flag: Option<&str>) -> Result<ListTopology, &'static str> {
    match flag.map(|flag| flag.split_once('=').unwrap_or((flag, ""))) {
        None | Some(("atomic", _)) => Ok(ListTopology::Atomic),
        Some(("set", _)) => Ok(ListTopology::Set),
        Some(("map", keys)) => Ok(ListTopology::Map(keys.split(',').map(str::to_owned).collect())),
        Some(_) => Err("a topology that does not fit a list"),
    }
}

fn parse_number(text: &str) -> Result<Option<FieldNumber>, &'static str> {
    let parse = |digits: &str| digits.parse::<u32>().map_err(|_| "a protobuf number");
    Ok(match text.split_once('.') {
        _ if text == "-" => None,
        None => Some(FieldNumber::Own(parse(text)?)),
        Some((outer, inner)) => Some(FieldNumber::Inlined { outer: parse(outer)?, inner: parse(inner)? }),
    })
}

fn unescape(text: &'static str) -> Cow<'static, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' if characters.next() == Some('n') => '\n',
            character => character,
        });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object<'a>(arena: &'a Arena, name: &str) -> &'a ObjectType {
        match arena.get(arena.named(name).unwrap()) {
            Type::Object(object) => object,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn core(kind: &str) -> String {
        format!("io.k8s.api.core.v1.{kind}")
    }

    fn list_topology_of(definition: &str, field: &str) -> ListTopology {
        let arena = Arena::builtin();
        match arena.get(object(arena, definition).fields[field].ty) {
            Type::List(list) => list.topology.clone(),
            other => panic!("{definition}.{field} is {other:?}"),
        }
    }

    #[test]
    fn the_embedded_table_reads() {
        let arena = parse(include_str!("kubernetes.txt")).unwrap();
        assert!(arena.definitions().count() > 400);
    }

    #[test]
    fn lists_have_the_topology_of_server_side_apply() {
        let map = |keys: &[&str]| ListTopology::Map(keys.iter().map(|key| (*key).to_owned()).collect());
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        let rows = [
            (core("PodSpec"), "containers", map(&["name"])),
            (core("PodSpec"), "topologySpreadConstraints", map(&["topologyKey", "whenUnsatisfiable"])),
            (core("PodSpec"), "tolerations", ListTopology::Atomic),
            (core("Container"), "ports", map(&["containerPort", "protocol"])),
            (core("Container"), "args", ListTopology::Atomic),
            (core("ServiceSpec"), "ports", map(&["port", "protocol"])),
            (core("NodeSpec"), "podCIDRs", ListTopology::Set),
            (meta.to_owned(), "ownerReferences", map(&["uid"])),
            (meta.to_owned(), "finalizers", ListTopology::Set),
        ];
        for (definition, field, topology) in rows {
            assert_eq!(list_topology_of(&definition, field), topology, "{definition}.{field}");
        }
    }

    #[test]
    fn strategic_merge_keys_are_those_of_the_go_types() {
        let merge = |key: &str| Strategic { merge: true, merge_key: Some(key.to_owned()), ..Strategic::default() };
        let rows = [
            (core("PodSpec"), "containers", merge("name")),
            (core("PodSpec"), "volumes", Strategic { retain_keys: true, ..merge("name") }),
            (core("PodSpec"), "tolerations", Strategic::default()),
            (core("Container"), "ports", merge("containerPort")),
            (core("ServiceSpec"), "ports", merge("port")),
            (core("NodeSpec"), "podCIDRs", Strategic { merge: true, ..Strategic::default() }),
            (
                "io.k8s.api.apps.v1.DeploymentSpec".to_owned(),
                "strategy",
                Strategic { retain_keys: true, ..Strategic::default() },
            ),
            (
                "io.k8s.api.policy.v1.PodDisruptionBudgetSpec".to_owned(),
                "selector",
                Strategic { replace: true, ..Strategic::default() },
            ),
        ];
        for (definition, field, strategic) in rows {
            let arena = Arena::builtin();
            assert_eq!(object(arena, &definition).fields[field].strategic, strategic, "{definition}.{field}");
        }
    }

    #[test]
    fn key_fields_of_ports_have_their_default() {
        let arena = Arena::builtin();
        assert_eq!(object(arena, &core("ContainerPort")).fields["protocol"].default, Some("TCP".into()));
        assert_eq!(object(arena, &core("ServicePort")).fields["protocol"].default, Some("TCP".into()));
    }

    #[test]
    fn empty_values_are_omitted_where_go_omits_them() {
        let arena = Arena::builtin();
        for (definition, field, omitted) in [
            ("PodSpec", "hostNetwork", true),
            ("PodSpec", "enableServiceLinks", false),
            ("PodSpec", "containers", false),
            ("PodSpec", "nodeSelector", true),
            ("PodSpec", "securityContext", false),
            ("ContainerStatus", "ready", false),
            ("PersistentVolumeClaimSpec", "storageClassName", false),
            ("ServicePort", "targetPort", false),
        ] {
            assert_eq!(object(arena, &core(definition)).fields[field].omit_empty, omitted, "{definition}.{field}");
        }
    }

    #[test]
    fn fields_know_their_words() {
        let arena = Arena::builtin();
        let words = |definition: &str, field: &str| object(arena, &core(definition)).fields[field].words.clone();
        assert_eq!(words("ContainerPort", "protocol"), ["SCTP", "TCP", "UDP"]);
        assert_eq!(words("HostPathVolumeSource", "type")[..2], ["", "BlockDevice"]);
        assert_eq!(words("ContainerPort", "name"), [""; 0]);
        let usages = &object(arena, "io.k8s.api.certificates.v1.CertificateSigningRequestSpec").fields["usages"].words;
        assert!(usages.contains(&"digital signature".to_owned()));
    }

    #[test]
    fn a_claim_reference_is_granular_though_its_type_is_atomic() {
        let arena = Arena::builtin();
        assert!(object(arena, &core("ObjectReference")).atomic);
        let claim = object(arena, &core("PersistentVolumeSpec")).fields["claimRef"].ty;
        match arena.get(claim) {
            Type::Object(object) => assert!(!object.atomic && object.fields.contains_key("namespace")),
            other => panic!("claimRef is {other:?}"),
        }
    }

    #[test]
    fn inlined_structs_keep_the_path_to_their_protobuf_field() {
        let arena = Arena::builtin();
        let number = |definition: &str, field: &str| object(arena, &core(definition)).fields[field].number;
        assert_eq!(number("Volume", "name"), Some(FieldNumber::Own(1)));
        assert_eq!(number("Volume", "hostPath"), Some(FieldNumber::Inlined { outer: 2, inner: 1 }));
        assert_eq!(number("Pod", "kind"), None);
    }

    #[test]
    fn escapes_in_descriptions_are_undone() {
        assert_eq!(unescape(r"one\ntwo\\three"), "one\ntwo\\three");
    }

    #[test]
    fn a_malformed_table_names_its_line() {
        for (table, line) in [("= a object\n. b x string", 2), ("? a", 1), ("= a object\n. b 1 nothing", 2), (". a", 1)]
        {
            assert_eq!(parse(table).unwrap_err().line, line, "{table}");
        }
    }
}
