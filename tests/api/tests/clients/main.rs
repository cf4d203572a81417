//! Client libraries against the real server over HTTPS: many writers of the same objects, watchers that must miss nothing,
//! server-side apply and types that nobody compiled in.

#![expect(clippy::panic, reason = "a failed expectation of a test is a panic with its message")]

mod contention;
mod library;
mod wire;

use api_tests::Server;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A client with connections of its own.
async fn connect(server_kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(server_kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}

/// Runs `test` against a server of its own, with a way to make clients.
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(String) -> F) {
    let server = Server::start();
    server.block_on(test(server.kubeconfig().to_owned()));
}
