//! Daemons belong to their node: not to who starts them.
#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use test_support::{eventually, require_root};
use testbed::{ClusterName, Daemon, DaemonError, Node, Stopped, Topology};

#[test]
fn a_daemon_is_a_child_of_the_nodes_pid_1_and_not_of_its_starter() {
    require_root!();
    let topology = Topology::builder("child").nodes(1).build().unwrap();
    let node = topology.node(1);
    let daemon = start(node, "sleeper", "sleep 1000");
    assert_eq!(parent(daemon.process()), node.init_process().unwrap());
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", daemon.process())).unwrap();
    assert!(cgroup.lines().all(|line| line.ends_with("/n1/system/sleeper")), "{cgroup}");
    drop(daemon);
    assert!(node.find_daemon("sleeper").unwrap().is_running(), "it ended with its handle");
}

#[test]
fn a_daemon_gets_no_environment_but_its_own_and_writes_to_its_log() {
    require_root!();
    let topology = Topology::builder("log").nodes(1).build().unwrap();
    let node = topology.node(1);
    let print = || node.daemon("print", "sh").unwrap().args(["-c", "env | sort; echo error >&2"]).env("OWN", "yes");
    let daemon = print().start().unwrap();
    let log = || fs::read_to_string(daemon.log()).unwrap();
    eventually!(within: 10s, log().ends_with("error\n"), "the log is {:?}", log());
    let variables: Vec<_> = log().lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    assert_eq!(variables, ["OWN", "PATH", "PWD"]);
    eventually!(within: 10s, !daemon.is_running(), "it does not end");
    print().start().unwrap();
    eventually!(within: 10s, log().matches("error").count() == 2, "a new start does not append: {}", log());
}

#[test]
fn a_daemon_is_found_again_until_it_ends() {
    require_root!();
    let data = tempfile::tempdir().unwrap();
    let name = ClusterName::persistent(&format!("d{}", std::process::id())).unwrap();
    let _removed = RemovedAtEnd(&name, data.path());
    let topology = Topology::builder(name.as_str()).persistent().data(data.path()).nodes(1).build().unwrap();
    let started = start(topology.node(1), "sleeper", "sleep 1000");
    drop(topology);

    let topology = Topology::open(&name, data.path()).unwrap();
    let found = topology.node(1).find_daemon("sleeper").unwrap();
    assert_eq!((found.process(), found.log()), (started.process(), started.log()));
    let again = topology.node(1).daemon("sleeper", "true").unwrap().start().unwrap_err();
    assert!(matches!(again, DaemonError::Running { process, .. } if process == found.process()), "{again}");
    found.kill().unwrap();
    assert!(!started.is_running());
    assert!(topology.node(1).find_daemon("sleeper").is_none());
    assert!(topology.node(1).find_daemon("another").is_none());
}

#[test]
fn a_daemon_is_asked_to_end_before_it_is_killed() {
    require_root!();
    let topology = Topology::builder("stop").nodes(1).build().unwrap();
    let node = topology.node(1);
    let willing = start(node, "willing", "trap 'echo bye; exit' TERM; echo ready; while true; do sleep 0.01; done");
    let stubborn = start(node, "stubborn", "trap '' TERM; echo ready; while true; do sleep 0.01; done");
    for daemon in [&willing, &stubborn] {
        eventually!(within: 10s, daemon.last_words() == "ready", "{} is not ready", daemon.name());
    }
    assert_eq!(willing.stop(Duration::from_secs(10)).unwrap(), Stopped::ByItself);
    assert_eq!(willing.last_words(), "ready\nbye");
    assert_eq!(stubborn.stop(Duration::from_millis(100)).unwrap(), Stopped::Killed);
    assert!(!stubborn.is_running());
    stubborn.stop(Duration::from_millis(100)).unwrap();
}

#[test]
fn a_daemon_inherits_what_it_is_handed() {
    require_root!();
    let topology = Topology::builder("inherit").nodes(1).build().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let read = format!("exec cat /proc/self/fd/{}", reader.as_raw_fd());
    let daemon = topology.node(1).daemon("reader", "sh").unwrap().args(["-c", &read]).inherit(reader).start().unwrap();
    writer.write_all(b"through the pipe").unwrap();
    eventually!(within: 10s, daemon.last_words() == "through the pipe", "its log is {}", daemon.last_words());
}

#[test]
fn a_daemon_that_cannot_be_started_is_named_with_the_reason_and_its_log() {
    require_root!();
    let topology = Topology::builder("nodaemon").nodes(1).build().unwrap();
    let error = topology.node(1).daemon("ghost", "no-such-program").unwrap().start().unwrap_err().to_string();
    for part in ["ghost", "No such file", "ghost.log"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[test]
fn a_daemon_that_ends_at_once_was_started_all_the_same() {
    require_root!();
    let topology = Topology::builder("short").nodes(1).build().unwrap();
    for _ in 0..20 {
        let daemon = topology.node(1).daemon("short", "true").unwrap().start().unwrap();
        eventually!(within: 10s, !daemon.is_running(), "`true` does not end");
    }
}

#[test]
fn daemons_end_with_their_node() {
    require_root!();
    let topology = Topology::builder("ends").nodes(1).build().unwrap();
    let node = topology.node(1);
    let daemon = start(node, "sleeper", "sleep 1000");
    node.kill().unwrap();
    assert!(!daemon.is_running());
    assert!(node.find_daemon("sleeper").is_none());
    node.boot().unwrap();
    start(node, "sleeper", "sleep 1000");
}

fn start(node: &Node, name: &str, script: &str) -> Daemon {
    node.daemon(name, "sh").unwrap().args(["-c", script]).start().unwrap()
}

fn parent(process: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

/// Removes a persistent topology also when its test fails.
struct RemovedAtEnd<'a>(&'a ClusterName, &'a Path);

impl Drop for RemovedAtEnd<'_> {
    fn drop(&mut self) {
        testbed::remove(self.0, self.1).unwrap();
    }
}
