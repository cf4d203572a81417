//! The API server as its clients see it, in process: kube-rs for what it can say, raw requests for the wire.

mod credentials;
mod events;
mod evictions;
mod lists;
mod nodes;
mod objects;
mod roles;
mod services;
mod support;
mod versions;
mod watches;
mod writes;
