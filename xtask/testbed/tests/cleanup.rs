//! Nothing stays: after a normal end, a panic, a failed build and a killed run.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use test_support::{eventually, require_root};
use testbed::{ClusterName, NetworkNamespace, ProcessIdentity, Role, Topology, TopologyError};

/// Set in a second process of this test program that is there to be killed.
const VICTIM: &str = "TESTBED_VICTIM";

#[test]
fn a_dropped_topology_leaves_nothing() {
    require_root!();
    let topology = Topology::builder("drop").nodes(2).pods_per_node(2).client().server().build().unwrap();
    let name = topology.name().clone();
    let sleeper = topology.node(1).pod(1).command("sleep").unwrap().arg("1000").spawn().unwrap();
    let stray = topology.client().command("sleep").unwrap().arg("1000").spawn().unwrap();
    assert!(traces(&name).len() > 10, "{:?}", traces(&name));
    drop(topology);
    assert_eq!(traces(&name), BTreeSet::new());
    eventually!(within: 10s, !sleeper.is_running() && !stray.is_running(), "a process survives its topology");
}

#[test]
fn a_panic_leaves_nothing() {
    require_root!();
    let mut name = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let topology = Topology::builder("panic").nodes(1).pods_per_node(1).client().build().unwrap();
        name = Some(topology.name().clone());
        let _sleeper = topology.node(1).command("sleep").unwrap().arg("1000").spawn().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(traces(&name.unwrap()), BTreeSet::new());
}

#[test]
fn a_panic_in_a_host_goes_on_in_the_test() {
    require_root!();
    let topology = Topology::builder("inner").client().build().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| topology.client().run(|| panic!("in the host"))));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"in the host"));
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    require_root!();
    // A file where the second node's folder should be.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("n2"), "").unwrap();
    let error = Topology::builder("fails").nodes(3).data(folder.path()).build().unwrap_err();
    assert!(matches!(error, TopologyError::Node { role: Role::Node(2), .. }), "{error}");
    assert!(error.to_string().contains("n2"), "{error}");
    let ours = format!("fails.{}", ProcessIdentity::of_this_process());
    let left: Vec<_> = all_traces().into_iter().filter(|trace| trace.contains(&ours)).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_topology_without_addresses_for_all_is_refused() {
    let error = Topology::builder("many").nodes(200).build().unwrap_err().to_string();
    assert!(error.contains("200 nodes asked for, 189 is the most"), "{error}");
}

#[test]
fn processes_of_a_killed_run_end_at_once_and_its_leftovers_with_the_next_build() {
    require_root!();
    if let Ok(topology) = std::env::var(VICTIM) {
        return be_killed(&topology);
    }
    let live = Topology::builder("live").nodes(1).client().build().unwrap();
    let live_traces = traces(live.name());
    let kept = ClusterName::persistent(&format!("k{}", std::process::id())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let _removed = RemovedAtEnd(&kept, folder.path());
    Topology::builder(kept.as_str()).persistent().data(folder.path()).nodes(1).build().unwrap();
    let kept_traces = traces(&kept);

    let this = std::env::current_exe().unwrap();
    let mut victim = Command::new(this)
        .args(["--exact", "--nocapture", "processes_of_a_killed_run_end_at_once_and_its_leftovers_with_the_next_build"])
        .env(VICTIM, "victim")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let ready = lines.into_iter().find_map(|line| Some(line.split_once("ready ")?.1.to_owned())).unwrap();
    let (cluster, process) = ready.split_once(' ').unwrap();
    assert!(Path::new("/proc").join(process).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();

    eventually!(within: 10s, !Path::new("/proc").join(process).exists(), "a process survives its run");
    Topology::builder("sweeper").client().build().unwrap();
    let left = || all_traces().into_iter().filter(|trace| trace.contains(cluster)).collect::<Vec<_>>();
    // Not at once: another test may have begun to sweep first, and still be at it.
    eventually!(within: 10s, left().is_empty(), "leftovers stay: {:?}", left());
    assert_eq!(traces(live.name()), live_traces, "a live run was swept");
    assert_eq!(traces(&kept), kept_traces, "a persistent cluster was swept");
}

/// Builds a topology, says so, and waits to be killed.
fn be_killed(label: &str) {
    let topology = Topology::builder(label).nodes(2).client().build().unwrap();
    let sleeper = topology.node(1).command("sleep").unwrap().arg("1000").spawn().unwrap();
    println!("\nready {} {}", topology.name(), sleeper.id());
    loop {
        std::thread::park();
    }
}

#[test]
fn a_persistent_topology_outlives_its_guard_is_opened_again_and_removed_by_name() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let name = ClusterName::persistent(&format!("p{}", std::process::id())).unwrap();
    let _removed = RemovedAtEnd(&name, folder.path());
    let builder = || {
        Topology::builder(name.as_str()).persistent().data(folder.path()).nodes(2).pods_per_node(1).client().server()
    };
    let built = builder().build().unwrap();
    let init = built.node(2).init_process().unwrap();
    drop(built);

    assert!(matches!(builder().build().unwrap_err(), TopologyError::Exists { .. }));
    let opened = Topology::open(&name, folder.path()).unwrap();
    assert_eq!(opened.node(2).init_process().unwrap(), init);
    assert_eq!((opened.nodes().len(), opened.node(1).pods().len()), (2, 1));
    assert!(opened.node(1).pod(1).command("true").unwrap().status().unwrap().success());
    opened.node(2).kill().unwrap();
    drop(opened);
    let opened = Topology::open(&name, folder.path()).unwrap();
    opened.node(2).boot().unwrap();
    opened.server().command("true").unwrap().status().unwrap();
    drop(opened);
    assert!(!traces(&name).is_empty());

    testbed::remove(&name, folder.path()).unwrap();
    assert_eq!(traces(&name), BTreeSet::new());
    testbed::remove(&name, folder.path()).unwrap();
    assert!(matches!(Topology::open(&name, folder.path()), Err(TopologyError::Missing { .. })));
}

#[test]
fn a_network_namespace_is_removed_with_its_guard_and_its_name_can_be_used_again() {
    require_root!();
    let name = format!("sheave-alone.{}", std::process::id());
    for _ in 0..2 {
        let namespace = NetworkNamespace::create(&name).unwrap();
        let taken = NetworkNamespace::create(&name).unwrap_err().to_string();
        assert!(taken.contains(&name), "{taken}");
        let interfaces = namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
        assert_eq!(interfaces.lines().count(), 3, "{interfaces}");
        drop(namespace);
        assert!(NetworkNamespace::open(&name).is_err());
    }
}

#[test]
fn the_machines_own_network_is_not_touched() {
    require_root!();
    let seen = || {
        let interfaces = fs::read_to_string("/proc/self/net/dev").unwrap();
        let names = interfaces.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
        let routes = fs::read_to_string("/proc/self/net/route").unwrap();
        (names.collect::<BTreeSet<_>>(), routes, fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap())
    };
    let before = seen();
    let _topology = Topology::builder("host").nodes(2).pods_per_node(1).client().build().unwrap();
    assert_eq!(seen(), before);
}

#[test]
fn three_nodes_are_built_and_removed_and_the_times_are_printed() {
    require_root!();
    for _ in 0..3 {
        let start = Instant::now();
        let topology = Topology::builder("time").nodes(3).pods_per_node(2).client().build().unwrap();
        let built = start.elapsed();
        drop(topology);
        println!("3 nodes with 2 pods each: built in {built:.0?}, removed in {:.0?}", start.elapsed() - built);
    }
}

/// Removes a persistent topology also when its test fails.
struct RemovedAtEnd<'a>(&'a ClusterName, &'a Path);

impl Drop for RemovedAtEnd<'_> {
    fn drop(&mut self) {
        testbed::remove(self.0, self.1).unwrap();
    }
}

/// What a topology has on the machine.
fn traces(name: &ClusterName) -> BTreeSet<String> {
    let prefix = name.to_string();
    all_traces()
        .into_iter()
        .filter(|trace| trace.contains(&format!("/{prefix}")) || trace.contains(&format!(" {prefix}")))
        .collect()
}

/// Namespaces, cgroups, data folders, mounts and processes on the machine that carry the project's name.
fn all_traces() -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut folders = vec!["/run/netns".to_owned(), std::env::temp_dir().display().to_string()];
    for line in mounts.lines().filter(|line| line.contains(" - cgroup")) {
        folders.push(line.split_whitespace().nth(4).unwrap().to_owned());
    }
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let entries = entries.map(|entry| entry.path().display().to_string());
    let mounted = mounts.lines().map(|line| format!("mount {}", line.split_whitespace().nth(4).unwrap()));
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    let processes = processes.map(|line| format!("process {}", line.replace('\0', " ")));
    let inits = processes.filter(|line| line.starts_with("process init of "));
    entries.chain(mounted).chain(inits).filter(|trace| trace.contains("sheave-")).collect()
}
