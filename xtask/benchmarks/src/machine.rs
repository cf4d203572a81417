//! The machine that measured, for the record.

use std::fmt;
use std::process::Command;

use serde::Serialize;

/// What a reader needs to compare figures.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    commit: String,
}

impl Machine {
    /// Reads /proc, and asks git for the commit.
    pub(crate) fn detect() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kilobytes = memory.split_whitespace().next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kilobytes.div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit.unwrap_or_default(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory_gib, kernel, commit } = self;
        write!(f, "{processor}, {cores} cores, {memory_gib} GiB, kernel {kernel}, commit {commit}, release build")
    }
}
