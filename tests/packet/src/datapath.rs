//! The programs of the pod network: what each does with a packet, in both families.

mod flows;
mod masquerade;
mod pod;
mod scene;
mod uplink;
