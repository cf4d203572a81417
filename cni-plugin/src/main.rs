//! `sheave-cni`, as a container runtime starts it: once for each verb, with `CNI_*` variables and a document on its
//! standard input.

fn main() -> std::process::ExitCode {
    sheave_cni::main()
}
