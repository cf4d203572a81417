//! A container runtime, as far as CNI goes: calls the plugins of a list one after another, as the specification says.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use testbed::{HostCommand, Node, Process};

use crate::pod::Pod;

/// The versions that the plugin must speak.
pub const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The plugin, called on a node.
#[derive(Clone, Debug)]
pub struct Runtime<'a> {
    node: &'a Node,
    plugin: PathBuf,
}

/// How a call went.
#[derive(Clone, Debug)]
pub struct Called {
    /// What was called, for messages.
    what: String,
    /// What came on standard output; null when there was nothing.
    pub output: Value,
    /// Whether the plugin said that it succeeded.
    pub succeeded: bool,
}

// === impl Runtime ===

impl<'a> Runtime<'a> {
    pub(crate) fn new(node: &'a Node, plugin: &Path) -> Self {
        Self { node, plugin: plugin.to_owned() }
    }

    /// Calls ADD.
    #[must_use]
    pub fn add(&self, version: &str, pod: &Pod<'_>) -> Called {
        self.call("ADD", &configuration(version), pod)
    }

    /// Calls DEL.
    #[must_use]
    pub fn del(&self, version: &str, pod: &Pod<'_>) -> Called {
        self.call("DEL", &configuration(version), pod)
    }

    /// Calls CHECK with the result of an ADD.
    #[must_use]
    pub fn check(&self, version: &str, pod: &Pod<'_>, result: &Value) -> Called {
        let mut configuration = configuration(version);
        configuration["prevResult"] = result.clone();
        self.call("CHECK", &configuration, pod)
    }

    /// Calls a verb about a pod with a configuration.
    #[must_use]
    pub fn call(&self, verb: &str, configuration: &Value, pod: &Pod<'_>) -> Called {
        self.finish(verb, self.begin(&self.plugin, verb, configuration, pod))
    }

    /// Calls another plugin of the node's about a pod.
    #[must_use]
    pub fn call_other(&self, plugin: &str, verb: &str, configuration: &Value, pod: &Pod<'_>) -> Called {
        self.finish(verb, self.begin(Path::new(plugin), verb, configuration, pod))
    }

    /// Begins to call a verb about a pod, for tests that end it early.
    ///
    /// # Panics
    /// When the plugin cannot be started.
    #[must_use]
    pub fn begin_call(&self, verb: &str, configuration: &Value, pod: &Pod<'_>) -> Process {
        self.begin(&self.plugin, verb, configuration, pod)
    }

    /// Calls a verb about no pod.
    #[must_use]
    pub fn call_without_pod(&self, verb: &str, configuration: &Value) -> Called {
        self.finish(verb, start(self.command(&self.plugin, verb), configuration))
    }

    fn begin(&self, plugin: &Path, verb: &str, configuration: &Value, pod: &Pod<'_>) -> Process {
        let arguments = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={}", pod.name());
        let command = self
            .command(plugin, verb)
            .env("CNI_CONTAINERID", pod.name())
            .env("CNI_NETNS", pod.path())
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", arguments);
        start(command, configuration)
    }

    fn command(&self, plugin: &Path, verb: &str) -> HostCommand {
        let command = self.node.command(plugin).expect("the node runs").clean_env();
        command.env("CNI_COMMAND", verb).env("CNI_PATH", "/usr/lib/cni")
    }

    fn finish(&self, verb: &str, mut process: Process) -> Called {
        let mut output = String::new();
        let stdout = process.stdout.take();
        stdout.expect("it is piped").read_to_string(&mut output).expect("its output");
        let succeeded = process.wait().expect("its end").success();
        let what = format!("{verb} on {}", self.node.name());
        let document =
            if output.is_empty() { Value::Null } else { serde_json::from_str(&output).expect("it writes JSON") };
        Called { what, output: document, succeeded }
    }
}

// === impl Called ===

impl Called {
    /// The result.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn succeeds(self) -> Value {
        assert!(self.succeeded, "{} failed: {}", self.what, self.output);
        self.output
    }

    /// The message of the error.
    ///
    /// # Panics
    /// When it succeeded, or failed with another code.
    #[track_caller]
    pub fn fails_with(self, code: u32) -> String {
        assert!(!self.succeeded, "{} succeeded: {}", self.what, self.output);
        assert_eq!(self.output["code"], code, "{}: {}", self.what, self.output);
        self.output["msg"].as_str().unwrap_or_default().to_owned()
    }
}

/// The plugin's part of a network configuration.
fn configuration(version: &str) -> Value {
    json!({ "cniVersion": version, "name": "pods", "type": "sheave-cni" })
}

fn start(command: HostCommand, configuration: &Value) -> Process {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = piped.spawn().expect("the plugin starts");
    let mut stdin = process.stdin.take().expect("it is piped");
    // A plugin that was refused already need not read it.
    let _ = stdin.write_all(configuration.to_string().as_bytes());
    process
}
