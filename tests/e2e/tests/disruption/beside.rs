//! A cluster that stays, as `cargo xtask up` makes it, beside another one.

use std::fs;
use std::path::{Path, PathBuf};

use cluster::{Cluster, Lifetime, Options};
use e2e_tests::{Stage, programs};
use test_support::eventually;
use testbed::ClusterName;

/// Removes the cluster also when the walk fails.
struct Removed<'a> {
    name: ClusterName,
    data: &'a Path,
}

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        if let Err(error) = testbed::remove(&self.name, self.data) {
            eprintln!("{error}");
        }
    }
}

pub(crate) fn a_second_cluster_stays_until_it_is_removed_and_leaves_nothing(stage: &Stage) {
    let label = format!("second-{}", std::process::id());
    let data = stage.folder().join("hosts");
    let options = Options {
        name: label.clone(),
        lifetime: Lifetime::UntilRemoved { data: data.clone() },
        nodes: 1,
        port: 0,
        programs: programs(),
        server_arguments: Vec::new(),
        node_arguments: Vec::new(),
    };
    let name = ClusterName::persistent(&label).expect("a label");
    let removed = Removed { name, data: &data };
    let processes = |cluster: &Cluster| {
        let daemons = [cluster.server(), cluster.kubelet(1)].map(|daemon| daemon.expect("it runs").process());
        (daemons, cluster.containerd(1).expect("it runs").daemon().process())
    };
    let first = Cluster::start(options.clone(), &mut |_| ()).expect("a second cluster starts");
    let before = processes(&first);
    drop(first);
    let again = Cluster::start(options, &mut |_| ()).expect("starting it twice is harmless");
    assert_eq!(processes(&again), before);
    drop(again);
    drop(removed);
    // A killed process is in its cgroup until it is reaped.
    let left = || left_behind(&label, &data);
    eventually!(within: 20s, left().is_empty(), "left behind: {:?}", left());
    // The other one has not noticed.
    assert_eq!(stage.cluster().not_ready().expect("the first cluster answers"), Vec::<String>::new());
}

/// Namespaces, cgroups, folders, processes and mounts with the cluster's name in them.
fn left_behind(label: &str, data: &Path) -> Vec<PathBuf> {
    let name = format!("sheave-{label}");
    let mut left: Vec<_> = ["/run/netns", "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory"]
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name)))
        .collect();
    left.extend(data.exists().then(|| data.to_owned()));
    let mentions = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.contains(&name));
    let mounts = PathBuf::from("/proc/self/mountinfo");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join("cgroup"));
    left.extend([mounts].into_iter().chain(processes).filter(|path| mentions(path)));
    left
}
