//! Where on a machine compilers and linkers may be.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest minor version of Rust 1 that builds the workspace: `rust-version` of the root `Cargo.toml`.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The folders in which a toolchain is looked for; tests name their own.
#[derive(Clone, Debug)]
pub struct Machine {
    /// rustup's folder, which has one sysroot per toolchain below `toolchains`.
    pub rustup_home: PathBuf,
    /// Folders of programs, in the order in which they are searched.
    pub program_folders: Vec<PathBuf>,
    /// The sysroot of the distribution's own compiler.
    pub distribution: PathBuf,
}

/// What a fit compiler says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// The major version of the LLVM whose bitcode it writes; 0 where it does not say.
    pub(crate) llvm: u32,
}

// === impl Machine ===

impl Machine {
    /// This machine, as the environment describes it: `RUSTUP_HOME`, `CARGO_HOME`, `HOME` and `PATH`.
    #[must_use]
    pub fn from_environment() -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let folder_of = |variable: &str, default: &str| {
            std::env::var_os(variable)
                .filter(|value| !value.is_empty())
                .map_or_else(|| home.join(default), PathBuf::from)
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let cargo_programs = folder_of("CARGO_HOME", ".cargo").join("bin");
        Self {
            rustup_home: folder_of("RUSTUP_HOME", ".rustup"),
            program_folders: std::env::split_paths(&path).chain([cargo_programs]).collect(),
            distribution: PathBuf::from("/usr"),
        }
    }

    /// The sysroots of rustup's nightly toolchains: the undated one first, then the dated ones from the newest.
    pub(crate) fn nightly_sysroots(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.rustup_home.join("toolchains")).into_iter().flatten().flatten();
        let mut nightlies: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nightly")))
            .collect();
        nightlies.sort_by_key(|path| std::cmp::Reverse((!is_dated(path), path.clone())));
        nightlies
    }

    /// bpf-linker, wherever the programs are.
    pub(crate) fn linker(&self) -> Option<PathBuf> {
        self.program_folders.iter().map(|folder| folder.join("bpf-linker")).find(|program| program.is_file())
    }

    /// The compiler of this sysroot, or what it lacks for building kernel programs.
    pub(crate) fn inspect(&self, sysroot: &Path) -> Result<Compiler, String> {
        for program in ["bin/cargo", "bin/rustc"] {
            if !sysroot.join(program).is_file() {
                return Err(format!("{} does not exist", sysroot.join(program).display()));
            }
        }
        let sources = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs");
        if !sources.is_file() {
            return Err(format!("the compiler in {} has no library sources (rust-src)", sysroot.display()));
        }
        let rustc = sysroot.join("bin/rustc");
        let output = Command::new(&rustc).args(["--version", "--verbose"]).env_remove("LD_LIBRARY_PATH").output();
        let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let version = output.lines().next().unwrap_or_default();
        if is_recent(version) {
            Ok(Compiler { llvm: llvm_of(&output) })
        } else {
            Err(format!("{} is older than {OLDEST}: {version}", rustc.display()))
        }
    }
}

/// 22 of `LLVM version: 22.1.8`.
fn llvm_of(output: &str) -> u32 {
    let version = output.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    version.and_then(|version| version.split('.').next()?.trim().parse().ok()).unwrap_or_default()
}

/// Whether a toolchain's folder is called `nightly-2026-01-31-...` rather than `nightly-...`.
fn is_dated(sysroot: &Path) -> bool {
    let name = sysroot.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.strip_prefix("nightly-").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether `rustc 1.96.0 (...)` is at least [`OLDEST`].
fn is_recent(version: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split(['.', '-']).map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    let found = version.split_whitespace().nth(1).and_then(numbers);
    found.is_some_and(|found| Some(found) >= numbers(OLDEST))
}
