//! Every verb in every version, and what a runtime does wrong.

use cni_tests::{Pod, VERSIONS};
use serde_json::json;
use test_support::require_root;

use crate::kernel::Traces;
use crate::lab;

#[test]
fn every_verb_works_in_every_version_that_has_it_and_twice_in_a_row() {
    require_root!();
    let lab = lab("verbs", 1);
    let (node, runtime) = (lab.node(1), lab.runtime(1));
    let without = Traces::of(&lab, node);
    for version in VERSIONS {
        let supported = runtime.call_without_pod("VERSION", &json!({ "cniVersion": version })).succeeds();
        assert_eq!(supported["supportedVersions"], json!(VERSIONS));
        let pod = Pod::create(node, &format!("pod-{}", version.replace('.', "-")));

        let result = runtime.add(version, &pod).succeeds();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["interfaces"][1]["sandbox"], pod.path());
        let refused = runtime.add(version, &pod).fails_with(103);
        assert!(refused.contains("attached already"), "{refused}");
        assert!(Traces::of(&lab, node).are_of(1, &without), "{version}: a second ADD leaves the first alone");

        if version >= "0.4.0" {
            for _ in 0..2 {
                assert!(runtime.check(version, &pod, &result).succeeds().is_null());
            }
        } else {
            runtime.check(version, &pod, &result).fails_with(1);
        }
        for verb in ["GC", "STATUS"] {
            let own = json!([{ "containerID": pod.name(), "ifname": "eth0" }]);
            let configuration = json!({ "cniVersion": version, "name": "pods", "type": "sheave-cni", "cni.dev/valid-attachments": own });
            for _ in 0..2 {
                let called = runtime.call_without_pod(verb, &configuration);
                if version >= "1.1.0" {
                    assert!(called.succeeds().is_null(), "{verb} writes nothing");
                } else {
                    called.fails_with(1);
                }
            }
        }
        for _ in 0..2 {
            assert!(runtime.del(version, &pod).succeeds().is_null(), "DEL writes nothing");
        }
        assert_eq!(Traces::of(&lab, node), without, "{version}");
        assert_eq!(pod.shell("ls /sys/class/net"), "lo");
    }
}

#[test]
fn check_says_what_somebody_has_changed() {
    require_root!();
    let lab = lab("check", 1);
    let runtime = lab.runtime(1);
    for (change, in_the_pod, word) in [
        ("ip link set eth0 down", true, "is down"),
        ("ip route del default", true, "no route"),
        ("ip addr flush dev eth0", true, "has not the address"),
        // The agent may have taken note already, and knows the container no more.
        ("ip link del eth0", true, "eth0"),
        ("ip route flush proto 83", false, "the node has no route"),
    ] {
        let pod = Pod::create(lab.node(1), "changed");
        let result = runtime.add("1.0.0", &pod).succeeds();
        if in_the_pod {
            let _ = pod.shell(change);
        } else {
            assert!(lab.node(1).command("sh").unwrap().args(["-c", change]).status().unwrap().success());
        }
        let message = runtime.check("1.0.0", &pod, &result).fails_with(102);
        assert!(message.contains(word), "after `{change}`: {message}");
        runtime.del("1.0.0", &pod).succeeds();
    }
    let pod = Pod::create(lab.node(1), "other");
    let mut result = runtime.add("1.0.0", &pod).succeeds();
    result["ips"][0]["address"] = json!("10.244.1.250/32");
    let message = runtime.check("1.0.0", &pod, &result).fails_with(102);
    assert!(message.contains("10.244.1.250"), "{message}");
}

#[test]
fn gc_removes_what_is_not_in_the_list_and_of_its_own_network_only() {
    require_root!();
    let lab = lab("gc", 1);
    let (node, runtime) = (lab.node(1), lab.runtime(1));
    let without = Traces::of(&lab, node);
    let pods = ["kept", "stale", "other"].map(|name| Pod::create(node, name));
    runtime.add("1.1.0", &pods[0]).succeeds();
    runtime.add("1.1.0", &pods[1]).succeeds();
    let other = json!({ "cniVersion": "1.1.0", "name": "other", "type": "sheave-cni" });
    runtime.call("ADD", &other, &pods[2]).succeeds();
    let valid = json!([{ "containerID": "kept", "ifname": "eth0" }]);
    let mut configuration = json!({ "cniVersion": "1.1.0", "name": "pods", "type": "sheave-cni" });
    let refused = runtime.call_without_pod("GC", &configuration).fails_with(7);
    assert!(refused.contains("valid-attachments"), "{refused}");
    assert!(Traces::of(&lab, node).are_of(3, &without));
    configuration["cni.dev/valid-attachments"] = valid;
    runtime.call_without_pod("GC", &configuration).succeeds();
    assert!(Traces::of(&lab, node).are_of(2, &without), "{:?}", Traces::of(&lab, node));
    assert_eq!(pods.map(|pod| pod.shell("ls /sys/class/net")), ["eth0\nlo", "lo", "eth0\nlo"]);
}

#[test]
fn a_pod_is_wired_as_documented() {
    require_root!();
    let lab = lab("wired", 1);
    let pod = lab.pod(1, "web");
    let (ipv4, ipv6) = (pod.addresses()[0], pod.addresses()[1]);
    assert!(pod.shell("ip -o addr show eth0").contains(&format!("{ipv4}/32")));
    let ipv6_line = pod.shell("ip -o -6 addr show eth0 scope global");
    assert!(ipv6_line.contains(&format!("{ipv6}/128")) && !ipv6_line.contains("tentative"), "{ipv6_line}");
    let routes = pod.shell("ip route; ip -6 route");
    for part in ["default via 169.254.1.1", "169.254.1.1 dev eth0", "default via fe80::1"] {
        assert!(routes.contains(part), "{routes}");
    }
    let neighbours = pod.shell("ip neigh show nud permanent");
    assert!(neighbours.contains("169.254.1.1") && neighbours.contains("fe80::1"), "{neighbours}");
    let alias = lab.node(1).command("sh").unwrap().args(["-c", "cat /sys/class/net/shv*/ifalias"]).output().unwrap();
    assert_eq!(String::from_utf8(alias.stdout).unwrap().trim(), "default/web");
}

#[test]
fn a_wrong_call_leaves_nothing_behind() {
    require_root!();
    let lab = lab("wrong", 1);
    let (node, runtime) = (lab.node(1), lab.runtime(1));
    let without = Traces::of(&lab, node);
    let pod = Pod::create(node, "taken");
    let _ = pod.shell("ip link add eth0 type veth peer name eth1");
    let message = runtime.add("1.0.0", &pod).fails_with(103);
    assert!(message.contains("eth0"), "{message}");
    assert_eq!(Traces::of(&lab, node), without);
    let unsupported = json!({ "cniVersion": "1.0.0", "name": "pods", "ipam": { "type": "host-local" } });
    runtime.call("ADD", &unsupported, &pod).fails_with(2);
    runtime.add("0.2.0", &pod).fails_with(1);
    assert_eq!(Traces::of(&lab, node), without);
}

#[test]
fn debians_portmap_can_follow_in_the_list() {
    require_root!();
    let portmap = "/usr/lib/cni/portmap";
    if !std::fs::exists(portmap).unwrap() {
        return test_support::requirement::cannot_run(&format!(
            "there is no {portmap}: install containernetworking-plugins"
        ));
    }
    let lab = lab("portmap", 1);
    let (node, runtime) = (lab.node(1), lab.runtime(1));
    let without = Traces::of(&lab, node);
    let pod = Pod::create(node, "mapped");
    let ours = json!({ "cniVersion": "0.4.0", "name": "pods", "type": "sheave-cni" });
    let first = runtime.call("ADD", &ours, &pod).succeeds();
    let mappings = json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }] });
    let theirs = json!({
        "cniVersion": "0.4.0", "name": "pods", "type": "portmap", "capabilities": { "portMappings": true },
        "runtimeConfig": mappings, "prevResult": first,
    });
    let last = runtime.call_other(portmap, "ADD", &theirs, &pod).succeeds();
    assert_eq!(last["ips"], first["ips"], "it hands our result on");
    let pod = pod.with_addresses_of(&last);
    let rules = node.command("iptables-save").unwrap().output().unwrap();
    let rules = String::from_utf8(rules.stdout).unwrap();
    assert!(rules.contains(&format!("{}:80", pod.addresses()[0])), "{rules}");
    let mut ours = ours.clone();
    ours["prevResult"] = last.clone();
    // Not portmap's own CHECK: Debian's 1.1.1 looks for the IPv4 rule in the IPv6 table.
    runtime.call("CHECK", &ours, &pod).succeeds();
    for _ in 0..2 {
        let mut theirs = theirs.clone();
        theirs["prevResult"] = last.clone();
        runtime.call_other(portmap, "DEL", &theirs, &pod).succeeds();
        runtime.call("DEL", &ours, &pod).succeeds();
    }
    assert_eq!(Traces::of(&lab, node), without);
}
