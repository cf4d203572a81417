//! Debian's packages with their dependencies as a layer, without installing them.
//!
//! apt itself says which packages a system with nothing on it would need, downloads them and checks their signatures.
//! From these go in what the wanted packages reach through their dependencies; what only maintainer scripts use can be
//! cut off. Scripts do not run: an image's row adds what they would have made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tree::{Tree, TreeError};

/// Paths that nobody needs in a container.
const UNWANTED: [&str; 7] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "lib/systemd",
    "etc/init.d",
];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) packages: &'static [&'static str],
    /// Dependencies that stay out, with what only they depend on.
    pub(crate) without: &'static [&'static str],
}

/// Why there is no layer.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// A program of Debian's is missing or failed.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// The command line.
        command: String,
        /// Its last words.
        reason: String,
    },
    /// A folder or file.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A package's content.
    #[error("package {package}: {source}")]
    Content {
        /// The package's file.
        package: String,
        /// What is wrong with it.
        #[source]
        source: TreeError,
    },
    /// A wanted package is not there.
    #[error("no package {package} was downloaded: is it in this machine's package sources?")]
    Missing {
        /// The package.
        package: String,
    },
}

/// One downloaded package.
#[derive(Debug)]
struct Package {
    file: PathBuf,
    /// Each entry is one dependency with its alternatives.
    dependencies: Vec<Vec<String>>,
    provides: Vec<String>,
}

/// Downloads what is asked for into `cache` and puts it together.
pub(crate) fn layer(request: Request, cache: &Path) -> Result<Tree, DebianError> {
    let folder = cache.join(request.packages.join("+"));
    download(request.packages, &folder)?;
    let available = read_packages(&folder)?;
    let mut tree = Tree::default();
    for name in reached(request, &available)? {
        let Some(package) = available.get(&name) else { continue };
        let archive = output(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&package.file))?;
        let added = tree.add_archive(archive.as_slice(), is_wanted);
        added.map_err(|source| DebianError::Content { package: name, source })?;
    }
    Ok(tree)
}

fn is_wanted(path: &str) -> bool {
    UNWANTED.iter().all(|folder| !Path::new(path).starts_with(folder))
}

/// Has apt download the packages and all that they need on a system that has nothing.
fn download(packages: &[&str], folder: &Path) -> Result<(), DebianError> {
    let failed = |path: &Path, source| DebianError::File { path: path.to_owned(), source };
    // apt wants the inner one to be there.
    let partial = folder.join("partial");
    fs::create_dir_all(&partial).map_err(|source| failed(&partial, source))?;
    let nothing = folder.join("nothing-installed");
    fs::write(&nothing, "").map_err(|source| failed(&nothing, source))?;
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.arg("-o").arg(format!("Dir::State::status={}", nothing.display()));
        apt.arg("-o").arg(format!("Dir::Cache::archives={}", folder.display()));
        // Without this, apt as root downloads as another user, who may not write here.
        apt.args(["-o", "APT::Sandbox::User=root"]);
        apt.args(["install", "--download-only", "--no-install-recommends", "-q", "-y"]).args(packages);
        apt
    };
    if output(&mut install()).is_ok() {
        return Ok(());
    }
    // A machine that never asked for the lists, or whose lists name versions that are gone.
    output(Command::new("apt-get").args(["update", "-q"]))?;
    output(&mut install()).map(drop)
}

/// The packages in a folder, by name; of several versions the one that comes last.
fn read_packages(folder: &Path) -> Result<BTreeMap<String, Package>, DebianError> {
    let entries = fs::read_dir(folder).map_err(|source| DebianError::File { path: folder.to_owned(), source })?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "deb"));
    files.sort();
    let mut packages = BTreeMap::new();
    for file in files {
        let fields = ["Package", "Depends", "Pre-Depends", "Provides"];
        let control = output(Command::new("dpkg-deb").arg("-f").arg(&file).args(fields))?;
        let control = String::from_utf8_lossy(&control).into_owned();
        let field = |name: &str| control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let Some(name) = field("Package") else { continue };
        let mut dependencies = relations(field("Depends").unwrap_or_default());
        dependencies.extend(relations(field("Pre-Depends").unwrap_or_default()));
        let provides = relations(field("Provides").unwrap_or_default()).concat();
        packages.insert(name.to_owned(), Package { file, dependencies, provides });
    }
    Ok(packages)
}

/// Reads `a (>= 1), b | c:any`: names without versions and architectures.
fn relations(field: &str) -> Vec<Vec<String>> {
    let name = |relation: &str| relation.trim().split([' ', ':', '(']).next().unwrap_or_default().to_owned();
    let groups = field.split(',').filter(|group| !group.trim().is_empty());
    groups.map(|group| group.split('|').map(name).collect()).collect()
}

/// The names of the wanted packages and of all that they depend on.
fn reached(request: Request, available: &BTreeMap<String, Package>) -> Result<BTreeSet<String>, DebianError> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = request.packages.iter().map(|package| (*package).to_owned()).collect();
    while let Some(name) = open.pop() {
        let package = available.get(&name).ok_or_else(|| DebianError::Missing { package: name.clone() })?;
        if !reached.insert(name) {
            continue;
        }
        for alternatives in &package.dependencies {
            if alternatives.iter().any(|alternative| request.without.contains(&alternative.as_str())) {
                continue;
            }
            // apt has chosen one of the alternatives already: it is the one that is there.
            let chosen = alternatives.iter().find_map(|alternative| provider(alternative, available));
            let missing = || DebianError::Missing { package: alternatives.join(" or ") };
            let chosen = chosen.ok_or_else(missing)?;
            if !request.without.contains(&chosen.as_str()) {
                open.push(chosen);
            }
        }
    }
    Ok(reached)
}

/// The package of this name, or one that provides it.
fn provider(name: &str, available: &BTreeMap<String, Package>) -> Option<String> {
    if available.contains_key(name) {
        return Some(name.to_owned());
    }
    let provides = |package: &Package| package.provides.iter().any(|provided| provided == name);
    available.iter().find(|(_, package)| provides(package)).map(|(name, _)| name.clone())
}

/// What a command prints; an error holds its last words.
fn output(command: &mut Command) -> Result<Vec<u8>, DebianError> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    let failed = |reason: String| DebianError::Command { command: shown.clone(), reason };
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = words.lines().rev().take(3).collect();
    Err(failed(last.into_iter().rev().collect::<Vec<_>>().join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(depends: &str, provides: &str) -> Package {
        let provides = relations(provides).concat();
        Package { file: PathBuf::new(), dependencies: relations(depends), provides }
    }

    #[test]
    fn relations_lose_versions_and_architectures() {
        let read = relations("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, perl:any");
        assert_eq!(read, [vec!["libc6"], vec!["debconf", "debconf-2.0"], vec!["perl"]]);
        assert!(relations("").is_empty());
    }

    #[test]
    fn what_a_cut_dependency_alone_needs_stays_out() {
        let available = [
            ("nginx", package("libc6, nginx-common, iproute2", "httpd")),
            ("nginx-common", package("debconf | debconf-2.0", "")),
            ("iproute2", package("libbpf1, libc6", "")),
            ("libbpf1", package("libc6", "")),
            ("cdebconf", package("", "debconf-2.0")),
            ("libc6", package("", "")),
        ];
        let available = available.into_iter().map(|(name, package)| (name.to_owned(), package)).collect();
        let all = Request { packages: &["nginx"], without: &[] };
        assert_eq!(reached(all, &available).unwrap().len(), 6);
        let cut = Request { packages: &["nginx"], without: &["iproute2", "debconf"] };
        let reached = reached(cut, &available).unwrap();
        assert_eq!(reached.into_iter().collect::<Vec<_>>(), ["libc6", "nginx", "nginx-common"]);
    }

    #[test]
    fn a_dependency_that_nobody_provides_is_named() {
        let available = [("a".to_owned(), package("b | c", ""))].into_iter().collect();
        let error = reached(Request { packages: &["a"], without: &[] }, &available).unwrap_err();
        assert!(error.to_string().contains("b or c"), "{error}");
    }
}
