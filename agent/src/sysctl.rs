//! Settings of the node's network, below `/proc/sys/net`.
//!
//! Containers have that folder for reading only; deploy/sheave.yaml mounts the node's own for writing. Whichever way, it
//! shows the network namespace of the thread that opens a file in it.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Where the settings are.
#[derive(Clone, Debug)]
pub struct Sysctl {
    root: PathBuf,
}

/// A setting could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {action} {setting}: {source}; mount the node's /proc/sys/net for writing and name it in `sysctlRoot`, or set it on the node"
)]
pub struct SysctlError {
    action: String,
    setting: String,
    #[source]
    source: io::Error,
}

// === impl Sysctl ===

impl Sysctl {
    /// The settings below a folder that shows `/proc/sys`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes the node forward packets.
    ///
    /// A host that forwards IPv6 no longer takes routes from router advertisements unless it is told to go on: an uplink
    /// that did keeps doing so.
    ///
    /// # Errors
    /// [`SysctlError`] when a setting is not as it must be and cannot be changed.
    pub fn forward(&self, uplink: &str) -> Result<(), SysctlError> {
        self.ensure("net/ipv4/ip_forward", "1")?;
        let accept = format!("net/ipv6/conf/{uplink}/accept_ra");
        let advertisements = self.get(&accept).ok();
        if self.get("net/ipv6/conf/all/forwarding").is_err() {
            return Ok(()); // A kernel without IPv6.
        }
        if advertisements.as_deref() == Some("1") && self.get("net/ipv6/conf/all/forwarding")? != "1" {
            self.ensure(&accept, "2")?;
        }
        self.ensure("net/ipv6/conf/all/forwarding", "1")
    }

    /// Keeps the kernel from giving these ports to sockets that ask for any. Other reservations stay.
    ///
    /// # Errors
    /// [`SysctlError`] when they are not reserved and cannot be.
    pub fn reserve_ports(&self, ports: &RangeInclusive<u16>) -> Result<(), SysctlError> {
        let setting = "net/ipv4/ip_local_reserved_ports";
        let reserved = self.get(setting)?;
        let wanted = format!("{}-{}", ports.start(), ports.end());
        if covers(&reserved, ports) {
            return Ok(());
        }
        let all = if reserved.is_empty() { wanted } else { format!("{reserved},{wanted}") };
        self.set(setting, &all)
    }

    /// Takes that reservation back, if it is written as [`reserve_ports`](Self::reserve_ports) writes it.
    ///
    /// # Errors
    /// [`SysctlError`].
    pub fn release_ports(&self, ports: &RangeInclusive<u16>) -> Result<(), SysctlError> {
        let setting = "net/ipv4/ip_local_reserved_ports";
        let (reserved, ours) = (self.get(setting)?, format!("{}-{}", ports.start(), ports.end()));
        let others: Vec<_> = reserved.split(',').filter(|range| *range != ours).collect();
        let others = others.join(",");
        if others == reserved { Ok(()) } else { self.set(setting, &format!("{others}\n")) }
    }

    fn ensure(&self, setting: &str, value: &str) -> Result<(), SysctlError> {
        if self.get(setting)? == value { Ok(()) } else { self.set(setting, value) }
    }

    fn get(&self, setting: &str) -> Result<String, SysctlError> {
        let text = fs::read_to_string(self.root.join(setting));
        text.map(|text| text.trim().to_owned()).map_err(|source| failed("read".to_owned(), setting, source))
    }

    fn set(&self, setting: &str, value: &str) -> Result<(), SysctlError> {
        let written = fs::write(self.root.join(setting), value);
        written.map_err(|source| failed(format!("set to {value}"), setting, source))
    }
}

fn failed(action: String, setting: &str, source: io::Error) -> SysctlError {
    SysctlError { action, setting: setting.replace('/', "."), source }
}

/// Whether a list of ports and ranges has all of `ports`.
fn covers(list: &str, ports: &RangeInclusive<u16>) -> bool {
    let ranges = list.split(',').filter_map(|part| {
        let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    });
    let ranges: Vec<_> = ranges.collect();
    ports.clone().all(|port| ranges.iter().any(|range| range.contains(&port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_read_as_the_kernel_writes_them() {
        for (list, expected) in [
            ("", false),
            ("61000-65535", true),
            ("1-3,61000-65535", true),
            ("61000-61999,62000-65535", true),
            ("61000-65534", false),
            ("61000", false),
        ] {
            assert_eq!(covers(list, &(61000..=65535)), expected, "{list:?}");
        }
    }

    #[test]
    fn a_setting_that_is_right_needs_no_right_to_change_it_and_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |setting: &str, value: &str| {
            let path = folder.path().join(setting);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        let sysctl = Sysctl::at(folder.path());
        let error = sysctl.forward("eth0").unwrap_err().to_string();
        assert!(error.contains("net.ipv4.ip_forward") && error.contains("sysctlRoot"), "{error}");
        write("net/ipv4/ip_forward", "0\n");
        write("net/ipv6/conf/all/forwarding", "0\n");
        write("net/ipv6/conf/eth0/accept_ra", "1\n");
        sysctl.forward("eth0").unwrap();
        let read = |setting: &str| fs::read_to_string(folder.path().join(setting)).unwrap();
        assert_eq!((read("net/ipv4/ip_forward"), read("net/ipv6/conf/eth0/accept_ra")), ("1".into(), "2".into()));
        write("net/ipv4/ip_local_reserved_ports", "8080\n");
        sysctl.reserve_ports(&(61000..=65535)).unwrap();
        assert_eq!(read("net/ipv4/ip_local_reserved_ports"), "8080,61000-65535");
    }
}
