//! Sheave's kernel programs: one module per hook, and what they share.
//!
//! Everything that can be decided without the kernel lives in `dataplane-common`, where the host tests it; what stays
//! here is the way to the packet's bytes ([`frame`]), the maps ([`maps`]), the mapping from what was found to what is
//! done ([`verdict`]), and the entries of the hooks.
//!
//! On the host this crate is an empty program whose tests hold what does not need the kernel's helpers, so that
//! `cargo clippy` and `cargo test` cover it.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod collect;
#[cfg(target_arch = "bpf")]
mod family;
#[cfg(target_arch = "bpf")]
mod forward;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod masquerade;
#[cfg(target_arch = "bpf")]
mod packet;
#[cfg(target_arch = "bpf")]
mod pod;
#[cfg(target_arch = "bpf")]
mod rewrite;
#[cfg(target_arch = "bpf")]
mod skb;
#[cfg(target_arch = "bpf")]
mod tcx;
#[cfg(target_arch = "bpf")]
mod uplink;
#[cfg(any(target_arch = "bpf", test))]
mod verdict;
#[cfg(target_arch = "bpf")]
mod xdp;

/// Programs that use GPL-only helpers must declare a licence that is compatible with it.
#[cfg(target_arch = "bpf")]
#[expect(unsafe_code, reason = "the loader finds the licence by its section")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Unreachable: the verifier admits no program in which a panic could happen.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
