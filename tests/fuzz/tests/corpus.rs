//! Each target over its kept corpus, then for a while over changes of it. It has no coverage to steer by, as libFuzzer
//! has (`cargo xtask test fuzz`), but needs no build of its own: so every change of the code is tried.
//!
//! `FUZZ_SECONDS` sets the time per target; a failure prints the input.

#![expect(clippy::panic, reason = "a failed expectation of a test is a panic with its message")]

use std::path::Path;
use std::time::{Duration, Instant};

use fuzz_targets::{TARGETS, Target};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// What inputs are made of: words of the formats, and numbers that have been trouble.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "0",
    "1e308",
    "9223372036854775808",
    "\\u0000",
    "\\ud800",
    "metadata",
    "name",
    "spec",
    "$patch",
    "$setElementOrder/containers",
    "$retainKeys",
    "=",
    "!=",
    " in (",
    ")",
    "notin",
    "a/b",
    "Mi",
    "m",
    "E",
    "&a ",
    "*a",
    "- ",
    "k8s\0",
    "continue=",
    "limit=",
    "%00",
    "%2F",
    "..",
    "dryRun=All",
    "\n",
];
/// Longer inputs only take time.
const LONGEST: usize = 16 << 10;
/// As the budget of continuous integration has it: all targets together, two at a time.
const SECONDS: u64 = 10;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    // What a long run found has no extension and is not kept.
    let kept = files.iter().filter(|path| path.extension().is_some());
    kept.map(|path| std::fs::read(path).expect("a corpus file")).collect()
}

/// Another input from those that there are.
fn changed(corpus: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut input = corpus.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=input.len());
        let end = input.len().min(at + random.random_range(0..16));
        match random.random_range(0..5) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, WORDS.choose(random).copied().unwrap_or_default().bytes())),
            2 => input[at..end].iter_mut().for_each(|byte| *byte ^= 1 << random.random_range(0..8)),
            3 => {
                let piece = input[at..end].repeat(random.random_range(1..64));
                drop(input.splice(at..at, piece));
            }
            _ => {
                let other = corpus.choose(random).cloned().unwrap_or_default();
                let from = random.random_range(0..=other.len());
                drop(input.splice(at.., other[from..].iter().copied()));
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// Runs one input; says which it was when something does not hold.
fn run(name: &str, target: Target, input: &[u8]) {
    let outcome = std::panic::catch_unwind(|| target(input));
    assert!(outcome.is_ok(), "{name} does not hold for {:?}", String::from_utf8_lossy(input));
}

fn soak(name: &str) {
    let target = TARGETS.iter().find(|(target, _)| *target == name).expect("a target").1;
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    corpus.iter().for_each(|input| run(name, target, input));
    let seed = rand::random();
    println!("{name}: seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let (begun, mut inputs) = (Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        run(name, target, &changed(&corpus, &mut random));
        inputs += 1;
    }
    println!("{name}: {inputs} inputs in {seconds} s");
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            soak(stringify!($name));
        })*

        #[test]
        fn every_target_has_its_test() {
            let tested = [$(stringify!($name)),*];
            assert!(TARGETS.iter().map(|(name, _)| *name).eq(tested));
        }
    };
}

targets!(
    body,
    field_selector,
    json_patch,
    label_selector,
    protobuf,
    quantity,
    request,
    server_side_apply,
    strategic_merge
);
