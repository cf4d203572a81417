//! `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::engine::Engine;
use crate::metrics::Metrics;

#[derive(Clone)]
struct Sources {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
}

/// Answers until the process ends.
///
/// # Errors
/// When the address is taken.
pub(crate) async fn serve(listen: SocketAddr, engine: Arc<Engine>, metrics: Arc<Metrics>) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener =
        listener.with_context(|| format!("cannot listen at {listen}: name another place in the setting `listen`"))?;
    let router = Router::new()
        .route("/metrics", get(figures))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .with_state(Sources { engine, metrics });
    Ok(axum::serve(listener, router).await?)
}

async fn figures(State(sources): State<Sources>) -> Response {
    let text = blocking(move || sources.metrics.text(&sources.engine)).await;
    match text {
        Ok(text) => {
            let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, form)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

/// Ready is who can attach pods.
async fn readiness(State(sources): State<Sources>) -> Response {
    match blocking(move || Ok(sources.engine.status()?)).await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
    }
}

/// Locks and system calls, away from the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}
