//! The built-in controllers, one module each. They know the API server through a [`kube::Client`] alone, and each
//! other not at all: they meet in the API.
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> Result<(), sheave_controllers::UnknownController> {
//! use sheave_controllers::{CancellationToken, Options};
//!
//! let options = Options { controllers: "*,-cronjob-controller".parse()?, ..Options::default() };
//! let shutdown = CancellationToken::new();
//! let controllers = tokio::spawn(sheave_controllers::run(client, options, shutdown.clone()));
//! // ... and at the end:
//! shutdown.cancel();
//! let _ = controllers.await;
//! # Ok(())
//! # }
//! ```

mod account;
mod certificates;
mod cidr;
mod cluster_roles;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoints;
mod garbage;
mod job;
mod load_balancer;
mod namespace;
mod node;
mod object;
mod options;
mod registry;
mod replica_set;
pub mod runtime;
mod service_account;
mod stateful_set;

pub use tokio_util::sync::CancellationToken;

pub use crate::certificates::{Grant, SignCertificates};
pub use crate::cidr::{Cidr, InvalidCidr};
pub use crate::load_balancer::pool::{InvalidPool, Pool};
pub use crate::options::{Options, Selection, UnknownController};
pub use crate::runtime::clients::Clients;
use crate::runtime::manager::Manager;

/// Runs the selected controllers until `shutdown` is cancelled; returns when every run in progress is done.
///
/// Nothing that a controller meets ends this early: failures are logged, counted and retried. With a plain client for
/// `clients`, all controllers act as whoever that is.
pub async fn run(clients: impl Into<Clients>, options: Options, shutdown: CancellationToken) {
    let mut manager = Manager::new(clients.into(), options.clock.clone(), options.metrics.clone());
    for registration in registry::ALL.iter().filter(|registration| options.controllers.includes(registration)) {
        manager.act_as(account::account_of(registration.name));
        (registration.register)(&mut manager, &options, registration.name);
    }
    manager.until(shutdown).await;
}
