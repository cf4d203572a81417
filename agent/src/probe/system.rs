//! What surrounds the programs: type information and the functions that it lists, the compiler, file systems.

use std::fs;
use std::io;

use aya::{Btf, BtfError};
use aya_obj::btf::BtfKind;

use super::cgroup;
use super::report::{Finding, Group, Support};

/// Kernel functions, first kernel, use.
const KERNEL_FUNCTIONS: [(&str, &str, &str); 4] = [
    ("bpf_sock_destroy", "6.5", "sockets whose backend is gone"),
    ("bpf_xdp_metadata_rx_hash", "6.3", "the link's own flow hash"),
    ("bpf_dynptr_from_skb", "6.4", "long headers"),
    ("bpf_skb_ct_lookup", "6.0", "the kernel's own connections"),
];

/// Where BPF objects are pinned, and the number that statfs(2) gives for the file system there.
const BPF_FILES: &str = "/sys/fs/bpf";
const BPF_MAGIC: i64 = 0xcafe_4a11;

pub(super) fn findings() -> Vec<Finding> {
    let system = |name, since, purpose, support| Finding::new(Group::System, name, since, purpose, support);
    vec![
        system("BTF of the kernel", "5.2", "kernel types, kernel functions", exists("/sys/kernel/btf/vmlinux")),
        system("just-in-time compiler", "3.16", "speed", jit()),
        system("BPF file system", "4.4", "programs that outlive the agent", bpf_files()),
        system("cgroup v2", "4.5", "socket hooks", Support::from(cgroup::mount_point())),
    ]
}

/// Which kernel functions the kernel's type information lists. Whether a program may call them depends on its type.
pub(super) fn kernel_functions() -> Vec<Finding> {
    let btf = Btf::from_sys_fs();
    let tried = KERNEL_FUNCTIONS.iter().map(|(name, since, purpose)| {
        let support = match &btf {
            Ok(btf) => listed(btf, name),
            Err(error) => Support::Unknown(error.to_string()),
        };
        Finding::new(Group::Kfunc, name, since, purpose, support)
    });
    tried.collect()
}

fn listed(btf: &Btf, function: &str) -> Support {
    match btf.id_by_type_name_kind(function, BtfKind::Func) {
        Ok(_) => Support::Yes,
        Err(BtfError::UnknownBtfTypeName { .. }) => Support::No("not in the kernel's BTF".to_owned()),
        Err(error) => Support::Unknown(error.to_string()),
    }
}

fn exists(path: &str) -> Support {
    match fs::exists(path) {
        Ok(exists) => Support::when(exists, &format!("{path} does not exist")),
        Err(error) => Support::Unknown(error.to_string()),
    }
}

fn jit() -> Support {
    const SETTING: &str = "/proc/sys/net/core/bpf_jit_enable";
    match fs::read_to_string(SETTING) {
        Ok(value) => Support::when(value.trim() != "0", "switched off by net.core.bpf_jit_enable"),
        // Kernels that always compile have no switch.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Support::Yes,
        Err(error) => Support::Unknown(error.to_string()),
    }
}

fn bpf_files() -> Support {
    match rustix::fs::statfs(BPF_FILES) {
        Ok(file_system) => Support::when(file_system.f_type == BPF_MAGIC, &format!("not mounted at {BPF_FILES}")),
        Err(error) => Support::Unknown(error.to_string()),
    }
}
