//! The per-node agent: loads the kernel programs and keeps their maps true.

fn main() {}
