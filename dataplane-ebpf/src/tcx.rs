//! The traffic control hooks: what pods send, and what arrives at the uplink.

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use dataplane_common::{Hook, Path};

use crate::maps;

/// Everything that a pod sends, on the ingress side of its host-side interface.
#[classifier]
fn sheave_from_pod(context: TcContext) -> i32 {
    maps::count_path(Hook::Pod, Path::Stack, context.len());
    TC_ACT_UNSPEC
}

/// Everything that arrives from the network, on the ingress side of the uplink.
#[classifier]
fn sheave_from_uplink(context: TcContext) -> i32 {
    maps::count_path(Hook::Uplink, Path::Stack, context.len());
    TC_ACT_UNSPEC
}
