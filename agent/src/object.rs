//! The kernel programs' object file, embedded at build time.

/// The ELF object that `build.rs` makes of the kernel crate.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/dataplane.o"));
