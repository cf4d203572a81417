//! The plugin as a program for these tests.

fn main() -> std::process::ExitCode {
    sheave_cni::main()
}
