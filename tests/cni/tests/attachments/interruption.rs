//! Somebody dies in the middle: the plugin, the agent, the container. Afterwards nothing is left over, and nothing
//! that was promised is lost.

use std::thread::sleep;
use std::time::Duration;

use cni_tests::Pod;
use serde_json::json;
use test_support::{eventually, require_root};

use crate::kernel::Traces;
use crate::lab;

#[test]
fn without_an_agent_add_says_try_again_later_and_del_succeeds() {
    require_root!();
    let lab = lab("away", 1);
    let (node, runtime) = (lab.node(1), lab.runtime(1));
    let without = Traces::of(&lab, node);
    let [gone, stays] = ["gone", "stays"].map(|name| Pod::create(node, name));
    let promised = runtime.add("1.1.0", &stays).succeeds();
    runtime.add("1.1.0", &gone).succeeds();
    lab.kill_agent(node);

    let new = Pod::create(node, "new");
    let message = runtime.add("1.1.0", &new).fails_with(11);
    assert!(message.contains("sheave-agent"), "{message}");
    runtime.del("1.1.0", &gone).succeeds();
    runtime.call_without_pod("STATUS", &json!({ "cniVersion": "1.1.0", "name": "pods" })).fails_with(50);
    assert_eq!(stays.shell("ls /sys/class/net"), "eth0\nlo", "what is attached stays so");
    drop(gone);

    lab.start_agent(node);
    lab.wait_until_ready(node);
    eventually!(within: 20s, Traces::of(&lab, node).are_of(1, &without), "it does not catch up: {:?}", Traces::of(&lab, node));
    runtime.check("1.1.0", &stays, &promised).succeeds();
    let next = runtime.add("1.1.0", &new).succeeds();
    assert_ne!(next["ips"][0]["address"], promised["ips"][0]["address"]);
}

#[test]
fn a_container_that_ends_without_del_leaves_nothing() {
    require_root!();
    let lab = lab("ends", 1);
    let node = lab.node(1);
    let without = Traces::of(&lab, node);
    let pod = lab.pod(1, "short");
    assert!(Traces::of(&lab, node).are_of(1, &without));
    drop(pod);
    eventually!(within: 20s, Traces::of(&lab, node) == without, "it stays: {:?}", Traces::of(&lab, node));
}

/// The agent dies at ever later moments of an ADD, which takes some ten milliseconds.
#[test]
fn an_agent_killed_at_any_step_of_an_add_leaves_nothing_that_was_not_promised() {
    require_root!();
    let lab = lab("killed", 1);
    let (node, runtime) = (lab.node(1), lab.runtime(1));
    let without = Traces::of(&lab, node);
    let configuration = json!({ "cniVersion": "1.1.0", "name": "pods", "type": "sheave-cni" });
    let mut outcomes = (0, 0);
    for step in 0..24_u64 {
        let pod = Pod::create(node, &format!("step-{step}"));
        let call = runtime.begin_call("ADD", &configuration, &pod);
        sleep(Duration::from_micros(step * 2500));
        lab.kill_agent(node);
        let succeeded = call.wait().unwrap().success();
        lab.start_agent(node);
        lab.wait_until_ready(node);
        if succeeded {
            outcomes.0 += 1;
            assert!(
                Traces::of(&lab, node).are_of(1, &without),
                "step {step}: a promised pod is lost: {:?}",
                Traces::of(&lab, node)
            );
        } else {
            outcomes.1 += 1;
        }
        // As a runtime does after either.
        runtime.del("1.1.0", &pod).succeeds();
        assert_eq!(Traces::of(&lab, node), without, "step {step}");
    }
    assert!(outcomes.0 > 0 && outcomes.1 > 0, "the moments cover both outcomes: {outcomes:?}");
}

/// The plugin dies at ever later moments; nobody calls DEL.
#[test]
fn a_plugin_killed_at_any_step_of_an_add_leaves_a_whole_pod_or_none() {
    require_root!();
    let lab = lab("plugin", 1);
    let (node, runtime) = (lab.node(1), lab.runtime(1));
    let without = Traces::of(&lab, node);
    let configuration = json!({ "cniVersion": "1.1.0", "name": "pods", "type": "sheave-cni" });
    for step in 0..24_u64 {
        let pod = Pod::create(node, &format!("step-{step}"));
        let call = runtime.begin_call("ADD", &configuration, &pod);
        sleep(Duration::from_micros(step * 2500));
        call.kill().unwrap();
        let settled = || {
            let traces = Traces::of(&lab, node);
            traces == without || traces.are_of(1, &without)
        };
        eventually!(within: 20s, settled(), "step {step}: neither whole nor gone: {:?}", Traces::of(&lab, node));
        runtime.del("1.1.0", &pod).succeeds();
        eventually!(within: 20s, Traces::of(&lab, node) == without, "step {step}: {:?}", Traces::of(&lab, node));
    }
}

#[test]
fn cleanup_takes_everything_away() {
    require_root!();
    let lab = lab("cleanup", 2);
    let node = lab.node(1);
    let pod = lab.pod(1, "web");
    let refused = node.command(env!("CARGO_BIN_EXE_cni-tests-agent")).unwrap();
    let refused = refused.args(["cleanup", "--config", lab.settings_file()]).output().unwrap();
    assert!(!refused.status.success(), "it must not pull the net from under a running agent");
    lab.kill_agent(node);
    for _ in 0..2 {
        lab.command(node, &["cleanup", "--config", lab.settings_file()]);
        let left = "ls /sys/class/net | grep shv; ip route show proto 83; ip -6 route show proto 83; ls /sys/fs/bpf/sheave \
                    /run/sheave 2>/dev/null; cat /proc/sys/net/ipv4/ip_local_reserved_ports | grep 61000; true";
        let left = node.command("sh").unwrap().args(["-c", left]).output().unwrap();
        assert_eq!(String::from_utf8(left.stdout).unwrap(), "");
    }
    assert_eq!(pod.shell("ls /sys/class/net"), "lo");
}
