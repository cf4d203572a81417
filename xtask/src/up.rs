//! `cargo xtask up` and `down`: a control plane on this machine. There are no nodes in this version.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{process, setup, workspace};

/// How long the server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long the server may take to stop; it drains for ten seconds at most.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
/// Where the API answers.
const LISTEN: &str = "127.0.0.1:16443";

/// What `up` and `down` know of the server that they start.
struct Place {
    folder: PathBuf,
}

pub(crate) fn up() -> Result<()> {
    let began = Instant::now();
    setup::run(&setup::Arguments::install())?;
    step(began, "building the control plane");
    process::run(workspace::cargo().args(["build", "--release", "--locked", "-p", "sheave"]))?;
    let place = Place { folder: workspace::root().join(".sheave") };
    match place.running() {
        Some(pid) => step(began, &format!("the control plane runs already, as process {pid}")),
        None => {
            step(began, "starting the control plane");
            place.start()?;
        }
    }
    place.wait_until_ready()?;
    step(began, "ready");
    println!("the API answers at https://{LISTEN}");
    println!("there are no nodes: this version has no kubelet, so pods stay Pending");
    println!("export KUBECONFIG={}", place.kubeconfig().display());
    Ok(())
}

pub(crate) fn down() -> Result<()> {
    let place = Place { folder: workspace::root().join(".sheave") };
    let Some(pid) = place.running() else {
        println!("nothing runs here");
        return Ok(());
    };
    let process = rustix::process::Pid::from_raw(pid).context("a malformed process id")?;
    rustix::process::kill_process(process, rustix::process::Signal::TERM).context("cannot stop the server")?;
    let asked = Instant::now();
    while place.running().is_some() {
        if asked.elapsed() > STOPPED_WITHIN {
            bail!("process {pid} does not stop within {STOPPED_WITHIN:?}: see {}", place.log().display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("stopped; the data is in {}", place.folder.display());
    Ok(())
}

fn step(began: Instant, what: &str) {
    println!("[{:6.1} s] {what}", began.elapsed().as_secs_f64());
}

// === impl Place ===

impl Place {
    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// The server that was started here, if it is still the process with the number that was written down.
    fn running(&self) -> Option<i32> {
        let pid: i32 = std::fs::read_to_string(self.folder.join("server.pid")).ok()?.trim().parse().ok()?;
        let command = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command);
        command.contains(&*self.folder.to_string_lossy()).then_some(pid)
    }

    /// Starts the server in a session of its own, so that it outlives this command and its terminal.
    fn start(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        let log = File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut command = Command::new(program()?);
        command.args(["server", "--listen", LISTEN, "--data-dir"]).arg(&self.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start `{}`", process::line(&command)))?;
        std::fs::write(self.folder.join("server.pid"), child.id().to_string())?;
        Ok(())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let kubectl = setup::kubectl().context("there is no kubectl: run `cargo xtask setup`")?;
        let began = Instant::now();
        loop {
            let mut ask = Command::new(&kubectl);
            ask.arg("--kubeconfig").arg(self.kubeconfig()).args(["get", "--raw", "/readyz"]);
            let ready = ask.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
            if ready && self.running().is_some() {
                return Ok(());
            }
            if self.running().is_none() || began.elapsed() > READY_WITHIN {
                bail!("the control plane is not ready: {} says why", self.log().display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The optimised binary of this checkout.
fn program() -> Result<PathBuf> {
    let target = workspace::target_directory();
    let candidates = std::fs::read_dir(&target).with_context(|| format!("cannot read {}", target.display()))?;
    let candidates = candidates.filter_map(|entry| Some(entry.ok()?.path().join("release/sheave")));
    let newest = candidates.filter(|path| path.is_file()).max_by_key(|path| {
        path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(std::time::SystemTime::UNIX_EPOCH)
    });
    newest.with_context(|| format!("no release/sheave below {}", target.display()))
}
