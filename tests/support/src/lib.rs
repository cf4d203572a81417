//! Test hosts in network namespaces, packet builder, program runner.
