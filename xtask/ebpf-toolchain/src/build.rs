//! The build of the kernel crate: which options, which environment, where the object lands.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Origin, Toolchain};

/// The only target: 64-bit BPF, little-endian like every machine that Sheave supports.
const TARGET: &str = "bpfel-unknown-none";
/// The profile of the root `Cargo.toml` that is optimized whatever the profile of the outer build.
const PROFILE: &str = "ebpf";

/// A build of one kernel crate of the workspace.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// The root of the workspace.
    pub workspace: &'a Path,
    /// The kernel crate; its program has the same name.
    pub package: &'a str,
    /// A target folder of its own: cargo locks the one of the outer build.
    pub target_dir: &'a Path,
    /// The machine's architecture, such as `x86_64`, which decides the layout of `pt_regs`.
    pub architecture: &'a str,
}

/// The kernel crate could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo did not start.
    #[error("cannot start {}", .cargo.display())]
    Start {
        /// The cargo that was tried.
        cargo: PathBuf,
        /// Why it did not start.
        #[source]
        source: io::Error,
    },
    /// Cargo ran and failed; its messages say why.
    #[error(
        "{package} does not build with the {toolchain}:\n{messages}\nIf the toolchain itself is at fault, `cargo xtask setup` repairs it."
    )]
    Failed {
        /// The kernel crate.
        package: String,
        /// The toolchain in words.
        toolchain: String,
        /// The compiler's messages.
        messages: String,
    },
}

// === impl Build ===

impl Build<'_> {
    /// Builds the crate; returns its object file and the compiler's warnings.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when cargo does not start or the crate does not compile.
    pub fn run(&self, toolchain: &Toolchain) -> Result<(PathBuf, String), BuildError> {
        let mut cargo = self.command(toolchain);
        let start_failed = |source| BuildError::Start { cargo: toolchain.cargo.clone(), source };
        let output = cargo.output().map_err(start_failed)?;
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok((self.target_dir.join(TARGET).join(PROFILE).join(self.package), messages));
        }
        Err(BuildError::Failed { package: self.package.to_owned(), toolchain: toolchain.to_string(), messages })
    }

    /// The command line, with an environment that has nothing of the outer build.
    pub(crate) fn command(&self, toolchain: &Toolchain) -> Command {
        let mut cargo = Command::new(&toolchain.cargo);
        for (name, _) in std::env::vars_os().filter(|(name, _)| belongs_to_outer_build(name)) {
            cargo.env_remove(name);
        }
        cargo.current_dir(self.workspace).env("RUSTC", &toolchain.rustc);
        // Replaces `build.rustflags` of the workspace's configuration as well: those are for static host programs.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(toolchain).join(OsStr::new("\x1f")));
        if toolchain.origin == Origin::Distribution {
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        cargo.args(["build", "--quiet", "--locked", "--package", self.package, "--bins", "--profile", PROFILE]);
        cargo.args(["--target", TARGET, "-Zbuild-std=core", "--target-dir"]).arg(self.target_dir);
        cargo
    }

    fn rustflags(&self, toolchain: &Toolchain) -> Vec<std::ffi::OsString> {
        let mut linker = std::ffi::OsString::from("-Clinker=");
        linker.push(&toolchain.linker);
        vec![
            format!("--cfg=bpf_target_arch=\"{}\"", self.architecture).into(),
            // BTF, the kernel's type information, is made from debug information.
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
            linker,
        ]
    }
}

/// Whether a variable steers the build that we are part of and would mislead an inner one.
///
/// Cargo and rustup put their whole state into a build script's environment: flags, profiles, the compiler, its
/// library path. What describes the machine stays: where cargo keeps its files, how it reaches registries, and the
/// job server, through which both builds together keep to the machine's cores.
pub(crate) fn belongs_to_outer_build(name: &OsStr) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "RUSTUP_HOME"];
    const STEERING: [&str; 5] = ["CARGO", "RUST", "DEP_", "CLIPPY_", "LD_LIBRARY_PATH"];
    let name = name.to_string_lossy();
    let begins_with_any = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    begins_with_any(&STEERING) && !begins_with_any(&KEPT)
}
