//! The one binary: server and node.

fn main() {}
