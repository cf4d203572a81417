//! The slices that one manager keeps: which stand, how a new one looks, how changes are carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::desired::AddressType;
use super::placement::Changes;
use super::{MANAGED_BY, SERVICE_NAME};
use crate::object::owner::{controller_key, controller_reference, is_deleted};
use crate::object::template::name_prefix;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::{Cache, Index};
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;

/// Keeps the slices whose label names `manager`. Keys are those of the slices' owners, which are named like the Service.
pub(super) struct Keeper {
    manager: &'static str,
    requests: Requests,
    slices: Cache<EndpointSlice>,
    expectations: Expectations<EndpointSlice>,
}

// === impl Keeper ===

impl Keeper {
    /// Slices that somebody else changes or removes wake their owner, which is of kind `K`.
    pub(super) fn new<K>(manager: &mut Manager, label: &'static str, queue: &WorkQueue<ObjectKey>) -> Self
    where
        K: Resource<DynamicType = ()>,
    {
        let slices = manager.cache::<EndpointSlice>();
        slices.on_change({
            let queue = queue.clone();
            move |change| {
                let ours = change.latest().filter(|slice| is_managed_by(slice, label));
                let owner = ours.and_then(|slice| controller_key::<K>(&slice.metadata));
                owner.into_iter().for_each(|key| queue.add(key));
            }
        });
        let expectations = Expectations::new(slices.clone());
        Self { manager: label, requests: manager.requests(), slices, expectations }
    }

    /// The caches that must be complete, with that of the slices.
    pub(super) fn needed(&self, needs: Needs) -> Needs {
        needs.and(&self.slices)
    }

    /// Whether the cache shows all that was written for `key`.
    pub(super) fn is_settled(&self, key: &ObjectKey) -> bool {
        self.expectations.are_met(key)
    }

    /// Forgets `key`, whose owner is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.expectations.forget(key);
    }

    /// The slices of an owner.
    pub(super) fn of_owner(&self, uid: &str) -> Vec<Arc<EndpointSlice>> {
        self.ours(self.slices.find(&Index::Controller(uid.to_owned())))
    }

    /// The slices for a Service, also when their owner is gone.
    pub(super) fn of_service(&self, key: &ObjectKey) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.ours(self.slices.in_namespace(&key.namespace));
        slices.retain(|slice| label(slice, SERVICE_NAME) == Some(&key.name));
        slices
    }

    fn ours(&self, mut slices: Vec<Arc<EndpointSlice>>) -> Vec<Arc<EndpointSlice>> {
        slices.retain(|slice| is_managed_by(slice, self.manager) && !is_deleted(&slice.metadata));
        slices
    }

    /// A slice without content, with a name to be generated, of an owner that is named like the Service.
    pub(super) fn empty_slice<K: Resource<DynamicType = ()>>(
        &self,
        owner: &K,
        family: AddressType,
        mut labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    ) -> EndpointSlice {
        let name = owner.meta().name.clone().unwrap_or_default();
        labels.insert(MANAGED_BY.into(), self.manager.into());
        labels.insert(SERVICE_NAME.into(), name.clone());
        EndpointSlice {
            address_type: family.as_str().into(),
            endpoints: Vec::new(),
            metadata: ObjectMeta {
                generate_name: Some(name_prefix(&name)),
                namespace: owner.meta().namespace.clone(),
                labels: Some(labels),
                annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
                owner_references: Some(vec![controller_reference(owner)]),
                ..ObjectMeta::default()
            },
            ports: None,
        }
    }

    /// Carries out what was planned for the slices of `key`.
    pub(super) async fn carry_out(&self, key: &ObjectKey, changes: &Changes) -> Result<(), Error> {
        for slice in &changes.update {
            self.expectations.wrote(key, &self.requests.replace(slice).await?);
        }
        for slice in &changes.create {
            match self.requests.create(slice).await {
                Ok(created) => self.expectations.wrote(key, &created),
                // The namespace is going, and everything in it.
                Err(error) if error.is_namespace_terminating() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        for slice in &changes.delete {
            let (name, deletion) = (ObjectKey::of(slice.as_ref()), Deletion::of(slice.as_ref()));
            ignore_not_found(self.requests.delete::<EndpointSlice>(&name, &deletion).await)?;
            self.expectations.deleted(key, slice);
        }
        Ok(())
    }
}

fn label<'a>(slice: &'a EndpointSlice, key: &str) -> Option<&'a String> {
    slice.metadata.labels.as_ref()?.get(key)
}

fn is_managed_by(slice: &EndpointSlice, manager: &str) -> bool {
    label(slice, MANAGED_BY).is_some_and(|by| by == manager)
}
