//! A small message queue in memory, over HTTP, from which the book's workers take their items.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

#[derive(Default)]
struct Queue {
    items: VecDeque<Value>,
    next: u64,
    enqueued: u64,
    dequeued: u64,
    drained: u64,
}

type Queues = State<Arc<Mutex<BTreeMap<String, Queue>>>>;

pub(crate) fn router() -> Router {
    Router::new()
        .route("/stats", get(stats))
        .route("/queues/{queue}", put(create).delete(delete))
        .route("/queues/{queue}/enqueue", post(enqueue))
        .route("/queues/{queue}/dequeue", post(dequeue))
        .route("/queues/{queue}/drain", post(drain))
        .with_state(Arc::default())
}

async fn stats(State(queues): Queues) -> Json<Value> {
    let queues = queues.lock();
    let rows = queues.iter().map(|(name, queue)| {
        json!({
            "name": name, "depth": queue.items.len(), "enqueued": queue.enqueued, "dequeued": queue.dequeued,
            "drained": queue.drained,
        })
    });
    Json(json!({ "kind": "stats", "queues": rows.collect::<Vec<_>>() }))
}

async fn create(State(queues): Queues, Path(name): Path<String>) -> StatusCode {
    let mut queues = queues.lock();
    if queues.contains_key(&name) {
        return StatusCode::CONFLICT;
    }
    queues.insert(name, Queue::default());
    StatusCode::OK
}

async fn delete(State(queues): Queues, Path(name): Path<String>) -> StatusCode {
    if queues.lock().remove(&name).is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn enqueue(State(queues): Queues, Path(name): Path<String>, body: String) -> Result<Json<Value>, StatusCode> {
    let mut queues = queues.lock();
    let queue = queues.get_mut(&name).ok_or(StatusCode::NOT_FOUND)?;
    queue.next += 1;
    queue.enqueued += 1;
    let message = json!({ "kind": "message", "id": format!("{:016x}", queue.next), "body": body });
    queue.items.push_back(message.clone());
    Ok(Json(message))
}

/// The oldest message; 204 when the queue is empty.
async fn dequeue(State(queues): Queues, Path(name): Path<String>) -> Result<Json<Value>, StatusCode> {
    let mut queues = queues.lock();
    let queue = queues.get_mut(&name).ok_or(StatusCode::NOT_FOUND)?;
    let message = queue.items.pop_front().ok_or(StatusCode::NO_CONTENT)?;
    queue.dequeued += 1;
    Ok(Json(message))
}

async fn drain(State(queues): Queues, Path(name): Path<String>) -> StatusCode {
    let mut queues = queues.lock();
    let Some(queue) = queues.get_mut(&name) else { return StatusCode::NOT_FOUND };
    queue.drained += queue.items.len() as u64;
    queue.items.clear();
    StatusCode::OK
}
