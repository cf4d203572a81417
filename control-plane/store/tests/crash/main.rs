//! Crashes: the process is killed, the power goes, the disk fails or is full. Nothing acknowledged may be lost, nothing
//! may half-appear, the revision may never go back.
//!
//! `SHEAVE_CRASH_CYCLES` sets how often each kind is tried, `SHEAVE_CRASH_SEED` repeats a run; both are printed. An
//! argument picks the kinds whose names contain it.

#![expect(clippy::panic, reason = "this is a test without libtest's harness, so clippy does not see that it is one")]

mod disks;
mod faults;
mod full;
mod history;
mod kill;
mod power;

use std::time::Instant;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// A kind of crash: its name, how often it is tried unless the environment says otherwise, and the trial itself, which
/// says what it has done.
struct Kind {
    name: &'static str,
    cycles: u32,
    run: fn(u32, StdRng) -> String,
}

const KINDS: [Kind; 4] = [
    Kind { name: "kill", cycles: 30, run: kill::run },
    Kind { name: "power", cycles: 300, run: power::run },
    Kind { name: "faults", cycles: 25, run: faults::run },
    Kind { name: "full", cycles: 2, run: full::run },
];

fn main() {
    if let Some(path) = std::env::var_os(kill::CHILD) {
        return kill::write_until_killed(path.as_ref());
    }
    let seed = number("SHEAVE_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let chosen = |kind: &&Kind| filter.as_ref().is_none_or(|filter| kind.name.contains(filter.as_str()));
    println!("crash tests with SHEAVE_CRASH_SEED={seed}");
    for kind in KINDS.iter().filter(chosen) {
        let cycles =
            number("SHEAVE_CRASH_CYCLES").map_or(kind.cycles, |cycles| u32::try_from(cycles).unwrap_or(u32::MAX));
        let begun = Instant::now();
        let done = (kind.run)(cycles, StdRng::seed_from_u64(seed));
        println!("crash test {}: {cycles} cycles in {:.1} s: {done}", kind.name, begun.elapsed().as_secs_f64());
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}
