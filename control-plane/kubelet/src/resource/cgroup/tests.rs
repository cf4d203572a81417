//! Groups in folders that only look like hierarchies, and in the machine's own.

use std::path::Path;

use serde_json::json;

use super::hierarchy::{Hierarchy, Version};
use super::*;

/// Control files that the kernel would make with each folder.
const FILES: [&str; 9] = [
    "cpu.shares",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "memory.limit_in_bytes",
    "pids.max",
    "cpu.weight",
    "cpu.max",
    "memory.max",
    "cgroup.kill",
];

fn pod(uid: &str, resources: serde_json::Value) -> Pod {
    let spec = json!({"containers": [{"name": "c", "resources": resources}]});
    serde_json::from_value(json!({"metadata": {"uid": uid}, "spec": spec})).unwrap()
}

/// What the kernel does when a group is made.
fn make_group(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    FILES.iter().for_each(|file| fs::write(folder.join(file), "").unwrap());
}

/// What the kernel does before a group is removed.
fn empty_group(folder: &Path) {
    FILES.iter().for_each(|file| fs::remove_file(folder.join(file)).unwrap());
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

fn unified(mount_point: &Path) -> Hierarchies {
    Hierarchies::of(vec![Hierarchy { mount_point: mount_point.into(), version: Version::Two }])
}

#[test]
fn the_parent_has_kubernetes_path() {
    let cgroups = PodCgroups::new(unified(Path::new("/c")), Path::new("/node-1"));
    let both = json!({"cpu": "1", "memory": "1Mi"});
    let table = [
        (json!({}), "/node-1/kubepods/besteffort/podu"),
        (json!({"requests": {"cpu": "1"}}), "/node-1/kubepods/burstable/podu"),
        (json!({"limits": both}), "/node-1/kubepods/podu"),
    ];
    for (resources, parent) in table {
        assert_eq!(cgroups.parent(&pod("u", resources)), parent);
    }
    assert_eq!(cgroups.parent(&pod("../../x", json!({}))), "/node-1/kubepods/besteffort/pod.._.._x");
}

#[tokio::test]
async fn limits_are_written_where_the_controller_is() {
    let folder = tempfile::tempdir().unwrap();
    let [unified, cpu] = ["unified", "cpu"].map(|name| folder.path().join(name));
    let hierarchies = Hierarchies::of(vec![
        Hierarchy { mount_point: unified.clone(), version: Version::Two },
        Hierarchy { mount_point: cpu.clone(), version: Version::One { controllers: vec!["cpu".into()] } },
    ]);
    let group = Path::new("kubepods/pod1");
    [&unified, &cpu].iter().for_each(|root| make_group(&root.join(group)));
    let cgroups = PodCgroups::new(hierarchies, Path::new("/"));
    let guaranteed = pod("1", json!({"limits": {"cpu": "500m", "memory": "1Mi"}}));
    cgroups.create(&guaranteed, Some(10)).unwrap();
    assert_eq!(read(&cpu.join(group), "cpu.shares"), "512");
    assert_eq!(read(&cpu.join(group), "cpu.cfs_quota_us"), "50000");
    assert_eq!(read(&unified.join(group), "cpu.max"), "");
    assert_eq!(read(&unified.join(group), "memory.max"), "1048576");
    assert_eq!(read(&unified.join(group), "pids.max"), "10");
    assert_eq!(cgroups.pods(), BTreeSet::from(["1".to_owned()]));
    [&unified, &cpu].iter().for_each(|root| empty_group(&root.join(group)));
    cgroups.remove("1").await.unwrap();
    cgroups.remove("1").await.unwrap();
    assert_eq!(cgroups.pods(), BTreeSet::new());
}

#[test]
fn a_controller_that_is_missing_is_an_error_only_where_a_limit_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let cgroups = PodCgroups::new(unified(folder.path()), Path::new("/"));
    let group = folder.path().join("kubepods/burstable/pod1");
    fs::create_dir_all(&group).unwrap();
    fs::write(group.join("cpu.weight"), "").unwrap();
    cgroups.create(&pod("1", json!({"requests": {"cpu": "1"}})), None).unwrap();
    let error = cgroups.create(&pod("1", json!({"requests": {"cpu": "1"}})), Some(5)).unwrap_err().to_string();
    assert!(error.starts_with("cannot set ") && error.contains("pids.max: No such file"), "{error}");
}

#[tokio::test]
async fn the_machines_own_hierarchies_take_and_lose_a_pods_group() {
    test_support::require_root!();
    let root = format!("/sheave-kubelet-test-{}", std::process::id());
    let hierarchies = Hierarchies::discover().unwrap();
    let cgroups = PodCgroups::new(hierarchies.clone(), Path::new(&root));
    cgroups.set_up(&Capacity::new(2000, 1 << 30, 0)).unwrap();
    let one = pod("1", json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "64Mi"}}));
    cgroups.create(&one, Some(50)).unwrap();
    cgroups.share(&[&one]).unwrap();
    let parent = cgroups.parent(&one);
    let group = Path::new(parent.strip_prefix('/').unwrap());
    for (controller, file, expected) in
        [("memory", ["memory.limit_in_bytes", "memory.max"], "67108864"), ("pids", ["pids.max", "pids.max"], "50")]
    {
        let hierarchy = hierarchies.with(controller).unwrap();
        let file = file[usize::from(hierarchy.version == Version::Two)];
        assert_eq!(read(&hierarchy.mount_point.join(group), file).trim(), expected);
    }
    let mut sleeper = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    for folder in hierarchies.folders(group) {
        fs::write(folder.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
    }
    let waited = tokio::task::spawn_blocking(move || sleeper.wait());
    cgroups.remove("1").await.unwrap();
    assert!(!waited.await.unwrap().unwrap().success());
    assert!(hierarchies.folders(group).all(|folder| !folder.exists()));
    for folder in hierarchies.folders(Path::new(root.strip_prefix('/').unwrap())) {
        remove_tree(&folder).unwrap();
    }
}
