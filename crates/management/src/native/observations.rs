//! `/v1/services/{name}/observations`: what each node makes of a service's endpoints.

use super::{
    reads,
    services::{ServicePath, status},
};
use crate::{
    answer::{Answer, Fault, decided},
    document::ReadRefusals,
    request,
    server::App,
};
use axum::extract::State;
use http::Uri;
use quorate_api::{
    Code, Param, Problem,
    observation::{EndpointAtNode, NodeObservation, ObservationsBody, ObservedEndpoint},
    query::LIMIT_MAX,
};
use quorate_model::{Kind, NodeName, Observation, ServiceName, WorkerId, limit};
use quorate_state::{Endpoint, Loads, ServiceView};

const _: () = assert!(LIMIT_MAX <= limit::OBSERVED_MAX, "a node may be asked about each page");

/// Show what each node makes of a service's endpoints
///
/// Circuit breakers, ejections for bad answers and slow starts belong to each node, even to each of its cores, and are
/// never written: this asks all nodes, within two seconds. A node that can't be asked is listed with the reason. The
/// endpoints are a page of those of the service.
#[utoipa::path(
    get,
    operation_id = "show_service_observations",
    path = "/v1/services/{name}/observations",
    tag = "services",
    params(
        ("name" = String, Path, description = "The service's name", min_length = 1, max_length = 128),
        ("limit" = Option<u64>, Query, description = "At most so many endpoints; 100 if not said", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
    ),
    responses(
        (status = 200, description = "What the nodes tell", body = ObservationsBody),
        (status = 404, description = "No worker offers it, and it has no policy", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: ServicePath, uri: Uri) -> Answer {
    let query = request::query(&uri, &[Param::Limit, Param::Cursor])?;
    let name = request::named("path.name", path, ServiceName::parse)?;
    let after = query
        .cursor
        .as_deref()
        .map(|text| request::cursor(text, |text| WorkerId::parse(text).ok()))
        .transpose()?;
    // Each node takes its time to tell.
    let _place = app.places.waiting()?;
    let view = reads::list(&app, &query, &[Kind::Worker, Kind::Service]).await?;
    let service = view.service(name.as_str()).ok_or_else(|| {
        Fault::new(Code::ServiceUnknown, format!("no worker offers {name}, and it has no policy"))
    })?;
    let (endpoints, next_cursor) = page(service, after.as_ref(), query.limit);
    let workers = endpoints.iter().map(|endpoint| endpoint.worker().id().clone()).collect();
    let nodes = app.cluster.observations(name, workers).await;
    let loads = app.cluster.loads();
    let body = ObservationsBody {
        nodes: nodes.iter().map(shown_node).collect(),
        endpoints: endpoints.iter().map(|endpoint| shown((endpoint, &loads), &nodes)).collect(),
        next_cursor,
        index: view.index().0,
    };
    Ok(decided(view.index(), &body))
}

fn page<'s>(
    service: &'s ServiceView,
    after: Option<&WorkerId>,
    limit: usize,
) -> (Vec<&'s Endpoint>, Option<String>) {
    let more = limit.saturating_add(1);
    let mut endpoints: Vec<_> = match after {
        None => service.endpoints().take(more).collect(),
        Some(after) => service.endpoints_after(after.as_str()).take(more).collect(),
    };
    let is_last = endpoints.len() <= limit;
    endpoints.truncate(limit);
    let next = endpoints.last().filter(|_| !is_last).map(|last| last.worker().id().to_string());
    (endpoints, next)
}

type Told = (NodeName, Result<Observation, String>);

fn shown_node((node, told): &Told) -> NodeObservation {
    NodeObservation::new(node.as_str(), told.as_ref().map_err(String::as_str))
}

fn shown((endpoint, loads): (&Endpoint, &Loads), nodes: &[Told]) -> ObservedEndpoint {
    let worker = endpoint.worker().id();
    let at = |(node, told): &Told| {
        let endpoints = &told.as_ref().ok()?.endpoints;
        let at = endpoints.binary_search_by(|one| one.worker.cmp(worker)).ok()?;
        Some(EndpointAtNode::new(node.as_str(), &endpoints[at]))
    };
    ObservedEndpoint {
        worker: worker.to_string(),
        status: status(endpoint, loads),
        nodes: nodes.iter().filter_map(at).collect(),
    }
}
