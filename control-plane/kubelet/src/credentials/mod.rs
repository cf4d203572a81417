//! How a node becomes known to its cluster, and stays so: it joins with a bootstrap token, gets certificates of its own
//! by CertificateSigningRequest, and renews them while it runs.
//!
//! ```text
//! TOKEN@URL#sha256:HASH
//!   1. the cluster's authority comes over a connection that nobody has verified, and must have the hash
//!   2. the token asks for a client certificate   kubernetes.io/kube-apiserver-client-kubelet
//!   3. the node asks for one of its port         kubernetes.io/kubelet-serving
//! ```

mod certificate;
mod client;
mod join;
mod keep;

pub use certificate::{Certificate, CertificateError, Pair};
pub use client::{ClientCertificate, ClientError, client};
pub use join::{Join, JoinError, Joined, join, join_as};
pub use keep::keep;
