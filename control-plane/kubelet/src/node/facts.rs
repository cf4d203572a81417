//! What this machine is: found once, when the kubelet starts.

use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::NodeSystemInfo;

use crate::resource::Capacity;
use crate::runtime::Version;

/// The version of Kubernetes whose API this is.
pub const KUBERNETES_VERSION: &str = "v1.35.0";
/// Memory that pods may not have, in bytes: below it Kubernetes evicts.
const RESERVED_MEMORY: u64 = 100 << 20;

/// What a machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// CPUs that are on line.
    pub cpus: u64,
    /// Memory, in bytes.
    pub memory: u64,
    /// Size of the file system of the data directory, in bytes.
    pub disk: u64,
    /// Most pods.
    pub pods: u32,
}

// === impl Machine ===

impl Machine {
    /// Looks at the machine, and at the file system that `data` is on.
    #[must_use]
    pub fn look(data: &Path, pods: u32) -> Self {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let disk = rustix::fs::statvfs(data).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        Self { cpus: count_cpus(&online).max(1), memory: memory_total(&memory), disk, pods }
    }

    /// What pods may have.
    #[must_use]
    pub fn allocatable(&self) -> Capacity {
        let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        Capacity::new(
            signed(self.cpus.saturating_mul(1000)),
            signed(self.allocatable_memory()),
            signed(self.allocatable_disk()),
        )
    }

    /// Memory for pods, in bytes.
    #[must_use]
    pub fn allocatable_memory(&self) -> u64 {
        self.memory.saturating_sub(RESERVED_MEMORY)
    }

    /// Disk for pods, in bytes: the rest is the reserve below which images are removed.
    #[must_use]
    pub fn allocatable_disk(&self) -> u64 {
        self.disk / 10 * 9
    }
}

/// The node's `status.nodeInfo`.
#[must_use]
pub fn system_info(runtime: &Version) -> NodeSystemInfo {
    let uname = rustix::system::uname();
    NodeSystemInfo {
        architecture: go_architecture().to_owned(),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: format!("{}://{}", runtime.name, runtime.version),
        kernel_version: uname.release().to_string_lossy().into_owned(),
        kube_proxy_version: String::new(),
        kubelet_version: KUBERNETES_VERSION.to_owned(),
        machine_id: line("/etc/machine-id"),
        operating_system: "linux".to_owned(),
        os_image: os_image(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
        swap: None,
        system_uuid: line("/sys/class/dmi/id/product_uuid"),
    }
}

/// The machine's architecture as Go and Kubernetes call it.
#[must_use]
pub fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_owned()
}

/// Counts `0-3,8`.
fn count_cpus(online: &str) -> u64 {
    let ranges = online.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    });
    ranges.sum()
}

/// Reads `MemTotal` of `/proc/meminfo`, in bytes.
fn memory_total(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_in_ranges() {
        for (online, expected) in [("0", 1), ("0-1\n", 2), ("0-3,8", 5), ("", 0)] {
            assert_eq!(count_cpus(online), expected, "{online}");
        }
    }

    #[test]
    fn files_of_the_system_are_read_as_they_are() {
        assert_eq!(memory_total("MemTotal:       24564400 kB\nMemFree: 1 kB\n"), 24_564_400 * 1024);
        assert_eq!(os_image("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
    }

    #[test]
    fn this_machine_has_something_of_everything() {
        let machine = Machine::look(Path::new("/"), 110);
        assert!(machine.cpus > 0 && machine.memory > machine.allocatable_memory() && machine.disk > 0, "{machine:?}");
    }
}
