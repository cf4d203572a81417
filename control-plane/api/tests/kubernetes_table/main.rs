//! The checked-in table `src/schema/kubernetes.txt` says what the crates it was derived from say.
//!
//! Names, types, descriptions and required fields come from `k8s-openapi`'s JSON schemas; protobuf field numbers, list
//! topologies, patch strategies and defaults from the field attributes and `+listType`-style markers that `k8s-pb` keeps
//! of the upstream `.proto` files. After raising either crate, rewrite the table:
//!
//! ```text
//! SHEAVE_REGENERATE=1 cargo test -p sheave-api --test kubernetes_table
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod definitions;
mod enums;
mod messages;
mod render;
mod significant;

use std::path::PathBuf;

#[test]
fn the_table_is_what_the_crates_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/schema/kubernetes.txt");
    let table = render::table(&definitions::all(), &messages::Messages::from_crate_source());
    if std::env::var_os("SHEAVE_REGENERATE").is_some() {
        std::fs::write(&path, &table).unwrap();
        return;
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    let first_difference = checked_in.lines().zip(table.lines()).position(|(ours, theirs)| ours != theirs);
    assert!(
        checked_in == table,
        "{} differs from what the crates say, first at line {:?}: run this test with SHEAVE_REGENERATE=1",
        path.display(),
        first_difference.map(|line| line + 1)
    );
}

#[test]
fn every_field_of_the_hand_written_tables_exists() {
    let definitions = definitions::all();
    let is_field = |(name, field): &(&str, &str)| {
        let mut found = definitions.iter().filter(|(full, _)| full.ends_with(&format!(".{name}")));
        found.any(|(_, schema)| schema["properties"][*field].is_object())
    };
    let unknown: Vec<_> = significant::fields().chain(enums::fields()).filter(|field| !is_field(field)).collect();
    assert!(unknown.is_empty(), "no such fields: {unknown:?}");
}
