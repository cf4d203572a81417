//! Addresses for Services of type LoadBalancer, from a configured pool. Traffic to them is the dataplane's matter.

pub(crate) mod pool;

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service, ServiceSpec};
use parking_lot::Mutex;

use self::pool::{Leases, Pool};
use crate::object::owner::is_deleted;
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

/// Who reports events, as users know it.
const COMPONENT: &str = "service-controller";
/// One at a time: addresses are few, and two Services must not get the same.
const WORKERS: usize = 1;

struct Controller {
    requests: Requests,
    recorder: Recorder,
    services: Cache<Service>,
    queue: WorkQueue<ObjectKey>,
    pool: Pool,
    /// `None` before the first run.
    leases: Mutex<Option<Leases>>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str, pool: Pool) {
    let services = manager.cache::<Service>();
    let queue = manager.queue::<ObjectKey>(name);
    services.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|service| queue.add(ObjectKey::of(service)))
    });
    let controller = Controller {
        requests: manager.requests(),
        recorder: manager.recorder(COMPONENT),
        services: services.clone(),
        queue: queue.clone(),
        pool,
        leases: Mutex::default(),
    };
    manager.run(name, WORKERS, Needs::default().and(&services), queue, controller);
}

/// Whether this controller balances the Service: a class means somebody else does.
fn is_ours(service: &Service) -> bool {
    let ours = |spec: &ServiceSpec| spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none();
    service.spec.as_ref().is_some_and(ours) && !is_deleted(&service.metadata)
}

/// The addresses in the status.
fn published(service: &Service) -> Vec<IpAddr> {
    let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    ingress.into_iter().flatten().filter_map(|ingress| ingress.ip.as_ref()?.parse().ok()).collect()
}

/// For each family of the Service whether it is IPv6.
fn families(service: &Service) -> Vec<bool> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
    if families.is_empty() { vec![false] } else { families.iter().map(|family| family == "IPv6").collect() }
}

fn asked(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.load_balancer_ip.as_ref()?.parse().ok()
}

fn with_addresses(service: &Service, addresses: &[IpAddr]) -> Service {
    let mut updated = service.clone();
    let ingress = addresses.iter().map(|address| LoadBalancerIngress {
        ip: Some(address.to_string()),
        ip_mode: Some("VIP".into()),
        ..LoadBalancerIngress::default()
    });
    let ingress: Vec<_> = ingress.collect();
    let status = LoadBalancerStatus { ingress: (!ingress.is_empty()).then_some(ingress) };
    updated.status.get_or_insert_default().load_balancer = Some(status);
    updated
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(service) = self.services.get(key) else {
            self.release(key);
            return Ok(Action::await_change());
        };
        if is_ours(&service) { self.ensure(key, &service).await } else { self.withdraw(key, &service).await }
    }
}

impl Controller {
    async fn ensure(&self, key: &ObjectKey, service: &Service) -> Result<Action, Error> {
        let standing = published(service);
        let assigned = {
            let mut leases = self.leases.lock();
            let leases = leases.get_or_insert_with(|| self.take_stock());
            leases.assign(key, &families(service), &standing, asked(service))
        };
        match assigned {
            Ok(addresses) if addresses == standing => Ok(Action::await_change()),
            Ok(addresses) => {
                self.recorder.normal(service, "EnsuringLoadBalancer", "Ensuring load balancer");
                ignore_not_found(self.requests.replace_status(&with_addresses(service, &addresses)).await)?;
                self.recorder.normal(service, "EnsuredLoadBalancer", "Ensured load balancer");
                Ok(Action::await_change())
            }
            Err(reason) => {
                let message = format!("Error syncing load balancer: failed to ensure load balancer: {reason}");
                self.recorder.warning(service, "SyncLoadBalancerFailed", message);
                Err(Error::Invalid { object: format!("Service {key}"), reason })
            }
        }
    }

    /// A Service that is balanced no more, or by somebody else: gives back what is ours.
    async fn withdraw(&self, key: &ObjectKey, service: &Service) -> Result<Action, Error> {
        let had = self.release(key);
        let somebody_elses = service.spec.as_ref().is_some_and(|spec| spec.load_balancer_class.is_some());
        if !published(service).is_empty() && (had || !somebody_elses) && !is_deleted(&service.metadata) {
            self.recorder.normal(service, "DeletingLoadBalancer", "Deleting load balancer");
            ignore_not_found(self.requests.replace_status(&with_addresses(service, &[])).await)?;
            self.recorder.normal(service, "DeletedLoadBalancer", "Deleted load balancer");
        }
        Ok(Action::await_change())
    }

    /// Takes back the addresses of `key`, and wakes those who wait for one.
    fn release(&self, key: &ObjectKey) -> bool {
        let released = self.leases.lock().get_or_insert_with(|| self.take_stock()).release(key);
        if released {
            let waiting = self.services.list().into_iter().filter(|it| is_ours(it) && published(it).is_empty());
            waiting.for_each(|service| self.queue.add(ObjectKey::of(service.as_ref())));
        }
        released
    }

    /// What Services had before this process began.
    fn take_stock(&self) -> Leases {
        let mut leases = Leases::new(self.pool.clone());
        for service in self.services.list().into_iter().filter(|service| is_ours(service)) {
            leases.restore(&ObjectKey::of(service.as_ref()), &published(&service));
        }
        leases
    }
}
