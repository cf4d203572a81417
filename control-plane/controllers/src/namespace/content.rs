//! The content of a namespace: deletes it, and tells what is left.

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::Client;

use crate::runtime::api::Deletion;
use crate::runtime::discovery::{Metadata, ServedKind, served_kinds};
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;

/// What is left of a namespace, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// The kinds could not be discovered.
    pub(super) undiscovered: Option<Error>,
    /// Content could not be deleted.
    pub(super) failures: Vec<Error>,
    /// How many objects of each kind are left.
    pub(super) objects: BTreeMap<String, usize>,
    /// How many objects each finalizer holds.
    pub(super) finalizers: BTreeMap<String, usize>,
}

/// Deletes everything in the namespace. Pods go first, and everything else when they are gone, so that a pod does not
/// outlive its network policies (KEP-5080).
pub(super) async fn delete(client: &Client, namespace: &str) -> Remains {
    let mut remains = Remains::default();
    let kinds = match served_kinds(client).await {
        Ok(kinds) => kinds,
        Err(error) => return Remains { undiscovered: Some(error), ..remains },
    };
    let deletable = kinds.into_iter().filter(|kind| kind.namespaced && kind.takes("delete") && kind.takes("list"));
    let (pods, others): (Vec<_>, Vec<_>) = deletable.partition(is_pod);
    for kinds in [pods, others] {
        let results = join_all(kinds.iter().map(|kind| delete_kind(client, kind, namespace))).await;
        for (kind, result) in kinds.iter().zip(results) {
            match result {
                Ok(left) => remains.add(kind, &left),
                Err(error) => remains.failures.push(error),
            }
        }
        if !remains.is_nothing() {
            break;
        }
    }
    remains
}

fn is_pod(kind: &ServedKind) -> bool {
    kind.resource.group.is_empty() && kind.resource.kind == "Pod"
}

/// Deletes all objects of one kind, and returns those that are left.
async fn delete_kind(client: &Client, kind: &ServedKind, namespace: &str) -> Result<Vec<Metadata>, Error> {
    let present = kind.list(client, namespace).await?.items;
    if present.iter().all(is_going) {
        return Ok(present);
    }
    if !kind.delete_all(client, namespace).await? {
        for object in present.iter().filter(|object| !is_going(object)) {
            let key = ObjectKey::new(namespace, object.metadata.name.clone().unwrap_or_default());
            ignore_not_found(kind.delete(client, &key, &Deletion::of(object).background()).await)?;
        }
    }
    Ok(kind.list(client, namespace).await?.items)
}

fn is_going(object: &Metadata) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

// === impl Remains ===

impl Remains {
    /// Whether the namespace is empty.
    pub(super) fn is_nothing(&self) -> bool {
        self.undiscovered.is_none() && self.failures.is_empty() && self.objects.is_empty()
    }

    /// What went wrong, if anything did.
    pub(super) fn into_error(self) -> Option<Error> {
        self.undiscovered.or_else(|| Error::collect(self.failures).err())
    }

    fn add(&mut self, kind: &ServedKind, left: &[Metadata]) {
        if !left.is_empty() {
            self.objects.insert(kind.title(), left.len());
        }
        for finalizer in left.iter().flat_map(|object| object.metadata.finalizers.iter().flatten()) {
            *self.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
    }
}
