//! ConfigMaps, Secrets, Services and service-account tokens, as this node's pods need them.
