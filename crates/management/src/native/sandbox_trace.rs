//! `/v1/sandboxes/{key}/trace`: where a routing key was on its way, and where it was lost.

use super::sandboxes::KeyPath;
use crate::{
    answer::{Answer, Fault, decided},
    document::{BodyRefusals, ReadRefusals},
    request,
    server::App,
};
use axum::extract::{Request, State};
use http::Uri;
use quorate_api::{
    Code, Param, Problem,
    config::both,
    key_trace::{self, FollowAnswer, FollowBody, FollowingNode, KeyTraceBody},
};
use quorate_model::{
    NodeName, RoutingKey,
    key_trace::{KEYS_MAX, KeyTrace, join},
};

/// Follow a routing key
///
/// All nodes note requests with the key, and other ones of the same traces, for so long; there need not be a sandbox of it.
/// Asked again, it is followed longer. Nothing of it is written, and a node that starts later does not know of it.
#[utoipa::path(
    post,
    operation_id = "follow_routing_key",
    path = "/v1/sandboxes/{key}/trace",
    tag = "sandboxes",
    params(("key" = String, Path, description = "What requests carry", min_length = 1, max_length = 256)),
    request_body = FollowBody,
    responses(
        (status = 200, description = "Who follows it", body = FollowAnswer),
        (status = 422, description = "No node follows it: they follow as many as they can", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
    ),
)]
pub(super) async fn follow(State(app): State<App>, path: KeyPath, request: Request) -> Answer {
    request::query(request.uri(), &[])?;
    let key = request::name("path.key", path, RoutingKey::parse);
    let (key, ms) = both(key, key_trace::follow(request::object_or_nothing(request).await?))?;
    let _place = app.places.waiting()?;
    let told = app.cluster.follow_key(key, ms).await;
    let nodes: Vec<_> = told.iter().map(shown_node).collect();
    let is_full = |(_, told): &Told| told.as_ref().is_ok_and(|told| told.cores_full > 0);
    if !nodes.iter().any(|node| node.following) && told.iter().any(is_full) {
        let detail = format!(
            "the nodes follow {KEYS_MAX} other keys already; the first one is let go of in at most 10m"
        );
        return Err(Fault::new(Code::LimitReached, detail));
    }
    Ok(decided(app.cluster.view().index(), &FollowAnswer { nodes }))
}

/// Show where a routing key was
///
/// What all nodes have noted since the key is followed, put together by trace: each hop with the forms in which it had the
/// key, and where it was lost after which one. It can be read for ten minutes after the key was followed.
#[utoipa::path(
    get,
    operation_id = "show_routing_key_trace",
    path = "/v1/sandboxes/{key}/trace",
    tag = "sandboxes",
    params(
        ("key" = String, Path, description = "What requests carry", min_length = 1, max_length = 256),
        ("limit" = Option<u64>, Query, description = "At most so many traces, the newest; 100 if not said", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "What the nodes tell", body = KeyTraceBody), ReadRefusals),
)]
pub(super) async fn show(State(app): State<App>, path: KeyPath, uri: Uri) -> Answer {
    let query = request::query(&uri, &[Param::Limit])?;
    let key = request::named("path.key", path, RoutingKey::parse)?;
    let _place = app.places.waiting()?;
    let told = app.cluster.key_traces(key).await;
    let nodes = told.iter().map(shown_node).collect();
    let hops = told.into_iter().filter_map(|(node, told)| Some((node, told.ok()?.hops)));
    let hops = hops.flat_map(|(node, hops)| hops.into_iter().map(move |hop| (node.clone(), hop))).collect();
    let index = app.cluster.view().index();
    // There may be thousands of hops: other requests shall not wait for that.
    let shown = move || decided(index, &KeyTraceBody::new(nodes, &join(hops), query.limit));
    Ok(quorate_rt::blocking(shown).await)
}

type Told = (NodeName, Result<KeyTrace, String>);

fn shown_node((node, told): &Told) -> FollowingNode {
    FollowingNode::new(node.as_str(), told.as_ref().map_err(String::as_str))
}
