//! `exec`, `attach` and `portforward`: an upgrade that the pod's kubelet answers.

use form_urlencoded::Serializer;
use http::Method;
use sheave_api::Document;
use sheave_api::kind::SubresourceAction;
use sheave_api::view::View as _;
use sheave_streaming::forward;

use super::outbound::{self, Outbound};
use super::{Request, container, kubelet};
use crate::call::Call;
use crate::query::Query;
use crate::reply::Reply;
use crate::status::StatusError;

pub(super) async fn serve(call: &Call, action: SubresourceAction, request: Request) -> Result<Reply, StatusError> {
    let Request { mut inbound, body: _ } = request;
    let pod = call.stored_object()?;
    let path = path(call, &pod, action)?;
    let destination = kubelet::of_pod(call, &pod, true)?;
    if !forward::asks_for_upgrade(&call.headers) {
        return Err(StatusError::bad_request("Upgrade request required"));
    }
    let mut headers = outbound::kubelet_headers(call);
    let body = outbound::without_body(&mut headers);
    let method = if inbound.method == Method::POST { Method::POST } else { Method::GET };
    let outbound = Outbound { destination, method, path, headers, body };
    let response = outbound::send(call, outbound).await.map_err(|error| error.of_kubelet())?;
    outbound::answer(&mut inbound, response).map(Reply::forwarded)
}

/// The kubelet's path: the options of the API under the names that the kubelet gives them.
fn path(call: &Call, pod: &Document, action: SubresourceAction) -> Result<String, StatusError> {
    let (namespace, name) = (call.namespace().unwrap_or_default(), call.name());
    let path = match action {
        SubresourceAction::PortForward => format!("/portForward/{namespace}/{name}"),
        _ => {
            let container = container::chosen(pod, call.query.get("container").unwrap_or_default())?;
            let kind = if action == SubresourceAction::Exec { "exec" } else { "attach" };
            format!("/{kind}/{namespace}/{name}/{container}")
        }
    };
    let query = match action {
        SubresourceAction::PortForward => ports(&call.query)?,
        _ => streams(&call.query, action == SubresourceAction::Exec),
    };
    Ok(if query.is_empty() { path } else { format!("{path}?{query}") })
}

fn streams(query: &Query, with_command: bool) -> String {
    let mut encoded = Serializer::new(String::new());
    for (ours, theirs) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if query.flag(ours) {
            encoded.append_pair(theirs, "1");
        }
    }
    if with_command {
        for word in query.all("command") {
            encoded.append_pair("command", word);
        }
    }
    encoded.finish()
}

/// `ports` may be given several times, or as a list with commas.
fn ports(query: &Query) -> Result<String, StatusError> {
    let mut encoded = Serializer::new(String::new());
    for port in query.all("ports").flat_map(|ports| ports.split(',')).filter(|port| !port.is_empty()) {
        if port.parse::<u16>().is_err() || port == "0" {
            return Err(StatusError::bad_request(format!("invalid port {port:?}: must be between 1 and 65535")));
        }
        encoded.append_pair("port", port);
    }
    Ok(encoded.finish())
}

/// Whether a pod has got as far as having a node; used by logs, which are empty before.
pub(super) fn is_bound(pod: &Document) -> bool {
    !pod.text("spec.nodeName").is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_get_the_kubelets_names() {
        let query = Query::parse(Some("command=sh&command=-c&command=a%26b&stdin=true&stdout=1&stderr=false&tty=true"));
        assert_eq!(streams(&query, true), "input=1&output=1&tty=1&command=sh&command=-c&command=a%26b");
        assert_eq!(streams(&query, false), "input=1&output=1&tty=1");
    }

    #[test]
    fn ports_are_checked_before_they_go_out() {
        assert_eq!(ports(&Query::parse(Some("ports=80,81&ports=82"))).unwrap(), "port=80&port=81&port=82");
        for bad in ["ports=0", "ports=65536", "ports=http", "ports=-1"] {
            assert!(ports(&Query::parse(Some(bad))).is_err(), "{bad}");
        }
    }
}
