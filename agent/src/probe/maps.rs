//! Map types and what maps can.

use std::io;

use aya::maps::MapType;
use aya::sys::{SyscallError, is_map_supported};
use aya_obj::generated::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_map_type};

use super::report::{Finding, Group, Support};
use crate::syscall;

/// Type, name, first kernel, use.
const TYPES: [(MapType, &str, &str, &str); 9] = [
    (MapType::Hash, "hash", "3.19", "flows, services, identities"),
    (MapType::Array, "array", "3.19", "backends, next hops, generations"),
    (MapType::PerCpuArray, "per-CPU array", "4.6", "counters"),
    (MapType::PerCpuHash, "per-CPU hash", "4.6", "counters per rule"),
    (MapType::LpmTrie, "longest-prefix trie", "4.11", "address blocks of policies and services"),
    (MapType::ProgramArray, "program array", "4.2", "rare paths by tail call"),
    (MapType::DevMap, "device map", "4.14", "redirect between links"),
    (MapType::RingBuf, "ring buffer", "5.8", "flow events"),
    (MapType::SkStorage, "socket storage", "5.2", "what a socket's service was"),
];

/// Creates a map of each type, and tries what is done with them.
pub(super) fn findings() -> Vec<Finding> {
    let types = TYPES.iter().map(|(map_type, name, since, purpose)| {
        Finding::new(Group::Map, name, since, purpose, of_type(is_map_supported(*map_type)))
    });
    let map = |name, since, purpose, tried: io::Result<()>| Finding::new(Group::Map, name, since, purpose, tried);
    types
        .chain([
            map("memory-mapped array", "5.5", "Maglev tables", mapped()),
            map("hash without preallocation", "4.6", "memory by use", unallocated()),
            map("batch look-up", "5.6", "agent's start with many services", batch()),
        ])
        .collect()
}

fn of_type(tried: Result<bool, SyscallError>) -> Support {
    match tried {
        Ok(supported) => Support::when(supported, "unknown map type"),
        Err(error) => Support::Unknown(error.to_string()),
    }
}

fn mapped() -> io::Result<()> {
    syscall::create_map(bpf_map_type::BPF_MAP_TYPE_ARRAY as u32, BPF_F_MMAPABLE).map(drop)
}

fn unallocated() -> io::Result<()> {
    syscall::create_map(bpf_map_type::BPF_MAP_TYPE_HASH as u32, BPF_F_NO_PREALLOC).map(drop)
}

fn batch() -> io::Result<()> {
    let map = syscall::create_map(bpf_map_type::BPF_MAP_TYPE_HASH as u32, 0)?;
    syscall::lookup_batch(&map).map(drop)
}
