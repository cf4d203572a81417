//! Events and their time to live.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use sheave_apiserver::{ApiServer, Options, store_options};
use sheave_store::Store;

use crate::support::send;

const EVENTS: &str = "/api/v1/namespaces/default/events";

async fn has(server: &ApiServer, name: &str) -> bool {
    send(server, Method::GET, &format!("{EVENTS}/{name}"), "").await.0 == StatusCode::OK
}

#[tokio::test]
async fn an_event_goes_when_nobody_has_written_it_for_its_time_to_live() {
    let options = Options { event_ttl: Duration::from_secs(2), ..Options::default() };
    let server = ApiServer::start(Arc::new(Store::in_memory(store_options()).unwrap()), options).await.unwrap();
    for name in ["old", "counted"] {
        let event = format!(
            r#"{{"metadata":{{"name":"{name}"}},"involvedObject":{{"kind":"Pod","name":"p","namespace":"default"}},"reason":"Pulled"}}"#
        );
        assert_eq!(send(&server, Method::POST, EVENTS, &event).await.0, StatusCode::CREATED);
    }
    let config_map = r#"{"metadata":{"name":"stays"}}"#;
    let config_maps = "/api/v1/namespaces/default/configmaps";
    assert_eq!(send(&server, Method::POST, config_maps, config_map).await.0, StatusCode::CREATED);

    let (deadline, mut count) = (Instant::now() + Duration::from_secs(30), 1);
    while has(&server, "old").await {
        assert!(Instant::now() < deadline, "the event does not go");
        count += 1;
        let path = format!("{EVENTS}/counted");
        let mut event = send(&server, Method::GET, &path, "").await.1;
        event["count"] = count.into();
        assert_eq!(send(&server, Method::PUT, &path, &event.to_string()).await.0, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(count > 2, "it stayed for a while");
    assert!(has(&server, "counted").await, "each write gives the whole time again");
    assert_eq!(send(&server, Method::GET, &format!("{config_maps}/stays"), "").await.0, StatusCode::OK);
}
