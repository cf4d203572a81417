//! Agents that know the cluster from an API server, with the rights that deploy/sheave.yaml gives them and no others.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::IntoRawFd as _;

use cni_tests::{AgentPaths, Lab};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sheave::listen::Listen;
use sheave::server::{Options, Server};
use test_support::{eventually, require_root};
use testbed::{Profile, Topology};
use tokio::runtime::Runtime;

/// The agent's user, as its service account's token would name it.
const USER: &str = "system:serviceaccount:kube-system:sheave-agent";

/// A control plane in this process that the topology's nodes reach.
struct Control {
    runtime: Runtime,
    server: Option<Server>,
    _data: tempfile::TempDir,
}

impl Control {
    fn start(topology: &Topology) -> Self {
        let address: IpAddr = topology.server().addresses().ipv4.into();
        let listener = topology.server().run(|| TcpListener::bind(SocketAddr::new(address, 6443))).unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut options = Options::new(data.path());
        options.listen = vec![Listen::Descriptor(listener.into_raw_fd())];
        options.advertise_address = Some(address);
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(options)).unwrap();
        Self { runtime, server: Some(server), _data: data }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn nodes(&self) -> Api<Node> {
        let _entered = self.runtime.enter();
        Api::all(self.server().client())
    }

    /// A Node as a kubelet would write it that has just begun: it is not Ready.
    fn create_node(&self, name: &str, address: IpAddr, pods: &str) {
        let spec = json!({ "podCIDR": pods, "podCIDRs": [pods] });
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name }, "spec": spec });
        let status = json!({ "status": { "addresses": [{ "type": "InternalIP", "address": address }] } });
        let nodes = self.nodes();
        self.runtime.block_on(async {
            nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
            nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        });
    }

    fn delete_node(&self, name: &str) {
        self.runtime.block_on(self.nodes().delete(name, &DeleteParams::default())).unwrap();
    }

    /// Makes the service account, role and binding of the manifest that users apply.
    fn grant_what_the_manifest_grants(&self) {
        let manifest =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/sheave.yaml")).unwrap();
        let _entered = self.runtime.enter();
        for document in serde_yaml_ng::Deserializer::from_str(&manifest) {
            let object: Value = serde::Deserialize::deserialize(document).unwrap();
            let kind = object["kind"].as_str().unwrap_or_default();
            if !["ClusterRole", "ClusterRoleBinding"].contains(&kind) {
                continue;
            }
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind));
            let api: Api<DynamicObject> = Api::all_with(self.server().client(), &resource);
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            self.runtime.block_on(api.create(&PostParams::default(), &object)).unwrap();
        }
    }

    /// What the agent's account can do, as a kubeconfig.
    fn kubeconfig(&self) -> String {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
        self.server().kubeconfig_for(USER, &groups).unwrap()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

#[test]
fn an_agent_follows_the_nodes_with_the_manifests_rights_while_its_own_node_is_not_ready() {
    require_root!();
    let topology = Topology::builder("cluster").profile(Profile::Wire).nodes(2).server().build().unwrap();
    let control = Control::start(&topology);
    control.grant_what_the_manifest_grants();
    let names = [1, 2].map(|number| topology.node(number).name().to_string());
    let address_of = |number: u8| IpAddr::from(topology.node(number).addresses().ipv4);
    let (first, second) = (address_of(1), address_of(2));
    let paths = AgentPaths {
        agent: env!("CARGO_BIN_EXE_cni-tests-agent").into(),
        plugin: env!("CARGO_BIN_EXE_cni-tests-plugin").into(),
    };
    let kubeconfig = control.kubeconfig();
    let lab = Lab::with_settings(topology, paths, |node| {
        std::fs::write(node.root().unwrap().join("run/kubeconfig"), &kubeconfig).unwrap();
        json!({ "nodeName": node.name().to_string(), "kubeconfig": "/run/kubeconfig", "log": "debug" })
    });
    let node = lab.node(1);
    eventually!(within: 30s, lab.status(node), "the agent does not answer before it knows its node");
    let unready = lab.status(node).unwrap();
    assert!(unready["ready"]["Err"].as_str().unwrap().contains("Node object"), "{unready}");

    let (own, theirs) = ("10.244.1.0/24", "10.244.2.0/24");
    control.create_node(&names[0], first, own);
    lab.wait_until_ready(node);
    let networks = lab.status(node).unwrap()["podNetworks"].clone();
    assert!(networks.as_array().unwrap().contains(&json!(own)), "{networks}");

    let routes = || {
        let output = node.command("ip").unwrap().args(["route", "show", "proto", "83"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    control.create_node(&names[1], second, theirs);
    eventually!(within: 30s, routes().contains(&format!("{theirs} via {second}")), "no route to {theirs}: {}", routes());
    control.delete_node(&names[1]);
    eventually!(within: 30s, routes().is_empty(), "the route to a node that is gone stays: {}", routes());
}
