//! Which kubectl binaries this machine has.

use std::path::{Path, PathBuf};

/// One kubectl binary.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// Major and minor version, such as `(1, 32)`.
    pub version: (u32, u32),
    /// The program itself, never a dispatcher that picks another.
    pub binary: PathBuf,
}

impl Kubectl {
    /// Every version on this machine, oldest first.
    ///
    /// The kubectl on the PATH may be a dispatcher that runs the sibling which matches the server; the siblings are
    /// taken instead where there are any. Debian's old one lies below the target folder, put there by
    /// `cargo xtask setup`.
    ///
    /// # Panics
    /// When there is none at all, with the command that gets one.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut found = on_path().map(|kubectl| siblings(&kubectl)).unwrap_or_default();
        if found.is_empty() {
            found.extend(on_path());
        }
        found.extend(unpacked());
        let mut all = found.into_iter().filter_map(Self::from_binary).collect::<Vec<_>>();
        all.sort_by_key(|kubectl| kubectl.version);
        all.dedup_by_key(|kubectl| kubectl.version);
        assert!(!all.is_empty(), "no kubectl on this machine: run `cargo xtask setup`");
        all
    }

    /// The newest version on this machine.
    ///
    /// # Panics
    /// When there is none at all, with the command that gets one.
    #[must_use]
    pub fn newest() -> Self {
        Self::all().pop().expect("`all` is never empty")
    }

    /// Asks the binary for its version; what cannot be run is not there.
    fn from_binary(binary: PathBuf) -> Option<Self> {
        let output = std::process::Command::new(&binary).args(["version", "--client", "-o", "json"]).output().ok()?;
        let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let number = |field: &str| version["clientVersion"][field].as_str()?.trim_end_matches('+').parse().ok();
        Some(Self { version: (number("major")?, number("minor")?), binary })
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let file = std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|file| file.is_file())?;
    file.canonicalize().ok()
}

/// `kubectl.1.27`, `kubectl.1.28` ... beside `kubectl`.
fn siblings(kubectl: &Path) -> Vec<PathBuf> {
    let entries = kubectl.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let files = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kubectl."))).collect()
}

/// Debian's kubectl below the target folder, which is the one that holds this test program.
fn unpacked() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let files = program.ancestors().map(|folder| folder.join("kubectl-1.20/usr/bin/kubectl"));
    files.into_iter().find(|file| file.is_file())
}
