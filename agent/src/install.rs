//! Puts the plugins and the network configuration in place for the container runtime, and takes them away again.
//!
//! A runtime may look at any moment: each file appears whole, under its name, by a rename. The configuration comes last
//! and only once the agent answers, because it is what makes the node Ready.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::settings::{Install, Settings};

/// The plugin of this project.
const PLUGIN: &str = "sheave-cni";
/// What runtimes call for every container beside the network configuration.
const LOOPBACK: &str = "loopback";
/// Name of the network in the configuration.
pub const NETWORK: &str = "sheave";

/// A file could not be put in place or taken away.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", .path.display())]
pub struct InstallError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Copies the plugins. A `loopback` that is there already stays: it is somebody else's.
///
/// # Errors
/// [`InstallError`] names the file.
pub fn plugins(install: &Install) -> Result<(), InstallError> {
    let Some(folder) = &install.bin_dir else { return Ok(()) };
    let copy = |name: &str| copy_program(&install.source_dir.join(name), &folder.join(name));
    copy(PLUGIN)?;
    if folder.join(LOOPBACK).exists() || !install.source_dir.join(LOOPBACK).exists() {
        return Ok(());
    }
    copy(LOOPBACK)
}

/// Writes the network configuration, unless it is there as it should be.
///
/// # Errors
/// [`InstallError`] names the file.
pub fn configuration(settings: &Settings) -> Result<(), InstallError> {
    let Some(folder) = &settings.install.conf_dir else { return Ok(()) };
    let path = folder.join(&settings.install.conf_name);
    let text = format!("{:#}\n", conflist(settings));
    if fs::read_to_string(&path).is_ok_and(|existing| existing == text) {
        return Ok(());
    }
    write_whole(&path, text.as_bytes(), 0o644)
}

/// Takes away plugin and configuration. What is not there is no error; `loopback` stays, as other networks need it.
///
/// # Errors
/// [`InstallError`] names the file.
pub fn remove(install: &Install) -> Result<(), InstallError> {
    let configuration = install.conf_dir.as_ref().map(|folder| folder.join(&install.conf_name));
    let plugin = install.bin_dir.as_ref().map(|folder| folder.join(PLUGIN));
    for path in configuration.into_iter().chain(plugin) {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(InstallError { action: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn conflist(settings: &Settings) -> serde_json::Value {
    json!({
        "cniVersion": settings.install.version.as_str(),
        "name": NETWORK,
        "plugins": [{ "type": PLUGIN, "agentSocket": settings.socket }],
    })
}

fn copy_program(from: &Path, to: &Path) -> Result<(), InstallError> {
    let mut program = Vec::new();
    let read = File::open(from).and_then(|mut file| file.read_to_end(&mut program));
    read.map_err(|source| InstallError { action: "read", path: from.to_owned(), source })?;
    if fs::read(to).is_ok_and(|existing| existing == program) {
        return Ok(());
    }
    write_whole(to, &program, 0o755)
}

/// Writes a file beside its place and renames it there. The name in between is of a kind that runtimes do not read.
fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), InstallError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Not the mode of one that a predecessor left half-made.
        let _ = fs::remove_file(&new);
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| InstallError { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::settings::Layer;

    fn settings(folder: &Path) -> Settings {
        let text = format!(
            "{{ cniBinDir: {0}/bin, cniConfDir: {0}/conf, cniSourceDir: {0}/source, socket: {0}/agent.sock }}",
            folder.display()
        );
        let file = folder.join("agent.yaml");
        fs::write(&file, text).unwrap();
        Layer::default().over(Layer::read(&file).unwrap()).unwrap()
    }

    #[test]
    fn plugins_and_configuration_are_put_in_place_and_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        fs::create_dir(folder.path().join("source")).unwrap();
        fs::write(folder.path().join("source/sheave-cni"), "program").unwrap();
        fs::write(folder.path().join("source/loopback"), "ours").unwrap();
        for _ in 0..2 {
            plugins(&settings.install).unwrap();
            configuration(&settings).unwrap();
        }
        let mode = fs::metadata(folder.path().join("bin/sheave-cni")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111 & mode);
        assert!(mode & 0o100 != 0, "it can be executed");
        let text = fs::read_to_string(folder.path().join("conf/05-sheave.conflist")).unwrap();
        let written: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written["plugins"][0]["type"], "sheave-cni");
        assert_eq!(written["cniVersion"], "1.0.0");
        let names = |what: &str| {
            let mut names: Vec<_> =
                fs::read_dir(folder.path().join(what)).unwrap().map(|it| it.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (names("bin"), names("conf")),
            (vec!["loopback".into(), "sheave-cni".into()], vec!["05-sheave.conflist".into()])
        );
        for _ in 0..2 {
            remove(&settings.install).unwrap();
        }
        assert_eq!((names("bin"), names("conf")), (vec!["loopback".into()], vec![]));
    }

    #[test]
    fn a_loopback_of_somebody_else_stays_and_a_missing_plugin_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let error = plugins(&settings.install).unwrap_err().to_string();
        assert!(error.contains("source/sheave-cni"), "{error}");
        for (name, content) in [("source/sheave-cni", "new"), ("source/loopback", "ours"), ("bin/loopback", "theirs")] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        plugins(&settings.install).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("bin/loopback")).unwrap(), "theirs");
    }
}
