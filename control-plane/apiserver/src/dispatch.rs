//! From verb and subresource to the handler.

use bytes::Bytes;
use sheave_api::kind::{Subresource, SubresourceAction};

use crate::body::{self, RequestBody};
use crate::call::Call;
use crate::connect::{self, Inbound};
use crate::read;
use crate::reply::Reply;
use crate::request::Verb;
use crate::status::StatusError;
use crate::subresource;
use crate::write::{self, Part};

/// Answers an authorized request.
pub(crate) async fn dispatch(
    call: &Call,
    subresource: Option<&Subresource>,
    inbound: Inbound,
    body: RequestBody,
) -> Result<Reply, StatusError> {
    let verbs = subresource.map_or(&call.kind.verbs, |subresource| &subresource.verbs);
    if !verbs.contains(&call.verb.as_str()) {
        return Err(StatusError::method_not_allowed());
    }
    match subresource {
        None => object(call, body).await,
        Some(subresource) => part(call, subresource, inbound, body).await,
    }
}

async fn object(call: &Call, body: RequestBody) -> Result<Reply, StatusError> {
    if !call.kind.is_stored() && call.verb == Verb::Create {
        return subresource::request(call, &body::read(body).await?).await;
    }
    match call.verb {
        Verb::Get => read::get(call),
        Verb::List => read::list(call),
        Verb::Watch => read::watch(call),
        Verb::Create if call.path.name.is_some() => Err(StatusError::method_not_allowed()),
        Verb::Update | Verb::Patch if call.path.name.is_none() => Err(StatusError::method_not_allowed()),
        Verb::Create => write::create(call, &body::read(body).await?).await,
        Verb::Update => write::update(call, Part::Main, &body::read(body).await?).await,
        Verb::Patch => write::patch(call, Part::Main, &body::read(body).await?).await,
        Verb::Delete => write::delete(call, &body::read(body).await?).await,
        Verb::DeleteCollection => write::delete_collection(call, &body::read(body).await?).await,
    }
}

async fn part(call: &Call, part: &Subresource, inbound: Inbound, body: RequestBody) -> Result<Reply, StatusError> {
    match part.action {
        SubresourceAction::Status => written_part(call, Part::Status, body).await,
        SubresourceAction::EphemeralContainers
        | SubresourceAction::Resize
        | SubresourceAction::Approval
        | SubresourceAction::Finalize => {
            let update = call.stored_kind.strategy.subresource_updates.iter().find(|it| it.name == part.name);
            let update = update.ok_or_else(StatusError::no_such_resource)?;
            written_part(call, Part::Subresource(update), body).await
        }
        SubresourceAction::Scale => subresource::scale(call, &body::read(body).await?).await,
        SubresourceAction::Binding => subresource::bind(call, &body::read(body).await?).await,
        SubresourceAction::Eviction => subresource::evict(call, &body::read(body).await?).await,
        SubresourceAction::Token => subresource::token(call, &body::read(body).await?),
        action @ (SubresourceAction::Log
        | SubresourceAction::Exec
        | SubresourceAction::Attach
        | SubresourceAction::PortForward
        | SubresourceAction::Proxy) => connect::serve(call, action, connect::Request { inbound, body }).await,
    }
}

/// GET, PUT and PATCH of a part that has the form of the whole object.
async fn written_part(call: &Call, part: Part, body: RequestBody) -> Result<Reply, StatusError> {
    if call.verb == Verb::Get {
        return read::get(call);
    }
    let body: Bytes = body::read(body).await?;
    match call.verb {
        Verb::Update => write::update(call, part, &body).await,
        Verb::Patch => write::patch(call, part, &body).await,
        _ => Err(StatusError::method_not_allowed()),
    }
}
