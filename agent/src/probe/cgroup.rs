//! The socket hooks of control groups, tried on a cgroup of the probe's own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use aya_obj::generated::bpf_attach_type::{
    self, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_CONNECT,
    BPF_CGROUP_INET6_GETPEERNAME, BPF_CGROUP_UDP4_RECVMSG, BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_RECVMSG,
    BPF_CGROUP_UDP6_SENDMSG,
};
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR;

use super::report::{Finding, Group, Support};
use crate::syscall;

/// Hook, attach type, first kernel, use.
const HOOKS: [(&str, bpf_attach_type, &str, &str); 8] = [
    ("cgroup connect4", BPF_CGROUP_INET4_CONNECT, "4.17", "services, once per connection"),
    ("cgroup connect6", BPF_CGROUP_INET6_CONNECT, "4.17", "services, once per connection"),
    ("cgroup sendmsg4", BPF_CGROUP_UDP4_SENDMSG, "4.18", "services, unconnected UDP"),
    ("cgroup sendmsg6", BPF_CGROUP_UDP6_SENDMSG, "4.18", "services, unconnected UDP"),
    ("cgroup recvmsg4", BPF_CGROUP_UDP4_RECVMSG, "5.2", "replies come from the service"),
    ("cgroup recvmsg6", BPF_CGROUP_UDP6_RECVMSG, "5.2", "replies come from the service"),
    ("cgroup getpeername4", BPF_CGROUP_INET4_GETPEERNAME, "5.8", "peers are named as the service"),
    ("cgroup getpeername6", BPF_CGROUP_INET6_GETPEERNAME, "5.8", "peers are named as the service"),
];

/// A cgroup that is removed when it is dropped.
struct Cgroup {
    path: PathBuf,
}

/// Tries each socket hook.
pub(super) fn findings() -> Vec<Finding> {
    let cgroup = Cgroup::make();
    let tried = HOOKS.iter().map(|(name, attach_type, since, purpose)| {
        let support = match &cgroup {
            Ok(cgroup) => Support::from(attach(cgroup, *attach_type)),
            Err(error) => Support::Unknown(format!("no cgroup to try it on: {error}")),
        };
        Finding::new(Group::Hook, name, since, purpose, support)
    });
    tried.collect()
}

fn attach(cgroup: &Cgroup, attach_type: bpf_attach_type) -> io::Result<()> {
    /// The program lets the call go on.
    const ALLOW: u8 = 1;
    let program = syscall::load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, Some(attach_type), ALLOW, 0)?;
    let folder = File::open(&cgroup.path)?;
    syscall::link(&program, syscall::number(&folder), attach_type, 0).map(drop)
}

/// Where cgroup v2 is mounted: `/sys/fs/cgroup`, or a folder below it where v1 is in use as well.
pub(super) fn mount_point() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let found = mount_point_in(&mounts).map(Path::to_path_buf);
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "cgroup v2 is not mounted"))
}

/// The mount point of type `cgroup2` in a table as fstab(5) describes it.
fn mount_point_in(mounts: &str) -> Option<&Path> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let path = fields.nth(1)?;
        (fields.next()? == "cgroup2").then_some(Path::new(path))
    })
}

// === impl Cgroup ===

impl Cgroup {
    fn make() -> io::Result<Self> {
        let path = mount_point()?.join(format!("sheave-probe-{}", std::process::id()));
        match fs::create_dir(&path) {
            // Left by a probe of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        Ok(Self { path })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Nothing can be in it; if it stays all the same, it is empty and harmless.
        let _ = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_v2_is_found_alone_and_beside_v1() {
        for (mounts, expected) in [
            ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", Some("/sys/fs/cgroup")),
            (
                "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\nnone /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
                Some("/sys/fs/cgroup/unified"),
            ),
            ("proc /proc proc rw 0 0\n", None),
        ] {
            assert_eq!(mount_point_in(mounts), expected.map(Path::new), "{mounts}");
        }
    }
}
