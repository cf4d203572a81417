//! Clients by whom they act for.

use std::sync::Arc;

use kube::Client;

/// The client for what all controllers share, such as watches, and the one that each controller writes with. So each
/// needs no more rights than its own.
#[derive(Clone)]
pub struct Clients {
    shared: Client,
    by_account: Arc<dyn Fn(&str) -> Client + Send + Sync>,
}

// === impl Clients ===

impl Clients {
    /// `by_account` gives the client of a service account in kube-system, such as `deployment-controller`.
    pub fn new(shared: Client, by_account: impl Fn(&str) -> Client + Send + Sync + 'static) -> Self {
        Self { shared, by_account: Arc::new(by_account) }
    }

    /// The client for what all share.
    pub fn shared(&self) -> &Client {
        &self.shared
    }

    /// The client of a service account; the shared one where there is none.
    pub fn of(&self, account: Option<&str>) -> Client {
        account.map_or_else(|| self.shared.clone(), |account| (self.by_account)(account))
    }
}

impl From<Client> for Clients {
    /// One client for everybody.
    fn from(client: Client) -> Self {
        let shared = client.clone();
        Self::new(shared, move |_| client.clone())
    }
}
