//! The real kubectl and kube-rs against the real API server.
