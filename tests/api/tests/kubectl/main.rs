//! The command lines of the Kubernetes tutorials that need no node, run by every kubectl version on this machine
//! against a real server, on loopback.

mod configuration;
mod discovery;
mod labels;
mod namespaces;
mod patches;
mod security;
mod services;
mod workloads;

use api_tests::{Kubectl, Server, Terminal};

/// Users beside the administrator, with their groups; each has a kubeconfig of that name beside the commands.
const OTHERS: &[(&str, &[&str])] = &[("alice", &[]), ("carol", &["mydevs"]), ("eve", &[])];

/// Runs `walk` once for each kubectl version, each against a server of its own.
fn with_every_kubectl(walk: fn(&Terminal)) {
    for kubectl in Kubectl::all() {
        let server = Server::start();
        let terminal = Terminal::open(&kubectl, server.kubeconfig());
        for (user, groups) in OTHERS {
            terminal.file(user, &server.kubeconfig_for(user, groups));
        }
        walk(&terminal);
    }
}
