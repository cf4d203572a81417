//! Finds the compiler and the linker of the kernel programs, and builds them.
//!
//! `agent/build.rs` builds with it and `cargo xtask setup` looks with it, so that the two cannot disagree about what
//! a machine has. Kernel programs need a compiler that may build `core` from source (there is no prebuilt one for
//! `bpfel-unknown-none`), and bpf-linker. The search goes from the usual to the unusual:
//!
//! 1. a nightly toolchain of rustup's that has the component `rust-src`;
//! 2. a distribution's `/usr/bin/cargo` and `/usr/bin/rustc` with the library's sources beside them, which
//!    `RUSTC_BOOTSTRAP=1` allows to use unstable options. This is for machines where rustup cannot fetch components.
//!
//! Of several fit compilers the one with the oldest LLVM is taken, because a bpf-linker reads the bitcode of its own
//! LLVM and of older ones, never of a newer one; the order above decides among equals.

mod build;
mod machine;

use std::path::{Path, PathBuf};

pub use build::{Build, BuildError};
pub use machine::Machine;

/// A compiler and a linker that together can build the kernel programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The cargo of the same installation as `rustc`.
    pub cargo: PathBuf,
    /// The compiler, with the sources of `core` in its sysroot.
    pub rustc: PathBuf,
    /// bpf-linker.
    pub linker: PathBuf,
    /// Where the compiler comes from.
    pub origin: Origin,
}

/// Where a compiler comes from, which decides how it is allowed to use unstable options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A nightly toolchain, which needs no permission.
    Nightly,
    /// A stable compiler of the distribution, which needs `RUSTC_BOOTSTRAP=1`.
    Distribution,
}

/// No toolchain was found; says what was looked at and what each lacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no toolchain for the kernel programs: {}; `cargo xtask setup` installs what is missing", .lacks.join("; "))]
pub struct NotFound {
    /// One sentence per thing that is missing or unfit.
    pub lacks: Vec<String>,
}

// === impl Toolchain ===

impl Toolchain {
    /// Looks for a toolchain on this machine.
    ///
    /// # Errors
    ///
    /// [`NotFound`] names everything that was looked at and what it lacks.
    pub fn find(machine: &Machine) -> Result<Self, NotFound> {
        let mut lacks = Vec::new();
        let compiler = machine
            .nightly_sysroots()
            .into_iter()
            .map(|sysroot| (sysroot, Origin::Nightly))
            .chain([(machine.distribution.clone(), Origin::Distribution)])
            .filter_map(|(sysroot, origin)| match machine.inspect(&sysroot) {
                Ok(compiler) => Some((compiler.llvm, sysroot, origin)),
                Err(lack) => {
                    lacks.push(lack);
                    None
                }
            })
            .min_by_key(|(llvm, _, _)| *llvm);
        let linker = machine.linker();
        if linker.is_none() {
            lacks.push("bpf-linker is neither in PATH nor in cargo's folder of programs".to_owned());
        }
        match (compiler, linker) {
            (Some((_, sysroot, origin)), Some(linker)) => Ok(Self::of(&sysroot, linker, origin)),
            _ => Err(NotFound { lacks }),
        }
    }

    fn of(sysroot: &Path, linker: PathBuf, origin: Origin) -> Self {
        Self { cargo: sysroot.join("bin/cargo"), rustc: sysroot.join("bin/rustc"), linker, origin }
    }
}

impl std::fmt::Display for Toolchain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = match self.origin {
            Origin::Nightly => "nightly",
            Origin::Distribution => "distribution's compiler",
        };
        write!(f, "{origin} {}, {}", self.rustc.display(), self.linker.display())
    }
}

#[cfg(test)]
mod tests;
