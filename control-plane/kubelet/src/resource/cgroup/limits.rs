//! Limits as the control files of v1 and v2 have them.

use std::fs;
use std::io;
use std::path::Path;

use super::CgroupError;
use super::hierarchy::{Hierarchies, Version, changed};
use crate::resource::pod::PodLimits;

/// One value for one control file.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    controller: &'static str,
    file: &'static str,
    value: String,
    /// Whether it only undoes a limit: where the file is missing there is nothing to undo.
    lifts: bool,
}

/// Writes the limits of the group at `path` to whichever hierarchies have the controllers.
pub(super) fn apply(hierarchies: &Hierarchies, path: &Path, limits: &PodLimits) -> Result<(), CgroupError> {
    for controller in ["cpu", "memory", "pids"] {
        let Some(hierarchy) = hierarchies.with(controller) else { continue };
        let settings = if hierarchy.version == Version::Two { unified(limits) } else { legacy(limits) };
        for setting in settings.into_iter().filter(|setting| setting.controller == controller) {
            let file = hierarchy.mount_point.join(path).join(setting.file);
            match write(&file, &setting.value) {
                Err(error) if setting.lifts && error.kind() == io::ErrorKind::NotFound => {}
                written => written.map_err(|source| changed("set", &file, source))?,
            }
        }
    }
    Ok(())
}

/// Never makes a file: a control file that is not there means that the controller is not.
fn write(file: &Path, value: &str) -> io::Result<()> {
    use io::Write;
    fs::OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

/// cgroup-v1: cpu, memory and pids controllers.
fn legacy(limits: &PodLimits) -> Vec<Setting> {
    let or_none = |value: Option<i64>| value.unwrap_or(-1).to_string();
    let pids = limits.pids.map_or_else(|| "max".to_owned(), |pids| pids.to_string());
    vec![
        setting("cpu", "cpu.shares", limits.cpu_shares.to_string(), false),
        setting("cpu", "cpu.cfs_period_us", PodLimits::CPU_PERIOD.to_string(), limits.cpu_quota.is_none()),
        setting("cpu", "cpu.cfs_quota_us", or_none(limits.cpu_quota), limits.cpu_quota.is_none()),
        setting("memory", "memory.limit_in_bytes", or_none(limits.memory), limits.memory.is_none()),
        setting("pids", "pids.max", pids, limits.pids.is_none()),
    ]
}

/// cgroup-v2.rst: cpu, memory and pids controllers.
fn unified(limits: &PodLimits) -> Vec<Setting> {
    let or_max = |value: Option<i64>| value.map_or_else(|| "max".to_owned(), |value| value.to_string());
    let quota = format!("{} {}", or_max(limits.cpu_quota), PodLimits::CPU_PERIOD);
    vec![
        setting("cpu", "cpu.weight", weight(limits.cpu_shares).to_string(), false),
        setting("cpu", "cpu.max", quota, limits.cpu_quota.is_none()),
        setting("memory", "memory.max", or_max(limits.memory), limits.memory.is_none()),
        setting("pids", "pids.max", or_max(limits.pids), limits.pids.is_none()),
    ]
}

fn setting(controller: &'static str, file: &'static str, value: String, lifts: bool) -> Setting {
    Setting { controller, file, value, lifts }
}

/// Maps shares, 2 to 262144, to a weight, 1 to 10000, as Kubernetes and runc do (KEP-2254).
fn weight(shares: i64) -> i64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, expected) in [(2, 1), (1024, 39), (262_144, 10_000), (0, 1), (i64::MAX, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }
}
