//! The way to a packet's bytes: the only pointer arithmetic in the kernel programs.
#![expect(unsafe_code, reason = "the verifier, not the compiler, proves that a packet's bytes may be read")]

use aya_ebpf::helpers::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use dataplane_common::{PacketBytes, Wire};

/// A frame at the XDP hook.
///
/// A large frame on a driver with multi-buffer support (kernel 5.18) has only its beginning between `data` and
/// `data_end`; headers always are there.
pub(crate) struct XdpFrame<'a> {
    context: &'a XdpContext,
}

// === impl XdpFrame ===

impl<'a> XdpFrame<'a> {
    #[inline(always)]
    pub(crate) const fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }

    /// The address behind the last directly readable byte.
    ///
    /// Volatile, so that the compiler cannot conclude one bounds check from another and leave it out: the verifier
    /// follows no such conclusion. The pattern that it refused is `has(end)`, then `read(offset)` with an offset that
    /// was compared with `end` and not with the frame ("invalid access to packet").
    #[inline(always)]
    fn end(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        let end = unsafe { &raw const (*self.context.ctx).data_end };
        // SAFETY: as above.
        let end = unsafe { end.read_volatile() };
        end as usize
    }
}

impl PacketBytes for XdpFrame<'_> {
    #[inline(always)]
    fn read<T: Wire>(&self, offset: usize) -> Option<&T> {
        let start = self.context.data() + offset;
        if start + size_of::<T>() > self.end() {
            return None;
        }
        // SAFETY: the range was compared with the frame's end just above, any bytes are a value of `T`, and `T` may
        // lie at any address. The frame lives as long as the context.
        Some(unsafe { &*(start as *const T) })
    }

    #[inline(always)]
    fn has(&self, length: usize) -> bool {
        if self.context.data() + length <= self.end() {
            return true;
        }
        // SAFETY: the helper only reads the context, which is valid while the program runs.
        let whole = unsafe { bpf_xdp_get_buff_len(self.context.ctx) };
        length as u64 <= whole
    }
}
