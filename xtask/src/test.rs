//! `cargo xtask test`: the suites, each with what it needs said up front, and one sum at the end.

use std::io::BufReader;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::{process, setup, up, workspace};

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The suites to run; none: all that need no special request.
    suites: Vec<Suite>,
    /// Seconds per fuzz target, for the `fuzz` suite.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Only tests whose name contains this.
    #[arg(long)]
    filter: Option<String>,
}

/// A group of tests that needs the same things of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Every crate's own tests; what needs root says so and is not run without.
    Unit,
    /// Packets through the kernel programs by BPF_PROG_TEST_RUN.
    Packet,
    /// Real TCP and UDP between network namespaces.
    Netns,
    /// The real kubectl and client libraries against the real API server, on loopback.
    Api,
    /// Whole clusters of test hosts.
    E2e,
    /// Byte parsers under a fuzzer, a few seconds each.
    Fuzz,
}

/// How many tests ran, as the test programs' closing lines say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // On a fresh machine this one command is enough. Without root nothing is installed: the unit suite needs only what
    // building needs, and the build says what is missing.
    if process::is_root() {
        setup::run(&setup::Arguments::install())?;
    }
    let asked = !arguments.suites.is_empty();
    let suites = if asked { arguments.suites.clone() } else { default_suites() };
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for suite in suites {
        println!("\n=== {suite:?} ===");
        let outcome = match suite {
            Suite::Fuzz => fuzz(arguments.seconds),
            // The clusters of these tests run the programs of the same debug build.
            Suite::E2e => up::programs("debug").and_then(|_| cargo_test(suite, arguments)),
            Suite::Unit | Suite::Packet | Suite::Netns | Suite::Api => cargo_test(suite, arguments),
        };
        match outcome {
            Ok(ran) => tally = tally.plus(ran),
            Err(error) => {
                eprintln!("{suite:?}: {error:#}");
                failures.push((suite, error));
            }
        }
    }
    let failed = tally.failed.max(failures.len() as u64);
    println!("\n{} passed, {failed} failed", tally.passed);
    match failures.first() {
        Some((suite, error)) => bail!("suite {suite:?}: {error:#}"),
        None => Ok(()),
    }
}

/// Every suite but those that run on request only.
fn default_suites() -> Vec<Suite> {
    use clap::ValueEnum as _;
    Suite::value_variants()
        .iter()
        .copied()
        .filter(|suite| *suite == Suite::Unit || !suite.packages().is_empty())
        // Not before every walk of it has passed: until then it runs when it is named.
        .filter(|suite| *suite != Suite::E2e)
        .collect()
}

fn cargo_test(suite: Suite, arguments: &Arguments) -> Result<Tally> {
    if let Some(need) = suite.need().filter(|_| !process::is_root()) {
        bail!("{need}: run it as root (`sudo -E cargo xtask test {}`)", format!("{suite:?}").to_lowercase());
    }
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--locked", "--no-fail-fast"]);
    if suite == Suite::Unit {
        cargo.arg("--workspace");
        for package in every_special_package() {
            cargo.args(["--exclude", package]);
        }
    } else if suite.packages().is_empty() {
        bail!("there is no such suite in this version");
    } else {
        for package in suite.packages() {
            cargo.args(["--package", package]);
        }
    }
    if let Some(filter) = &arguments.filter {
        cargo.args(["--", filter]);
    }
    let shown = process::line(&cargo);
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        tally = echo(BufReader::new(stdout), &mut std::io::stdout())?;
    }
    let status = child.wait()?;
    if !status.success() {
        println!("{} passed, {} failed", tally.passed, tally.failed.max(1));
        bail!("`{shown}` failed: {status}");
    }
    Ok(tally)
}

/// Runs every fuzz target from its kept corpus for `seconds`; a crash is a failure.
fn fuzz(seconds: u32) -> Result<Tally> {
    let folder = workspace::root().join("fuzz");
    if process::find("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is missing: run `cargo xtask setup`");
    }
    let list = workspace::cargo().current_dir(workspace::root()).args(["fuzz", "list"]).output()?;
    let mut tally = Tally::default();
    for target in String::from_utf8_lossy(&list.stdout).lines() {
        println!("fuzz target {target}: {seconds} s");
        let mut cargo = workspace::cargo();
        // libFuzzer's flags want nightly or this; the fuzz crate is built from its own folder so that the
        // workspace's static linking, which sanitizers refuse, does not reach it.
        cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(&folder);
        cargo.args(["fuzz", "run", target, "--"]).arg(format!("-max_total_time={seconds}")).arg("-rss_limit_mb=2048");
        process::run(cargo.stdout(Stdio::null()))?;
        tally.passed += 1;
    }
    Ok(tally)
}

/// Passes test output through, and sums the closing lines of the test programs in it.
fn echo(output: impl std::io::BufRead, to: &mut impl std::io::Write) -> Result<Tally> {
    let mut tally = Tally::default();
    for line in output.lines() {
        let line = line?;
        writeln!(to, "{line}")?;
        tally = tally.plus(Tally::from_closing_line(&line).unwrap_or_default());
    }
    Ok(tally)
}

fn every_special_package() -> impl Iterator<Item = &'static str> {
    use clap::ValueEnum as _;
    Suite::value_variants().iter().flat_map(|suite| suite.packages()).copied()
}

// === impl Suite ===

impl Suite {
    /// The packages whose tests make up the suite; the unit suite is every other package.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Unit | Self::Fuzz => &[],
            Self::Packet => &["packet-tests"],
            Self::Netns => &["netns-tests", "test-support", "testbed"],
            Self::Api => &["api-tests"],
            Self::E2e => &["e2e-tests"],
        }
    }

    /// Why the suite needs root, if it does.
    fn need(self) -> Option<&'static str> {
        match self {
            Self::Unit | Self::Api | Self::Fuzz => None,
            Self::Packet => Some("packet tests load programs into the kernel (CAP_BPF)"),
            Self::Netns => Some("namespace tests make network namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)"),
            Self::E2e => Some("cluster tests make namespaces, mounts and cgroups (root)"),
        }
    }
}

// === impl Tally ===

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }

    /// Reads `test result: ok. 5 passed; 0 failed; ...`.
    fn from_closing_line(line: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix("test result: ")?;
        let number = |word: &str| -> Option<u64> {
            let before = rest.split(word).next()?;
            before.split_whitespace().next_back()?.parse().ok()
        };
        Some(Self { passed: number(" passed")?, failed: number(" failed")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_line_is_counted() {
        let line = "test result: ok. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(Tally::from_closing_line(line), Some(Tally { passed: 12, failed: 3 }));
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in ["running 3 tests", "test a ... ok", "test result: garbage", ""] {
            assert_eq!(Tally::from_closing_line(line), None, "{line}");
        }
    }

    #[test]
    fn sums_over_several_test_programs() {
        let output = "test result: ok. 2 passed; 0 failed;\nnoise\ntest result: ok. 3 passed; 1 failed;\n";
        let mut shown = Vec::new();
        assert_eq!(echo(output.as_bytes(), &mut shown).unwrap(), Tally { passed: 5, failed: 1 });
        assert_eq!(shown, output.as_bytes());
    }
}
