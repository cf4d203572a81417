//! What makes a node a machine of its own, and what can befall it.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use test_support::{eventually, require_root};
use testbed::{BootError, CommandError, Host, Node, NodeError, Topology};

#[test]
fn a_node_has_its_own_host_name_process_table_and_init() {
    require_root!();
    let topology = Topology::builder("own").nodes(2).build().unwrap();
    for node in topology.nodes() {
        let name = node.name().to_string();
        assert_eq!(shell(node, "hostname"), name);
        assert_eq!(shell(node, "cat /etc/hostname"), name);
        let init = shell(node, "tr '\\0' ' ' < /proc/1/cmdline");
        assert!(init.starts_with(&format!("init of {name}")), "{init:?}");
        // PID 1, the shell, and what it runs.
        let processes = shell(node, "ls -d /proc/[0-9]* | wc -l").parse::<u32>().unwrap();
        assert!(processes <= 4, "{processes} processes are seen");
    }
}

#[test]
fn every_namespace_of_a_node_is_its_own() {
    require_root!();
    let topology = Topology::builder("namespaces").nodes(2).build().unwrap();
    for kind in ["net", "mnt", "uts", "pid", "cgroup"] {
        let of = |node: &Node| shell(node, &format!("readlink /proc/self/ns/{kind}"));
        let machine = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
        let (one, two) = (of(topology.node(1)), of(topology.node(2)));
        assert!(one != two && one != machine && two != machine, "{kind}: {one} {two} {machine}");
    }
}

#[test]
fn what_a_node_writes_to_its_own_folders_no_other_sees() {
    require_root!();
    let topology = Topology::builder("folders").nodes(2).build().unwrap();
    let marker = topology.name().to_string();
    for folder in ["/run", "/opt/cni/bin", "/etc/cni/net.d", "/var/lib/cni", "/run/netns"] {
        shell(topology.node(1), &format!("mkdir -p {folder} && touch {folder}/{marker}"));
        let seen = |node: &Node| shell(node, &format!("test -e {folder}/{marker} && echo yes || echo no"));
        assert_eq!((seen(topology.node(1)), seen(topology.node(2))), ("yes".into(), "no".into()), "{folder}");
        assert!(!fs::exists(format!("{folder}/{marker}")).unwrap(), "{folder} of the machine");
    }
}

#[test]
fn a_node_has_a_bpf_file_system_and_sees_its_own_interfaces_in_sysfs() {
    require_root!();
    let topology = Topology::builder("sys").nodes(1).build().unwrap();
    let node = topology.node(1);
    assert_eq!(shell(node, "stat -f -c %T /sys/fs/bpf"), "bpf_fs");
    assert_eq!(shell(node, "ls /sys/class/net"), "eth0\nlo");
}

#[test]
fn mounts_made_later_in_a_node_propagate_within_it_and_not_out_of_it() {
    require_root!();
    let topology = Topology::builder("shared").nodes(2).build().unwrap();
    let root = shell(topology.node(1), "awk '$5 == \"/\"' /proc/self/mountinfo");
    assert!(root.contains("shared:"), "{root}");
    shell(topology.node(1), "mkdir /run/inside && mount -t tmpfs inside /run/inside");
    assert!(shell(topology.node(1), "cat /proc/mounts").contains("/run/inside"));
    assert!(!shell(topology.node(2), "cat /proc/mounts").contains("/run/inside"));
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains("/run/inside"));
}

#[test]
fn a_node_is_the_root_of_its_cgroups_in_every_hierarchy_and_programs_run_below_it() {
    require_root!();
    let topology = Topology::builder("cgroups").nodes(1).pods_per_node(1).build().unwrap();
    let node = topology.node(1);
    for line in shell(node, "cat /proc/self/cgroup").lines() {
        assert!(line.ends_with(":/system"), "{line}");
    }
    for line in shell(node.pod(1), "cat /proc/self/cgroup").lines() {
        assert!(line.ends_with(":/pod1"), "{line}");
    }
    // The v2 root that the node sees is the folder that the machine knows as the node's.
    let unified = shell(node, "awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts");
    let inside = shell(node, &format!("stat -c %i {unified}"));
    assert_eq!(inside, fs::metadata(node.cgroup().unified()).unwrap().ino().to_string());
    assert_eq!(shell(node, &format!("ls -d {unified}/system {unified}/init {unified}/pod1 | wc -l")), "3");
}

#[test]
fn a_pod_has_the_files_and_processes_of_its_node_and_a_network_of_its_own() {
    require_root!();
    let topology = Topology::builder("pod").nodes(1).pods_per_node(2).build().unwrap();
    let (node, pod) = (topology.node(1), topology.node(1).pod(2));
    for kind in ["mnt", "uts", "pid", "cgroup"] {
        let link = format!("readlink /proc/self/ns/{kind}");
        assert_eq!(shell(pod, &link), shell(node, &link), "{kind}");
    }
    assert_ne!(shell(pod, "readlink /proc/self/ns/net"), shell(node, "readlink /proc/self/ns/net"));
    assert_eq!(shell(node, "ls /sys/class/net"), "eth0\nlo\npod1\npod2");
}

#[test]
fn orphans_in_a_node_are_reaped() {
    require_root!();
    let topology = Topology::builder("orphans").nodes(1).build().unwrap();
    let node = topology.node(1);
    // Each inner shell leaves its child to PID 1 and ends before it.
    shell(node, "for i in 1 2 3 4 5; do (sleep 0.05 &) ; done");
    eventually!(within: 10s, shell(node, "ps -e -o comm= | grep -c sleep || true") == "0", "orphans stay");
    let processes = || shell(node, "ps -e -o stat=,ppid=,comm=");
    eventually!(within: 10s, !processes().contains('Z'), "zombies stay:\n{}", processes());
}

#[test]
fn a_frozen_node_stands_still_and_goes_on_where_it_was() {
    require_root!();
    let topology = Topology::builder("freeze").nodes(1).build().unwrap();
    let node = topology.node(1);
    let counting = "i=0; while true; do i=$((i+1)); echo $i > /run/count; sleep 0.01; done";
    let counter = node.command("sh").unwrap().args(["-c", counting]).spawn().unwrap();
    let count = || -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/root/run/count", counter.id())).ok()?;
        text.trim().parse().ok()
    };
    let started = eventually!(within: 10s, count(), "it does not count");
    node.freeze().unwrap();
    let frozen = eventually!(within: 10s, count(), "the count is not readable");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(count(), Some(frozen), "it counts while frozen");
    let refused = node.command("true").unwrap().status().unwrap_err();
    assert!(matches!(refused, CommandError::Frozen { .. }), "{refused}");
    node.thaw().unwrap();
    eventually!(within: 10s, count().is_some_and(|count| count > frozen), "it does not go on from {started}");
}

#[test]
fn a_killed_node_is_silent_and_a_booted_one_has_its_disk_but_not_its_memory() {
    require_root!();
    let topology = Topology::builder("kill").nodes(2).pods_per_node(1).build().unwrap();
    let (one, two) = (topology.node(1), topology.node(2));
    shell(one, "mkdir /var/lib/etcd && echo kept > /var/lib/etcd/data && echo lost > /run/data && mkdir /etc/cni");
    let sleeper = one.command("sleep").unwrap().arg("1000").spawn().unwrap();
    let address = SocketAddr::new(one.addresses().ipv4.into(), 80);
    let listener = one.run(|| TcpListener::bind(address)).unwrap();
    let mut connection = two.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(10))).unwrap();

    one.kill().unwrap();
    eventually!(within: 10s, !sleeper.is_running(), "a process survives its node");
    assert!(one.init_process().is_err() && one.command("true").is_err(), "it still runs something");
    drop(listener);
    connection.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let silent = std::io::Read::read(&mut connection, &mut [0]).unwrap_err();
    assert_eq!(silent.kind(), std::io::ErrorKind::WouldBlock, "the dead node said something: {silent}");

    one.boot().unwrap();
    assert_eq!(shell(one, "cat /var/lib/etcd/data; ls -d /etc/cni; ls /run"), "kept\n/etc/cni\nnetns");
    assert!(sends_to(two, one) && sends_to(one, two), "it is not connected");
    assert!(sends_to(one.pod(1), two.pod(1)) && sends_to(two.pod(1), one.pod(1)), "its pods are not connected");
}

#[test]
fn a_node_whose_pid_1_was_killed_from_outside_is_down_and_can_be_booted() {
    require_root!();
    let topology = Topology::builder("oops").nodes(1).server().build().unwrap();
    for machine in [topology.node(1), topology.server()] {
        let init = machine.init_process().unwrap();
        let init = rustix::process::Pid::from_raw(i32::try_from(init).unwrap()).unwrap();
        rustix::process::kill_process(init, rustix::process::Signal::KILL).unwrap();
        eventually!(within: 10s, machine.init_process().is_err(), "it survives");
        assert!(matches!(machine.reconnect(), Err(NodeError::Boot(BootError::Down { .. }))));
        machine.boot().unwrap();
        assert_eq!(shell(machine, "hostname"), machine.name().to_string());
    }
    assert!(sends_to(topology.node(1), topology.server()));
}

#[test]
fn a_command_that_is_not_there_is_named_with_its_host() {
    require_root!();
    let topology = Topology::builder("missing").nodes(1).build().unwrap();
    let error = topology.node(1).command("no-such-program").unwrap().status().unwrap_err().to_string();
    assert!(error.contains("no-such-program") && error.contains("-n1"), "{error}");
}

/// What a shell in a host prints, without the last line's end.
fn shell(host: &Host, script: &str) -> String {
    let output = host.command("sh").unwrap().args(["-c", script]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{script}` in {}: {} {errors}", host.name(), output.status);
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Whether a datagram from one host arrives at another.
fn sends_to(from: &Host, to: &Host) -> bool {
    let receiver = to.run(|| UdpSocket::bind((to.addresses().ipv6, 0))).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let sender = from.run(|| UdpSocket::bind((from.addresses().ipv6, 0))).unwrap();
    sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
    receiver.recv(&mut [0; 8]).is_ok_and(|length| length == 5)
}
