//! Bytes that no client library would send.

use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::{connect, with_server};

/// Sends a request and gives status and body.
async fn send(client: &Client, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
    let request = request.body(Body::from(body)).expect("a request");
    let response = client.send(request).await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.expect("a whole answer").to_bytes().to_vec())
}

fn deep(open: &str, close: &str, depth: usize) -> String {
    format!("{}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn whatever_comes_is_answered_with_a_status() {
    with_server(async |kubeconfig| {
        let client = connect(&kubeconfig).await;
        let (json, yaml) = ("application/json", "application/yaml");
        let (protobuf, strategic) = ("application/vnd.kubernetes.protobuf", "application/strategic-merge-patch+json");
        let maps = "/api/v1/namespaces/default/configmaps";
        let made = br#"{"metadata":{"name":"x"},"data":{"a":"b"}}"#.to_vec();
        assert_eq!(send(&client, "POST", maps, json, made).await.0, 201);
        let object = format!("{maps}/x");
        let nested = format!(
            r#"{{"metadata":{{"name":"y"}},"data":{}}}"#,
            deep(r#"{"a":"#, "}", 20_000).replace("{\"a\":}", "{}")
        );
        let selectors = vec!["a=b"; 1_500].join(",");
        let many_operations =
            format!("[{}]", vec![r#"{"op":"copy","from":"/data","path":"/data/a"}"#; 20_000].join(","));
        let anchors = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
            d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n\
            g: &g [*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g]\n";
        let table: Vec<(&str, String, &str, Vec<u8>)> = vec![
            ("POST", maps.into(), json, nested.into_bytes()),
            ("POST", maps.into(), json, deep("[", "]", 200_000).into_bytes()),
            ("POST", maps.into(), json, b"{\"metadata\":{\"name\":\"y\"},\"data\":{\"a\":1e999999}}".to_vec()),
            ("POST", maps.into(), json, vec![0xff; 1024]),
            ("POST", maps.into(), json, vec![b' '; 4 << 20]),
            ("POST", maps.into(), yaml, anchors.as_bytes().to_vec()),
            ("POST", maps.into(), yaml, deep("- ", "", 100_000).into_bytes()),
            ("POST", maps.into(), protobuf, b"k8s\0".to_vec()),
            ("POST", maps.into(), protobuf, b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()),
            ("POST", maps.into(), protobuf, [b"k8s\0".to_vec(), vec![0x0a; 100_000]].concat()),
            ("PATCH", object.clone(), strategic, br#"{"$patch":"explode"}"#.to_vec()),
            ("PATCH", object.clone(), strategic, deep(r#"{"data":"#, "}", 20_000).into_bytes()),
            ("PATCH", object.clone(), "application/json-patch+json", many_operations.into_bytes()),
            (
                "PATCH",
                object.clone(),
                "application/json-patch+json",
                br#"[{"op":"add","path":"/data/-1/x","value":1}]"#.to_vec(),
            ),
            ("PATCH", format!("{object}?fieldManager=m"), "application/apply-patch+yaml", b"[".to_vec()),
            (
                "PATCH",
                format!("{object}?fieldManager=m"),
                "application/apply-patch+yaml",
                b"apiVersion: v1\nkind: Secret".to_vec(),
            ),
            ("GET", format!("{maps}?labelSelector={selectors}&fieldSelector={}", "x%3Dy,".repeat(700)), json, vec![]),
            ("GET", format!("{maps}?continue={}", "A".repeat(6_000)), json, vec![]),
            ("GET", format!("{maps}?limit=99999999999999999999"), json, vec![]),
            ("GET", format!("{maps}?resourceVersion=-1"), json, vec![]),
            ("GET", "/api/v1/namespaces/%ff/configmaps".into(), json, vec![]),
            ("GET", "/api/v1/namespaces/..%2f..%2fsecrets/configmaps".into(), json, vec![]),
            ("GET", format!("{maps}/{}", "n".repeat(4_000)), json, vec![]),
            ("DELETE", object.clone(), json, br#"{"kind":"DeleteOptions","gracePeriodSeconds":-5}"#.to_vec()),
        ];
        for (method, path, content_type, body) in table {
            let shown = format!(
                "{method} {:.80} {content_type} {:.80}",
                path,
                String::from_utf8_lossy(&body[..body.len().min(80)])
            );
            let (status, answer) = send(&client, method, &path, content_type, body).await;
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            assert!((400..500).contains(&status) || status == 504, "{shown}: {status} {answer}");
            assert_eq!(
                (answer["kind"].as_str(), answer["code"].as_u64()),
                (Some("Status"), Some(u64::from(status))),
                "{shown}"
            );
        }
        let (status, _) = send(&client, "GET", &object, json, vec![]).await;
        assert_eq!(status, 200, "the object and the server are still there");
    });
}
