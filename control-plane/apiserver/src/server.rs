//! The API server: a store, a registry, and what is derived from both.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use sheave_api::Document;
use sheave_api::discovery::Discovery;
use sheave_api::kind::Kind;
use sheave_api::openapi::OpenApi;
use sheave_api::registry::Registry;
use sheave_api::view::View as _;
use sheave_store::{Operation, Revision, Store};
use tokio_util::sync::CancellationToken;

use crate::alloc;
use crate::authn::{Authenticator, Identity, TokenKeys};
use crate::authz::Authorizer;
use crate::body::{BoxError, ResponseBody};
use crate::bootstrap::{self, BootstrapError};
use crate::call::Call;
use crate::event_ttl::EventLeases;
use crate::in_flight::InFlight;
use crate::keys;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::paths::Readiness;
use crate::read::EventCache;
use crate::reply::Reply;
use crate::serve;
use crate::status::StatusError;

/// The Kubernetes API over a store. Cloning gives another handle to the same server.
///
/// As a `tower::Service` it answers requests from wherever they come; it is the only writer to its store.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

/// A client inside this process: requests go straight to the handlers, on behalf of one identity.
#[derive(Clone)]
struct InProcess {
    server: ApiServer,
    identity: Identity,
}

/// What every request shares.
pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) discovery: Discovery,
    pub(crate) openapi: OpenApi,
    pub(crate) options: Options,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Authorizer,
    pub(crate) in_flight: InFlight,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    other_metrics: Mutex<Vec<Box<dyn Fn() -> String + Send + Sync>>>,
    /// Ends watches and other long requests.
    pub(crate) shutdown: CancellationToken,
    pub(crate) event_leases: EventLeases,
    /// Shared watch events, by the prefix under which a kind is stored.
    events: HashMap<String, Arc<EventCache>>,
}

// === impl ApiServer ===

impl ApiServer {
    /// A server over `store`, which must have been opened with [`store_options`](crate::store_options). The objects that
    /// every cluster has from the start are there when it returns.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn start(store: Arc<Store>, options: Options) -> Result<Self, BootstrapError> {
        let keys = match &options.token_keys {
            Some(keys) => Arc::clone(keys),
            None => Arc::new(TokenKeys::generate()?.0),
        };
        let server = Self::new(store, options, keys);
        alloc::repair(&server.inner.store).await?;
        bootstrap::bootstrap(&server, &server.inner.options).await?;
        server.inner.readiness.set_started();
        Ok(server)
    }

    fn new(store: Arc<Store>, options: Options, keys: Arc<TokenKeys>) -> Self {
        let registry = Arc::new(Registry::builtin());
        let events = registry.kinds().map(|kind| (keys::kind_prefix(kind), Arc::default())).collect();
        let authenticator = Authenticator {
            store: Arc::clone(&store),
            keys,
            issuer: options.issuer.clone(),
            audiences: vec![options.issuer.clone()],
        };
        let inner = Inner {
            authorizer: Authorizer::spawn(Arc::clone(&store)),
            openapi: OpenApi::new(Arc::clone(&registry)),
            discovery: Discovery::new(&registry, &options.advertise.to_string()),
            event_leases: EventLeases::new(options.event_ttl),
            store,
            registry,
            options,
            authenticator,
            in_flight: InFlight::default(),
            readiness: Readiness::default(),
            metrics: Metrics::default(),
            other_metrics: Mutex::default(),
            shutdown: CancellationToken::new(),
            events,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A client in this process that acts as `identity`: no TCP, no TLS, no token.
    #[must_use]
    pub fn client(&self, identity: Identity) -> kube::Client {
        kube::Client::new(InProcess { server: self.clone(), identity }, "default")
    }

    /// Answers one request. Whatever the request is, the answer is a response.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        serve::serve(&self.inner, request).await
    }

    /// Adds what others count in this process, in Prometheus' text format, to `/metrics`.
    pub fn add_metrics(&self, render: impl Fn() -> String + Send + Sync + 'static) {
        self.inner.other_metrics.lock().push(Box::new(render));
    }

    /// Begins the end: `/readyz` fails and watches end, so that clients go elsewhere; other requests go on.
    pub fn drain(&self) {
        self.inner.readiness.set_stopping();
        self.inner.shutdown.cancel();
    }
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}

// === impl InProcess ===

impl<B> tower::Service<Request<B>> for InProcess
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.identity.clone());
        self.server.call(request)
    }
}

// === impl Inner ===

impl Inner {
    /// The answer of `/metrics`.
    pub(crate) fn exposition(&self) -> Reply {
        let others: String = self.other_metrics.lock().iter().map(|render| render()).collect();
        self.metrics.exposition(&self.in_flight, self.store.revision().0, &others)
    }

    /// The shared events of a kind.
    pub(crate) fn events_of(&self, kind: &Kind) -> Arc<EventCache> {
        self.events.get(&keys::kind_prefix(kind)).cloned().unwrap_or_default()
    }

    /// Waits until what is derived from objects of `kind` has seen `revision`.
    pub(crate) async fn caught_up(&self, kind: &Kind, revision: Revision) {
        if kind.gvk.group == "rbac.authorization.k8s.io" {
            self.authorizer.caught_up(revision).await;
        }
    }

    /// The operations that reserve what a new or changed object needs for itself alone, such as a service's addresses.
    pub(crate) fn reserve(
        &self,
        call: &Call,
        object: &mut Document,
        old: Option<&Document>,
        dry_run: bool,
    ) -> Result<Vec<Operation>, StatusError> {
        if !is_service(&call.stored_kind) {
            return Ok(Vec::new());
        }
        let operations = alloc::reserve(&self.store, &self.options, object, old)
            .map_err(|errors| StatusError::invalid(&call.kind, object.text("metadata.name"), &errors))?;
        Ok(if dry_run { Vec::new() } else { operations })
    }

    /// Completes an update with what the object has reserved and the client left out.
    pub(crate) fn carry_over(&self, call: &Call, object: &mut Document, old: &Document) {
        if is_service(&call.stored_kind) {
            alloc::carry_over(object, old);
        }
    }

    /// The operations that give back what a removed object had reserved.
    pub(crate) fn released(&self, call: &Call, object: &Document) -> Vec<Operation> {
        if is_service(&call.stored_kind) { alloc::released(object) } else { Vec::new() }
    }
}

fn is_service(kind: &Kind) -> bool {
    kind.gvk.group.is_empty() && kind.gvk.kind == "Service"
}
