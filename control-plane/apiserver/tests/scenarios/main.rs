//! The API server as its clients see it, in process: kube-rs for what it can say, raw requests for the wire.

mod events;
mod evictions;
mod nodes;
mod objects;
mod roles;
mod services;
mod support;
mod versions;
