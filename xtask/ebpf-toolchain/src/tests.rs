//! Search and build against machines made of a few files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// A machine without anything, in a folder of its own.
fn bare_machine() -> (TempDir, Machine) {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine {
        rustup_home: folder.path().join("rustup"),
        program_folders: vec![folder.path().join("programs")],
        distribution: folder.path().join("usr"),
    };
    (folder, machine)
}

fn put_program(path: &Path, output: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\necho '{output}'\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn put_compiler(sysroot: &Path, version: &str) {
    put_program(&sysroot.join("bin/cargo"), "");
    put_program(&sysroot.join("bin/rustc"), version);
}

fn put_sources(sysroot: &Path) {
    let core = sysroot.join("lib/rustlib/src/rust/library/core/src");
    fs::create_dir_all(&core).unwrap();
    fs::write(core.join("lib.rs"), "").unwrap();
}

fn put_linker(machine: &Machine) {
    put_program(&machine.program_folders[0].join("bpf-linker"), "");
}

#[test]
fn a_bare_machine_is_told_everything_that_it_lacks_and_how_to_get_it() {
    let (_folder, machine) = bare_machine();
    let message = Toolchain::find(&machine).unwrap_err().to_string();
    for part in ["usr/bin/cargo does not exist", "bpf-linker is neither", "cargo xtask setup"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_undated_nightly_with_sources_comes_before_a_dated_one_and_the_distribution() {
    let (_folder, machine) = bare_machine();
    put_linker(&machine);
    for name in ["nightly-2026-01-31-x86_64-unknown-linux-gnu", "nightly-x86_64-unknown-linux-gnu"] {
        let sysroot = machine.rustup_home.join("toolchains").join(name);
        put_compiler(&sysroot, "rustc 1.97.0-nightly (abc 2026-01-30)");
        put_sources(&sysroot);
    }
    put_compiler(&machine.distribution, "rustc 1.96.0");
    put_sources(&machine.distribution);
    let toolchain = Toolchain::find(&machine).unwrap();
    assert_eq!(toolchain.origin, Origin::Nightly);
    let expected = machine.rustup_home.join("toolchains/nightly-x86_64-unknown-linux-gnu/bin/rustc");
    assert_eq!(toolchain.rustc, expected);
}

#[test]
fn the_compiler_with_the_older_llvm_is_taken_because_the_linker_may_not_read_newer_bitcode() {
    for (nightly, distribution, expected) in
        [("23.1.4", "22.1.8", Origin::Distribution), ("22.1.8", "22.1.8", Origin::Nightly)]
    {
        let (_folder, machine) = bare_machine();
        put_linker(&machine);
        let sysroot = machine.rustup_home.join("toolchains/nightly");
        put_compiler(&sysroot, &format!("rustc 1.101.0-nightly\nLLVM version: {nightly}"));
        put_sources(&sysroot);
        put_compiler(&machine.distribution, &format!("rustc 1.96.0\nLLVM version: {distribution}"));
        put_sources(&machine.distribution);
        assert_eq!(Toolchain::find(&machine).unwrap().origin, expected, "{nightly} and {distribution}");
    }
}

#[test]
fn a_nightly_without_sources_gives_way_to_the_distribution() {
    let (_folder, machine) = bare_machine();
    put_linker(&machine);
    put_compiler(&machine.rustup_home.join("toolchains/nightly"), "rustc 1.97.0-nightly");
    put_compiler(&machine.distribution, "rustc 1.96.0 (ac68faa20 2026-05-25)");
    put_sources(&machine.distribution);
    assert_eq!(Toolchain::find(&machine).unwrap().origin, Origin::Distribution);
}

#[test]
fn a_distribution_whose_compiler_is_too_old_is_refused_by_version() {
    let (_folder, machine) = bare_machine();
    put_linker(&machine);
    put_compiler(&machine.distribution, "rustc 1.63.0");
    put_sources(&machine.distribution);
    let message = Toolchain::find(&machine).unwrap_err().to_string();
    assert!(message.contains("rustc 1.63.0"), "{message}");
}

#[test]
fn the_inner_build_sees_the_machine_but_nothing_of_the_outer_build() {
    for (name, outer) in [
        ("CARGO_ENCODED_RUSTFLAGS", true),
        ("CARGO_BUILD_TARGET", true),
        ("CARGO_TARGET_DIR", true),
        ("CARGO_PROFILE_RELEASE_STRIP", true),
        ("RUSTFLAGS", true),
        ("RUSTC_WORKSPACE_WRAPPER", true),
        ("RUSTUP_TOOLCHAIN", true),
        ("LD_LIBRARY_PATH", true),
        ("CARGO_HOME", false),
        ("CARGO_MAKEFLAGS", false),
        ("CARGO_NET_OFFLINE", false),
        ("CARGO_REGISTRIES_MIRROR_INDEX", false),
        ("RUSTUP_HOME", false),
        ("HTTPS_PROXY", false),
        ("PATH", false),
    ] {
        assert_eq!(build::belongs_to_outer_build(OsStr::new(name)), outer, "{name}");
    }
}

#[test]
fn only_a_stable_compiler_is_given_permission_for_unstable_options() {
    let toolchain =
        |origin| Toolchain { cargo: "cargo".into(), rustc: "rustc".into(), linker: "/x/bpf-linker".into(), origin };
    let build = Build { workspace: Path::new("/"), package: "p", target_dir: Path::new("/t"), architecture: "x86_64" };
    for (origin, permitted) in [(Origin::Nightly, false), (Origin::Distribution, true)] {
        let command = build.command(&toolchain(origin));
        let set = command.get_envs().any(|(name, value)| name == "RUSTC_BOOTSTRAP" && value.is_some());
        assert_eq!(set, permitted, "{origin:?}");
    }
}
