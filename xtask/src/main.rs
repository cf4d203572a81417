//! The project's commands: setup, build, test, tidy, up, down, bench.

fn main() {}
