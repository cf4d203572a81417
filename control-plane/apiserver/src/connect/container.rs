//! Which container a request means.

use http::StatusCode;
use sheave_api::Document;
use sheave_api::view::View as _;

use crate::meta::Meta as _;
use crate::status::StatusError;

/// The container with the name that was asked for, or the only one.
pub(super) fn chosen(pod: &Document, asked: &str) -> Result<String, StatusError> {
    let (all, init, ephemeral) =
        (names(pod, "containers"), names(pod, "initContainers"), names(pod, "ephemeralContainers"));
    if !asked.is_empty() {
        let known = [&all, &init, &ephemeral].into_iter().flatten().any(|name| *name == asked);
        return if known {
            Ok(asked.to_owned())
        } else {
            Err(StatusError::bad_request(format!("container {asked} is not valid for pod {}", pod.name())))
        };
    }
    match all.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(StatusError::bad_request(format!("a container name must be specified for pod {}", pod.name()))),
        several => Err(ambiguous(pod, several, &init, &ephemeral)),
    }
}

fn ambiguous(pod: &Document, all: &[&str], init: &[&str], ephemeral: &[&str]) -> StatusError {
    let mut message =
        format!("a container name must be specified for pod {}, choose one of: [{}]", pod.name(), all.join(" "));
    for (kind, names) in [("init", init), ("ephemeral", ephemeral)] {
        if !names.is_empty() {
            message.push_str(&format!(" or one of the {kind} containers: [{}]", names.join(" ")));
        }
    }
    StatusError::new(StatusCode::BAD_REQUEST, "BadRequest", message)
}

fn names<'a>(pod: &'a Document, field: &str) -> Vec<&'a str> {
    pod.list(&format!("spec.{field}")).iter().map(|container| container.text("name")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: &Document, asked: &str, expected: Result<&str, &str>) {
        let pod = json!({"metadata": {"name": "p"}, "spec": spec});
        let chosen = chosen(&pod, asked);
        assert_eq!(chosen.as_deref().map_err(StatusError::message), expected, "{spec} {asked:?}");
    }

    #[test]
    fn the_only_container_need_not_be_named_and_several_must() {
        let one = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]});
        let two = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let all = json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}],
            "ephemeralContainers": [{"name": "e"}]});
        check(&one, "", Ok("a"));
        check(&one, "i", Ok("i"));
        check(&all, "e", Ok("e"));
        check(&one, "x", Err("container x is not valid for pod p"));
        check(&two, "", Err("a container name must be specified for pod p, choose one of: [a b]"));
        check(
            &all,
            "",
            Err("a container name must be specified for pod p, choose one of: [a b] or one of the init containers: \
                 [i] or one of the ephemeral containers: [e]"),
        );
        check(&json!({}), "", Err("a container name must be specified for pod p"));
    }
}
