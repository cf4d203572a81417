//! Protobuf messages, read out of the source of `k8s-pb`: its structs carry the field numbers as attributes, and the
//! markers of the Go types as comments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every message by its definition name in lower case, such as `io.k8s.api.core.v1.pod`: the structs' names follow
/// Rust's case rules (`HttpGetAction`), not Kubernetes'.
pub(crate) struct Messages(BTreeMap<String, Message>);

/// A message.
#[derive(Default)]
pub(crate) struct Message {
    /// Its comment in one line.
    pub(crate) description: String,
    /// `+name=value` markers above the struct.
    pub(crate) markers: Markers,
    pub(crate) fields: Vec<MessageField>,
}

/// A field of a message.
#[derive(Clone)]
pub(crate) struct MessageField {
    /// Lower case, without underscores: comparable with a JSON name put in lower case.
    pub(crate) folded_name: String,
    pub(crate) number: u32,
    /// The last segment of the Rust type, such as `VolumeSource`.
    pub(crate) type_name: String,
    /// Its comment in one line.
    pub(crate) description: String,
    pub(crate) markers: Markers,
}

/// `+name=value` markers; a marker may repeat.
#[derive(Clone, Default)]
pub(crate) struct Markers(Vec<(String, String)>);

// === impl Messages ===

impl Messages {
    /// Reads the source of the `k8s-pb` that this workspace builds with.
    pub(crate) fn from_crate_source() -> Self {
        let root = crate_source("k8s-pb").join("src");
        let mut messages = BTreeMap::new();
        for (folder, prefix) in [("api", "io.k8s.api"), ("apimachinery", "io.k8s.apimachinery")] {
            read_module(&root.join(folder), prefix, &mut messages);
        }
        Self(messages)
    }

    /// The message of a definition.
    pub(crate) fn get(&self, definition: &str) -> Option<&Message> {
        self.0.get(&definition.to_lowercase())
    }
}

fn crate_source(package: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|entry| entry["name"] == package).unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

fn read_module(folder: &Path, prefix: &str, messages: &mut BTreeMap<String, Message>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap();
            read_module(&path, &format!("{prefix}.{name}"), messages);
        } else {
            read_file(&std::fs::read_to_string(&path).unwrap(), prefix, messages);
        }
    }
}

fn read_file(source: &str, prefix: &str, messages: &mut BTreeMap<String, Message>) {
    let mut comment = Vec::new();
    let mut current: Option<(String, Message)> = None;
    let mut number = 0;
    // A field whose type is long continues on the next line.
    let mut unfinished = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim().to_owned());
        } else if let Some(name) = line.strip_prefix("pub struct ") {
            let name = name.trim_end_matches([' ', '{', '}']).to_owned();
            let (description, markers) = split_comment(std::mem::take(&mut comment));
            let message = Message { description, markers, fields: Vec::new() };
            if line.ends_with("{}") {
                messages.insert(format!("{prefix}.{name}").to_lowercase(), message);
            } else {
                current = Some((name, message));
            }
        } else if let Some(found) = line.strip_prefix("#[prost(").and_then(|rest| rest.split("tag = \"").nth(1)) {
            number = found.split('"').next().unwrap().parse().unwrap();
        } else if line == "}" {
            if let Some((name, message)) = current.take() {
                messages.insert(format!("{prefix}.{name}").to_lowercase(), message);
            }
            comment.clear();
        } else if let Some((_, message)) = &mut current
            && !line.starts_with("#[")
        {
            unfinished.push_str(line);
            let balanced = unfinished.matches('<').count() == unfinished.matches('>').count();
            if line.ends_with(',') && balanced {
                let field = field(&std::mem::take(&mut unfinished), number, std::mem::take(&mut comment));
                message.fields.push(field);
            }
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
}

fn field(declaration: &str, number: u32, comment: Vec<String>) -> MessageField {
    let (name, ty) = declaration.strip_prefix("pub ").unwrap().split_once(':').unwrap();
    let type_name = ty.trim_end_matches([',', '>']).rsplit([':', '<', ' ']).next().unwrap();
    let (description, markers) = split_comment(comment);
    MessageField {
        folded_name: name.trim_start_matches("r#").replace('_', "").to_lowercase(),
        number,
        type_name: type_name.to_owned(),
        description,
        markers,
    }
}

fn split_comment(lines: Vec<String>) -> (String, Markers) {
    let mut text = Vec::new();
    let mut markers = Vec::new();
    for line in lines {
        match line.strip_prefix('+') {
            Some(marker) => {
                let (name, value) = marker.split_once('=').unwrap_or((marker, ""));
                markers.push((name.to_owned(), value.to_owned()));
            }
            None => text.push(line.replace("<https://", "https://").replace('>', "")),
        }
    }
    (text.join(" ").trim().to_owned(), Markers(markers))
}

// === impl Markers ===

impl Markers {
    /// The value of the first marker of this name.
    pub(crate) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The values of every marker of this name, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}
