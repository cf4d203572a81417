//! The XDP hook: every frame that arrives at a link, before the kernel's stack sees it.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use dataplane_common::classify;

use crate::frame::XdpFrame;
use crate::maps;
use crate::verdict::{Action, verdict};

/// Counts every frame by what it is, and passes it on.
///
/// # Minimum kernel version
///
/// 5.18, for frames of several buffers (`xdp.frags`), without which a link's MTU is limited to one page.
#[xdp(frags)]
fn sheave_xdp(context: XdpContext) -> u32 {
    let statistic = classify(&XdpFrame::new(&context));
    maps::count(statistic);
    verdict(statistic.outcome).code()
}

// === impl Action ===

impl Action {
    /// The number that the kernel expects from an XDP program.
    #[inline(always)]
    const fn code(self) -> u32 {
        match self {
            Self::Pass => xdp_action::XDP_PASS,
        }
    }
}
