//! What plugin and agent say to each other over the agent's unix socket.
//!
//! A connection carries one request and one answer, each a line of JSON. With ADD and CHECK the container's network
//! namespace goes along as an open file (SCM_RIGHTS, unix(7)) on the request's first byte. Both sides name the version
//! of the protocol; an agent answers a version that it does not speak with an error that names its own.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::error::CniError;

/// The version that this crate speaks.
pub const VERSION: u32 = 1;

/// Where the agent listens unless its settings and the network configuration say otherwise.
pub const DEFAULT_SOCKET: &str = "/run/sheave/agent.sock";

/// The longest line in bytes that either side reads.
pub const LONGEST_LINE: usize = 4 << 20;

/// One interface of one container in one network: what all verbs are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attachment {
    /// Name of the network, from the configuration.
    pub network: String,
    /// The runtime's id of the container, in Kubernetes of the pod's sandbox.
    pub container: String,
    /// Name of the interface in the container.
    pub interface: String,
}

/// The pod that a container is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid; older runtimes do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// A line from a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Version of the protocol.
    pub version: u32,
    /// What is asked for.
    #[serde(flatten)]
    pub request: Request,
}

/// What can be asked of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Attach a container. The namespace goes along as a file.
    Add {
        /// What to attach.
        attachment: Attachment,
        /// Path of the namespace, for people and for the result.
        namespace: String,
        /// Whose it is.
        pod: Option<PodReference>,
    },
    /// Take an attachment back. One that is not there is no error.
    Del {
        /// What to detach.
        attachment: Attachment,
    },
    /// Compare an attachment with what the kernel has. The namespace goes along as a file.
    Check {
        /// What to compare.
        attachment: Attachment,
        /// The addresses that ADD has given.
        addresses: Vec<IpAddr>,
    },
    /// Take back every attachment of a network that is not in the list.
    Gc {
        /// Name of the network.
        network: String,
        /// What stays.
        valid: Vec<Attachment>,
    },
    /// Whether ADD can succeed.
    Status,
    /// Everything that the agent's command line shows; the answer's form is the agent's own.
    Describe,
    /// Dropped packets as they come: after the answer the agent sends a line for each, until the client goes.
    Monitor,
}

/// A line from the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Version of the protocol.
    pub version: u32,
    /// How it went.
    #[serde(flatten)]
    pub outcome: AnswerOutcome,
}

/// How a request went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum AnswerOutcome {
    /// The container is attached.
    Attached(Attached),
    /// It is done, and there is nothing to tell.
    Done,
    /// What was asked for.
    Described {
        /// The agent's own document.
        description: serde_json::Value,
    },
    /// It is not done.
    Refused {
        /// Why.
        error: CniError,
    },
}

/// An attached container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The node's end of the veth pair.
    pub host_interface: Interface,
    /// The container's end.
    pub pod_interface: Interface,
    /// MTU of both, in bytes.
    pub mtu: u32,
    /// The container's addresses with their gateways, at most one of each family.
    pub addresses: Vec<Address>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its Ethernet address, as six pairs of digits.
    pub mac: String,
}

/// An address of a container. Its prefix has full length: nothing is on its link but the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Where everything is sent to.
    pub gateway: IpAddr,
}

// === impl Message ===

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self { version: VERSION, request }
    }
}

// === impl Answer ===

impl From<AnswerOutcome> for Answer {
    fn from(outcome: AnswerOutcome) -> Self {
        Self { version: VERSION, outcome }
    }
}

impl From<Result<AnswerOutcome, CniError>> for Answer {
    fn from(result: Result<AnswerOutcome, CniError>) -> Self {
        result.unwrap_or_else(|error| AnswerOutcome::Refused { error }).into()
    }
}

// === impl Address ===

impl Address {
    /// Length of its prefix: all of it.
    pub fn prefix(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// An agent of one version meets plugins of others during an upgrade: the lines must not change by accident.
    #[test]
    fn the_lines_are_as_written_down() {
        let attachment = Attachment { network: "pods".into(), container: "c".into(), interface: "eth0".into() };
        let del = Message::from(Request::Del { attachment });
        let line =
            r#"{"version":1,"request":"del","attachment":{"network":"pods","container":"c","interface":"eth0"}}"#;
        assert_eq!(serde_json::to_string(&del).unwrap(), line);
        assert_eq!(serde_json::from_str::<Message>(line).unwrap(), del);

        let refused = Answer::from(Err(CniError::new(Code::NoAddress, "none")));
        let line = r#"{"version":1,"outcome":"refused","error":{"code":101,"message":"none"}}"#;
        assert_eq!(serde_json::to_string(&refused).unwrap(), line);
        assert_eq!(serde_json::from_str::<Answer>(line).unwrap(), refused);
        let done = r#"{"version":1,"outcome":"done"}"#;
        assert_eq!(serde_json::from_str::<Answer>(done).unwrap(), Answer::from(AnswerOutcome::Done));
    }
}
