//! Writers of one object: `{"kind": .., "writes": [{"manager": .., "force": .., "apply" or "update": ..}]}`, or bytes
//! for the generator.

use jiff::Timestamp;
use serde_json::{Value, json};
use sheave_api::schema::Arena;
use sheave_patch::apply::{FieldManager, OneVersion, Tracked};
use sheave_patch::limits;
use sheave_patch::managed::Managers;

use crate::generate::Generator;
use crate::inputs::{KINDS, Kind, as_json, kind};

/// Writes of one input that are carried out.
const MAX_WRITES: usize = 12;

struct Write {
    manager: String,
    force: bool,
    is_apply: bool,
    document: Value,
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let ((api_version, kind, name), writes) = match as_json(data) {
        Some(input) => read(&input),
        None => generated(data).expect("bytes that run out are zeros"),
    };
    let arena = Arena::builtin();
    let schema = arena.named(name).expect("a built-in kind");
    let tracked = Tracked::all_but_status();
    let manager =
        FieldManager { arena, schema, api_version, kind, subresource: "", tracked: &tracked, versions: &OneVersion };
    let mut live: Option<Value> = None;
    for (second, mut write) in (0..).zip(writes.into_iter().take(MAX_WRITES)) {
        let now = Timestamp::from_second(second).expect("a small number of seconds");
        write.document["apiVersion"] = json!(api_version);
        write.document["kind"] = json!(kind);
        if !write.document["metadata"].is_object() {
            write.document["metadata"] = json!({});
        }
        if write.is_apply {
            let apply = |live: Option<&Value>, force| manager.apply(live, &write.document, &write.manager, force, now);
            match apply(live.as_ref(), write.force) {
                Ok(document) => {
                    let again = apply(Some(&document), false).expect("what was applied can be applied again");
                    assert_eq!(again, document, "applying twice is applying once");
                    live = Some(document);
                }
                Err(error) => assert!((400..=422).contains(&error.code()), "{error}"),
            }
        } else {
            live = Some(manager.update(live.as_ref(), write.document, &write.manager, now));
        }
        if let Some(live) = &live {
            limits::check_depth(live).expect("a written document stays within the depth limit");
            let managers = Managers::of(live).expect("what is written can be read");
            assert!(managers.iter().all(|(_, managed)| !managed.fields.is_empty()));
        }
    }
}

fn read(input: &Value) -> (Kind, Vec<Write>) {
    let write = |write: &Value| {
        let is_apply = write.get("apply").is_some();
        let document = write.get("apply").or_else(|| write.get("update")).filter(|document| document.is_object());
        Write {
            manager: write["manager"].as_str().unwrap_or_default().to_owned(),
            force: write["force"] == true,
            is_apply,
            document: document.cloned().unwrap_or_else(|| json!({})),
        }
    };
    let writes = input["writes"].as_array().into_iter().flatten().map(write).collect();
    (kind(input["kind"].as_str().unwrap_or_default()), writes)
}

fn generated(data: &[u8]) -> arbitrary::Result<(Kind, Vec<Write>)> {
    let mut generator = Generator::new(data);
    let kind = *generator.choose(KINDS)?;
    let mut writes = Vec::new();
    while generator.has_more() && writes.len() < MAX_WRITES {
        writes.push(Write {
            manager: (*generator.choose(&["alice", "bob", "kubectl"])?).to_owned(),
            force: generator.once_in(2)?,
            is_apply: !generator.once_in(3)?,
            document: generator.document(kind.2, false)?,
        });
    }
    Ok((kind, writes))
}
