//! Compiles PID 1 of the nodes on its own, static and small, for the library to carry.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/node/init/main.rs";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let output = PathBuf::from(variable("OUT_DIR")).join("node-init");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-name=node_init", "--crate-type=bin", SOURCE]);
    rustc.arg("--target").arg(variable("TARGET"));
    // Static: a node's mounts may hide the machine's libraries.
    for option in ["target-feature=+crt-static", "opt-level=s", "panic=abort", "strip=symbols"] {
        rustc.args(["-C", option]);
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    rustc.arg("-o").arg(&output);
    let status = rustc.status().expect("rustc cannot be started");
    assert!(status.success(), "rustc could not compile {SOURCE}: {status}");
    println!("cargo::rustc-env=NODE_INIT={}", output.display());
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets this variable for build scripts")
}
