//! The kubelet's own HTTPS port: logs, exec, attach, port-forward, statistics.
