//! Two hundred pods made and removed at random, several at a time, while a pod that stays is spoken to.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cni_tests::Pod;
use rand::RngExt as _;
use test_support::{eventually, require_root};

use crate::kernel::Traces;
use crate::lab;

/// Pods that are made in all, and how many workers make them.
const PODS: usize = 200;
const WORKERS: usize = 4;

#[test]
fn two_hundred_pods_come_and_go_under_traffic_and_leave_nothing() {
    require_root!();
    let lab = lab("churn", 1);
    let node = lab.node(1);
    let without = Traces::of(&lab, node);
    let [client, server] = ["client", "server"].map(|name| lab.pod(1, name));
    let in_use: Mutex<HashSet<IpAddr>> =
        Mutex::new(client.addresses().iter().chain(server.addresses()).copied().collect());
    let (made, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sent, answered) = thread::scope(|scope| {
        let traffic = scope.spawn(|| ask_until(&over, &client, &server));
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (made, in_use, lab) = (&made, &in_use, &lab);
                scope.spawn(move || {
                    let mut pods: Vec<Pod<'_>> = Vec::new();
                    while made.load(Ordering::Relaxed) < PODS || !pods.is_empty() {
                        let add =
                            made.load(Ordering::Relaxed) < PODS && (pods.is_empty() || rand::rng().random_bool(0.6));
                        if add {
                            let number = made.fetch_add(1, Ordering::Relaxed);
                            let pod = lab.pod(1, &format!("w{worker}-{number}"));
                            for address in pod.addresses() {
                                assert!(in_use.lock().unwrap().insert(*address), "{address} was given out twice");
                            }
                            pods.push(pod);
                        } else {
                            let pod = pods.swap_remove(rand::rng().random_range(0..pods.len()));
                            // Before DEL: from then on it may be given out again.
                            in_use.lock().unwrap().retain(|address| !pod.addresses().contains(address));
                            lab.runtime(1).del("1.1.0", &pod).succeeds();
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        traffic.join().unwrap()
    });
    assert!(sent > 0 && answered == sent, "{answered} of {sent} questions were answered");
    eventually!(within: 20s, Traces::of(&lab, node).are_of(2, &without), "something is left: {:?}", Traces::of(&lab, node));
    for pod in [&client, &server] {
        lab.runtime(1).del("1.1.0", pod).succeeds();
    }
    assert_eq!(Traces::of(&lab, node), without);
}

/// Asks a server again and again; gives how many questions there were, and how many answers.
fn ask_until(over: &AtomicBool, client: &Pod<'_>, server: &Pod<'_>) -> (usize, usize) {
    let address = server.addresses()[0];
    let asked = server.run(|| UdpSocket::bind((address, 0))).unwrap();
    let asking = client.run(|| UdpSocket::bind((client.addresses()[0], 0))).unwrap();
    let to = SocketAddr::new(address, asked.local_addr().unwrap().port());
    for socket in [&asked, &asking] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    let (mut sent, mut answered, mut buffer) = (0, 0, [0; 64]);
    while !over.load(Ordering::Relaxed) {
        sent += 1;
        asking.send_to(b"question", to).unwrap();
        let Ok((length, from)) = asked.recv_from(&mut buffer) else { continue };
        asked.send_to(&buffer[..length], from).unwrap();
        answered += usize::from(asking.recv(&mut buffer).is_ok());
        thread::sleep(Duration::from_millis(2));
    }
    (sent, answered)
}
