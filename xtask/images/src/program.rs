//! Programs of this workspace as layers: static, without symbols.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::tree::Tree;
use crate::workshop::ImageError;

/// A layer with one program. `scratch` is a folder to work in.
pub(crate) fn layer(program: &Path, path: &str, scratch: &Path) -> Result<Tree, ImageError> {
    let mut tree = Tree::default();
    tree.file(path, 0o755, stripped(program, scratch)?);
    Ok(tree)
}

/// The program without symbols and debug information, most of a debug build; as it is where there is no `strip`.
fn stripped(program: &Path, scratch: &Path) -> Result<Vec<u8>, ImageError> {
    let copy = scratch.join(format!(".stripped.{}", std::process::id()));
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&copy).arg(program).stderr(Stdio::null());
    let stripped = strip.status().is_ok_and(|status| status.success());
    let source = if stripped { &copy } else { program };
    let bytes = fs::read(source).map_err(|error| ImageError::Read { path: source.to_owned(), source: error });
    if stripped {
        // Left behind it is overwritten by the next one.
        let _ = fs::remove_file(&copy);
    }
    bytes
}
