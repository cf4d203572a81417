//! A packet at a traffic control hook: reading, and the few ways to change it.
#![expect(unsafe_code, reason = "the verifier, not the compiler, proves that a packet's bytes may be used")]

use aya_ebpf::bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::{bpf_csum_diff, bpf_l4_csum_replace, bpf_skb_pull_data, bpf_skb_store_bytes};
use aya_ebpf::programs::TcContext;
use dataplane_common::{DropReason, PacketBytes, Wire};

/// A packet at a traffic control hook.
///
/// What changes it takes `&mut self`, because some changes move it: no reference into it survives them.
pub(crate) struct Skb {
    context: *mut __sk_buff,
}

/// How a checksum is updated.
#[derive(Clone, Copy)]
pub(crate) enum Sum {
    /// The change is in what the checksum covers.
    Covered,
    /// The change is in the pseudo header: an address.
    Pseudo,
}

/// `BPF_F_IPV6`: the address that changed is covered by no other checksum (kernel 6.16, and stable ones of its time).
/// Without it a card's own sum over an IPv6 packet comes out wrong (kernel commit ead7f9b8de65).
const BPF_F_IPV6: u64 = 1 << 7;

/// No header begins further behind. An offset that was kept in a map has lost the bounds that the verifier knew of it
/// ("math between pkt pointer and register with unbounded min value is not allowed"): each access sets them again.
const FURTHEST: usize = 0x3fff;

/// Headers are within the first bytes: Ethernet, IPv6 with a few extensions, TCP.
const HEADERS: u32 = 192;

// === impl Skb ===

impl Skb {
    #[inline(always)]
    pub(crate) const fn new(context: &TcContext) -> Self {
        Self { context: context.skb.skb }
    }

    /// The same packet in a function of its own, which [`as_raw`](Self::as_raw) was handed to.
    #[inline(always)]
    pub(crate) const fn from_raw(context: *mut __sk_buff) -> Self {
        Self { context }
    }

    #[inline(always)]
    pub(crate) const fn as_raw(&self) -> *mut __sk_buff {
        self.context
    }

    /// The frame's length in bytes, all buffers included.
    #[inline(always)]
    pub(crate) fn length(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.context).len }
    }

    /// The index of the interface at which the packet is.
    #[inline(always)]
    pub(crate) fn interface(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.context).ifindex }
    }

    /// Whether a VLAN tag was taken off the frame.
    #[inline(always)]
    pub(crate) fn has_vlan_tag(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.context).vlan_present != 0 }
    }

    /// Whether the frame was sent to the interface's own hardware address (`PACKET_HOST` is 0).
    #[inline(always)]
    pub(crate) fn is_for_us(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.context).pkt_type == 0 }
    }

    /// The payload of each packet that this one will be taken apart into; 0 if it will not be.
    #[inline(always)]
    pub(crate) fn segment_size(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.context).gso_size }
    }

    /// Makes the headers directly readable where a sender or a card has put them into another buffer.
    #[inline(always)]
    pub(crate) fn pull_headers(&mut self) {
        let wanted = if self.length() < HEADERS { self.length() } else { HEADERS };
        if self.start() + wanted as usize > self.end() {
            // SAFETY: the helper checks the length; on failure the parser finds the packet too short.
            unsafe {
                bpf_skb_pull_data(self.context, wanted);
            }
        }
    }

    /// Makes all of it directly readable.
    #[inline(always)]
    pub(crate) fn pull_all(&mut self) {
        // SAFETY: the helper checks the length; on failure the packet ends sooner.
        unsafe {
            bpf_skb_pull_data(self.context, self.length());
        }
    }

    #[inline(always)]
    fn start(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.context).data as usize }
    }

    /// The address behind the last directly readable byte; volatile for the reason that `frame` gives.
    #[inline(always)]
    fn end(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        let end = unsafe { &raw const (*self.context).data_end };
        // SAFETY: as above.
        let end = unsafe { end.read_volatile() };
        end as usize
    }

    /// Overwrites bytes; checksums stay as they are.
    #[inline(always)]
    pub(crate) fn write<T: Wire>(&mut self, offset: usize, value: T) -> Result<(), DropReason> {
        if offset > FURTHEST {
            return Err(DropReason::Rewrite);
        }
        let start = self.start() + offset;
        if start + size_of::<T>() > self.end() {
            return Err(DropReason::Rewrite);
        }
        // SAFETY: the range was compared with the packet's end just above, and `T` may lie at any address.
        unsafe {
            (start as *mut T).write_unaligned(value);
        }
        Ok(())
    }

    /// Overwrites bytes that only the network card's own sum covers, and adjusts that.
    #[inline(always)]
    pub(crate) fn write_summed<T: Wire>(&mut self, offset: usize, value: &T) -> Result<(), DropReason> {
        let (from, length) = ((&raw const *value).cast(), size_of::<T>() as u32);
        // SAFETY: the helper checks the range; the value is as long as said.
        let refused =
            unsafe { bpf_skb_store_bytes(self.context, offset as u32, from, length, u64::from(BPF_F_RECOMPUTE_CSUM)) };
        if refused == 0 { Ok(()) } else { Err(DropReason::Rewrite) }
    }

    /// Updates the L4 checksum at `offset` by a difference that [`difference`] made. Only the kernel knows how: a pod's
    /// packet has an unfinished checksum. `or_none`: a checksum of 0 says that there is none (UDP).
    #[inline(always)]
    pub(crate) fn update_checksum(
        &mut self,
        offset: usize,
        difference: u32,
        sum: Sum,
        or_none: bool,
        is_ipv6: bool,
    ) -> Result<(), DropReason> {
        let flags = match sum {
            Sum::Covered => 0,
            Sum::Pseudo => u64::from(BPF_F_PSEUDO_HDR),
        };
        let flags = if or_none { flags | u64::from(BPF_F_MARK_MANGLED_0) } else { flags };
        let newer = if is_ipv6 && matches!(sum, Sum::Pseudo) { BPF_F_IPV6 } else { 0 };
        let replace = |flags| {
            // SAFETY: the helper checks the offset.
            unsafe { bpf_l4_csum_replace(self.context, offset as u32, 0, u64::from(difference), flags) }
        };
        let refused = replace(flags | newer);
        // An older kernel refuses the flag and has changed nothing.
        if refused == 0 || (newer != 0 && replace(flags) == 0) { Ok(()) } else { Err(DropReason::Rewrite) }
    }

    /// Updates the L4 checksum at `offset` for a port.
    #[inline(always)]
    pub(crate) fn update_checksum_of_port(
        &mut self,
        offset: usize,
        old: [u8; 2],
        new: [u8; 2],
        or_none: bool,
    ) -> Result<(), DropReason> {
        let flags = if or_none { u64::from(BPF_F_MARK_MANGLED_0) } else { 0 };
        let (old, new) = (u64::from(u16::from_ne_bytes(old)), u64::from(u16::from_ne_bytes(new)));
        // SAFETY: the helper checks the offset.
        let refused = unsafe { bpf_l4_csum_replace(self.context, offset as u32, old, new, flags | 2) };
        if refused == 0 { Ok(()) } else { Err(DropReason::Rewrite) }
    }
}

impl PacketBytes for Skb {
    #[inline(always)]
    fn read<T: Wire>(&self, offset: usize) -> Option<&T> {
        if offset > FURTHEST {
            return None;
        }
        let start = self.start() + offset;
        if start + size_of::<T>() > self.end() {
            return None;
        }
        // SAFETY: the range was compared with the packet's end just above, any bytes are a value of `T`, and `T` may
        // lie at any address. What moves the packet takes `&mut self`.
        Some(unsafe { &*(start as *const T) })
    }

    #[inline(always)]
    fn has(&self, length: usize) -> bool {
        length <= self.length() as usize
    }
}

/// The difference that the replacement of `old` by `new` makes in a checksum, added to that of other replacements.
#[inline(always)]
pub(crate) fn difference<const N: usize>(old: &[u8; N], new: &[u8; N], before: u32) -> u32 {
    const { assert!(N.is_multiple_of(4), "the helper sees words of 32 bits") };
    let (old, new) = (old.as_ptr().cast_mut().cast(), new.as_ptr().cast_mut().cast());
    // SAFETY: both ranges are as long as said, and the helper only reads them.
    (unsafe { bpf_csum_diff(old, N as u32, new, N as u32, before) }) as u32
}
