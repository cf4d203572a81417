//! A terminal in front of a cluster: a shell, a home folder of its own, one kubectl on the PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Kubectl;

/// How long one command line may take before the test says that it hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// A shell in a folder of its own, whose `kubectl` is one version and whose kubeconfig is one cluster's.
#[derive(Debug)]
pub struct Terminal {
    folder: TempDir,
    version: (u32, u32),
}

/// What a command line did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line and kubectl's version, for messages.
    pub command: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code.
    pub code: i32,
}

// === impl Terminal ===

impl Terminal {
    /// Opens a terminal; `kubeconfig` is the file's text.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn open(kubectl: &Kubectl, kubeconfig: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("bin")).expect("a folder for kubectl");
        std::os::unix::fs::symlink(&kubectl.binary, folder.path().join("bin/kubectl")).expect("a link to kubectl");
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig).expect("a kubeconfig");
        Self { folder, version: kubectl.version }
    }

    /// The folder in which commands run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// kubectl's major and minor version.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Puts a file beside the commands.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// Runs one command line in bash.
    ///
    /// # Panics
    /// When the shell cannot be started, or the command hangs.
    #[must_use]
    pub fn run(&self, line: &str) -> Outcome {
        let (major, minor) = self.version;
        let command = format!("[kubectl {major}.{minor}] {line}");
        // A file rather than a pipe: a background process that the line leaves behind would hold a pipe open.
        let (stdout, stderr) = (self.folder.path().join(".stdout"), self.folder.path().join(".stderr"));
        let create = |path: &Path| std::fs::File::create(path).expect("a file for output");
        let mut child = self
            .shell(line)
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .spawn()
            .expect("bash can be started");
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("the shell can be waited for") {
                break status;
            }
            if started.elapsed() > DEADLINE {
                let _ = child.kill();
                let _ = child.wait();
                let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
                panic!("{command}\nhangs for {DEADLINE:?}\nstdout: {}\nstderr: {}", read(&stdout), read(&stderr));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        Outcome { command, stdout: read(&stdout), stderr: read(&stderr), code: status.code().unwrap_or(-1) }
    }

    /// Runs one command line until `accepted` says that its outcome is the wanted one.
    ///
    /// # Panics
    /// When that does not happen within two minutes, with the last outcome.
    pub fn wait(&self, line: &str, accepted: impl Fn(&Outcome) -> bool) -> Outcome {
        let started = Instant::now();
        loop {
            let outcome = self.run(line);
            if accepted(&outcome) {
                return outcome;
            }
            assert!(started.elapsed() < DEADLINE, "never as wanted within {DEADLINE:?}:\n{outcome}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn shell(&self, line: &str) -> Command {
        let folder = self.folder.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -o pipefail; {line}")]).current_dir(folder);
        shell.env("PATH", format!("{}:{path}", folder.join("bin").display()));
        shell.env("HOME", folder).env("KUBECONFIG", folder.join("kubeconfig")).env("EDITOR", "true");
        for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            shell.env_remove(variable);
        }
        shell
    }
}

// === impl Outcome ===

impl Outcome {
    /// The command line exited with 0.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        assert_eq!(self.code, 0, "should succeed:\n{self}");
        self
    }

    /// The command line exited with something else than 0.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(&self) -> &Self {
        assert_ne!(self.code, 0, "should fail:\n{self}");
        self
    }

    /// Standard output holds `text`; runs of blanks count as one, so that column widths do not matter.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        assert!(squeeze(&self.stdout).contains(&squeeze(text)), "should print {text:?}:\n{self}");
        self
    }

    /// Standard output does not hold `text`.
    ///
    /// # Panics
    /// When it does.
    #[track_caller]
    pub fn does_not_print(&self, text: &str) -> &Self {
        assert!(!squeeze(&self.stdout).contains(&squeeze(text)), "should not print {text:?}:\n{self}");
        self
    }

    /// Standard output is exactly `text`, but for white space at its ends.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn prints_exactly(&self, text: &str) -> &Self {
        assert_eq!(self.stdout.trim(), text.trim(), "\n{self}");
        self
    }

    /// Standard error holds `text`.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn complains(&self, text: &str) -> &Self {
        assert!(squeeze(&self.stderr).contains(&squeeze(text)), "should complain {text:?}:\n{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, stdout, stderr, code } = self;
        write!(f, "{command}\nexit code {code}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

/// Each line with its runs of blanks folded into one.
fn squeeze(text: &str) -> String {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n").trim().to_owned()
}
