//! Rules for source files: an opening `//!`, a bearable length, nothing unfinished, no path of one machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// Lines above which a file must say why it is long, tests not counted.
const LONG: usize = 500;
/// Lines above which no reason helps, tests not counted.
const TOO_LONG: usize = 800;
/// How a file says why it is long, in a comment.
const REASON: &str = "// Long because ";

/// Words that mark unfinished work. Written in two parts so that this file passes its own rule.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Folders that only one machine has.
const MACHINE_PATHS: [&str; 3] = [concat!("/ro", "ot/."), concat!("/ho", "me/"), concat!("/wo", "rk/")];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in tracked(root)? {
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else { continue };
        let name = file.display().to_string();
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        complaints.extend(complain(&name, &text, is_rust));
    }
    Ok(complaints)
}

/// The files that git knows and that are still there.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().context("cannot start git")?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

fn complain(name: &str, text: &str, is_rust: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = || format!("{name}:{}", number + 1);
        if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(**path)) {
            complaints.push(format!("{}: the path `{path}` exists on one machine only: name it by its meaning", at()));
        }
        if let Some(word) = UNFINISHED.iter().find(|word| is_rust && line.contains(**word)) {
            complaints.push(format!("{}: `{word}`: finish it, or say in the README what is missing", at()));
        }
    }
    if !is_rust {
        return complaints;
    }
    if !text.trim_start().starts_with("//!") && !text.trim_start().starts_with("#![") {
        complaints.push(format!("{name}: begin with `//!` and say what the file is for"));
    }
    let lines = lines_without_tests(text);
    if lines > TOO_LONG {
        complaints.push(format!("{name}: {lines} lines without its tests, {TOO_LONG} is the cap: split it by subject"));
    } else if lines > LONG && !text.contains(REASON) {
        complaints
            .push(format!("{name}: {lines} lines without its tests: split it, or say `{REASON}...` in a comment"));
    }
    complaints
}

/// Lines up to the test module, which is last by custom.
fn lines_without_tests(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_complains_once_and_names_the_place() {
        let unfinished = format!("//! A.\n// {}: later\n", UNFINISHED[0]);
        let long = format!("//! A.\n{}", "fn a() {}\n".repeat(LONG));
        let too_long = format!("//! A.\n{REASON}it is a table.\n{}", "fn a() {}\n".repeat(TOO_LONG));
        let path = format!("//! A.\nconst A: &str = \"{}x\";\n", MACHINE_PATHS[2]);
        for (text, part) in [
            ("fn a() {}\n", "begin with"),
            (&unfinished, "a.rs:2: `TO"),
            (&long, "without its tests"),
            (&too_long, "is the cap"),
            (&path, "one machine only"),
        ] {
            let complaints = complain("a.rs", text, true);
            assert_eq!(complaints.len(), 1, "{complaints:?}");
            assert!(complaints[0].contains(part), "{complaints:?}");
        }
    }

    #[test]
    fn a_long_file_with_a_reason_and_long_tests_pass() {
        let reason = format!("//! A.\n{REASON}it is a table.\n{}", "fn a() {}\n".repeat(LONG));
        let tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn a() {}\n".repeat(TOO_LONG));
        for text in [reason, tests] {
            assert_eq!(complain("a.rs", &text, true), Vec::<String>::new());
        }
    }
}
