//! Hooks on network interfaces, tried on a veth link.

use std::io;

use aya::programs::tc;
use aya_obj::generated::bpf_attach_type::{self, BPF_TCX_EGRESS, BPF_TCX_INGRESS, BPF_XDP};
use aya_obj::generated::bpf_prog_type::{BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP};

use super::report::{Finding, Group};
use super::sandbox::Link;
use crate::syscall;

/// `BPF_F_XDP_HAS_FRAGS`: the program copes with frames of several buffers.
const XDP_HAS_FRAGS: u32 = 1 << 5;
/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE` of `linux/if_link.h`.
const GENERIC: u32 = 1 << 1;
const DRIVER: u32 = 1 << 2;
/// What the programs return: to the stack, or to the next program.
const XDP_PASS: u8 = 2;
const PASS: u8 = 0;

/// Tries each hook; every attached program goes before the next one comes.
pub(super) fn findings(link: Link) -> Vec<Finding> {
    let hook = |name, since, purpose, tried: io::Result<()>| Finding::new(Group::Hook, name, since, purpose, tried);
    vec![
        hook("XDP, driver mode (veth)", "4.19", "packets from outside, fast", xdp(link, DRIVER, 0)),
        hook("XDP, generic mode", "4.12", "packets from outside, any driver", xdp(link, GENERIC, 0)),
        hook("XDP, frames of several buffers", "5.18", "links with a large MTU", xdp(link, DRIVER, XDP_HAS_FRAGS)),
        hook("TCX ingress", "6.6", "what pods send", tcx(link, BPF_TCX_INGRESS)),
        hook("TCX egress", "6.6", "what leaves a node", tcx(link, BPF_TCX_EGRESS)),
        hook("clsact", "4.5", "instead of TCX below 6.6", clsact(link)),
        hook("link update", "5.7", "upgrades without a lost packet", update(link)),
    ]
}

fn xdp(link: Link, mode: u32, flags: u32) -> io::Result<()> {
    let program = syscall::load(BPF_PROG_TYPE_XDP, Some(BPF_XDP), XDP_PASS, flags)?;
    syscall::link(&program, link.index, BPF_XDP, mode).map(drop)
}

fn tcx(link: Link, attach_type: bpf_attach_type) -> io::Result<()> {
    let program = syscall::load(BPF_PROG_TYPE_SCHED_CLS, None, PASS, 0)?;
    syscall::link(&program, link.index, attach_type, 0).map(drop)
}

fn clsact(link: Link) -> io::Result<()> {
    tc::qdisc_add_clsact(link.name).map_err(io::Error::other)
}

fn update(link: Link) -> io::Result<()> {
    let load = || syscall::load(BPF_PROG_TYPE_XDP, Some(BPF_XDP), XDP_PASS, 0);
    let attached = syscall::link(&load()?, link.index, BPF_XDP, GENERIC)?;
    syscall::update(&attached, &load()?)
}
