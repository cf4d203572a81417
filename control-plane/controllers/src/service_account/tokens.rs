//! Secrets with tokens of service accounts that are gone: nobody may go on using them.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use crate::object::owner::uid;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::Cache;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const WORKERS: usize = 1;

/// Keys are secrets.
struct Controller {
    requests: Requests,
    accounts: Cache<ServiceAccount>,
    secrets: Cache<Secret>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (accounts, secrets) = (manager.cache::<ServiceAccount>(), manager.cache::<Secret>());
    let queue = manager.queue::<ObjectKey>(name);
    secrets.on_change({
        let queue = queue.clone();
        move |change| {
            let token = change.new.filter(|secret| account_of(secret).is_some());
            token.into_iter().for_each(|secret| queue.add(ObjectKey::of(secret.as_ref())));
        }
    });
    accounts.on_change({
        let (secrets, queue) = (secrets.clone(), queue.clone());
        move |change| {
            let Some(gone) = change.old.filter(|_| change.new.is_none()) else { return };
            for secret in secrets.in_namespace(gone.metadata.namespace.as_deref().unwrap_or_default()) {
                if account_of(&secret) == gone.metadata.name.as_deref() {
                    queue.add(ObjectKey::of(secret.as_ref()));
                }
            }
        }
    });
    let controller = Controller { requests: manager.requests(), accounts: accounts.clone(), secrets: secrets.clone() };
    manager.run(name, WORKERS, Needs::default().and(&accounts).and(&secrets), queue, controller);
}

/// The account that a token secret names.
fn account_of(secret: &Secret) -> Option<&str> {
    let annotations = secret.metadata.annotations.as_ref().filter(|_| secret.type_.as_deref() == Some(TYPE))?;
    annotations.get(ACCOUNT_NAME).map(String::as_str)
}

/// Whether the secret was made for exactly this account rather than for one of the same name.
fn is_for(secret: &Secret, account: &ServiceAccount) -> bool {
    let annotated = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ACCOUNT_UID));
    annotated.is_none_or(|annotated| annotated == uid(&account.metadata))
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(secret) = self.secrets.get(key) else { return Ok(Action::await_change()) };
        let Some(name) = account_of(&secret) else { return Ok(Action::await_change()) };
        let account_key = key.sibling(name);
        if self.accounts.get(&account_key).is_some_and(|account| is_for(&secret, &account)) {
            return Ok(Action::await_change());
        }
        // The cache may not know an account yet that was made right before its secret.
        let account = self.requests.get::<ServiceAccount>(&account_key).await?;
        if !account.is_some_and(|account| is_for(&secret, &account)) {
            ignore_not_found(self.requests.delete::<Secret>(key, &Deletion::of(secret.as_ref())).await)?;
        }
        Ok(Action::await_change())
    }
}
