//! Around every request: the headers that each answer carries, CORS, `OPTIONS`, and paths that nobody serves.
//!
//! CORS belongs to the original dialects, whose pages may come from anywhere. The native API has none: it changes
//! the cluster, and a browser that asks first (`OPTIONS`) and hears of no permission does not send a stranger's
//! page's `PUT`.

use crate::{
    answer::{Decided, Fault, json, text},
    cluster::Cluster,
    sandbox_api,
    server::App,
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use quorate_api::{Code, coordinator, original::ErrorBody};

const X_INDEX: HeaderName = HeaderName::from_static("x-quorate-index");
const X_NODE: HeaderName = HeaderName::from_static("x-quorate-node");
const X_STALE: HeaderName = HeaderName::from_static("x-quorate-stale");

const CORS: [(HeaderName, &str); 4] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, accept, origin, Cache-Control, X-Requested-With",
    ),
    (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS, GET, PUT, DELETE, PATCH"),
];

/// The coordinator's.
const COORDINATOR_CORS: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
];

/// What axum found no handler for; an extension of its answer.
#[derive(Clone, Copy)]
enum Unrouted {
    Path,
    Method,
}

/// For paths that nobody serves.
pub(crate) async fn no_such_path() -> Response {
    let mut response = StatusCode::NOT_FOUND.into_response();
    response.extensions_mut().insert(Unrouted::Path);
    response
}

/// For methods that a path does not have. axum adds `Allow`.
pub(crate) async fn no_such_method() -> Response {
    let mut response = StatusCode::METHOD_NOT_ALLOWED.into_response();
    response.extensions_mut().insert(Unrouted::Method);
    response
}

/// Which manners an answer on a path has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    Native,
    Original,
    Coordinator,
    SandboxApi,
}

fn manners(path: &str) -> Manners {
    if sandbox_api::is_here(path) {
        return Manners::SandboxApi;
    }
    let native = path == "/v1"
        || path.starts_with("/v1/")
        || matches!(path, "/livez" | "/readyz" | "/metrics" | "/openapi.json");
    // Not `/api/workers`, which is the workspace router's.
    let coordinator = path == "/health"
        || ["/api/admin", "/api/worker", "/api/service"].iter().any(|place| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    match (native, coordinator) {
        (true, _) => Manners::Native,
        (false, true) => Manners::Coordinator,
        (false, false) => Manners::Original,
    }
}

/// The middleware.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let manners = manners(request.uri().path());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // Also for OPTIONS, which no handler has: the answer then knows what the path allows.
    let mut response = next.run(request).await;
    if method == Method::OPTIONS {
        response = match manners {
            Manners::Coordinator => StatusCode::OK.into_response(),
            Manners::Native | Manners::Original | Manners::SandboxApi => {
                StatusCode::NO_CONTENT.into_response()
            }
        };
    } else if let Some(unrouted) = response.extensions().get::<Unrouted>().copied() {
        response = unserved(unrouted, manners, &method, &path);
    }
    let decided = response.extensions().get::<Decided>().map_or_else(|| app.cluster.view().index(), |d| d.0);
    let headers = response.headers_mut();
    let cors: &[(HeaderName, &'static str)] = match manners {
        // What changes the cluster no page of a stranger may ask for.
        Manners::Native | Manners::SandboxApi => &[],
        Manners::Original => &CORS,
        Manners::Coordinator => &COORDINATOR_CORS,
    };
    headers.extend(cors.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))));
    headers.insert(X_INDEX, text(&decided.to_string()));
    identify(headers, &*app.cluster);
    response
}

/// The headers of the coordinator's answers, for one that no handler makes.
pub(crate) fn of_coordinator(mut response: Response, cluster: &dyn Cluster) -> Response {
    let headers = response.headers_mut();
    let cors = COORDINATOR_CORS.iter();
    headers.extend(cors.map(|(name, value)| (name.clone(), HeaderValue::from_static(value))));
    headers.insert(X_INDEX, text(&cluster.view().index().to_string()));
    identify(headers, cluster);
    response
}

fn identify(headers: &mut HeaderMap, cluster: &dyn Cluster) {
    let standing = cluster.standing();
    headers.insert(X_NODE, text(standing.node.as_str()));
    if let Some(stale) = standing.stale {
        headers.insert(X_STALE, text(&stale.as_secs().to_string()));
    }
}

fn unserved(unrouted: Unrouted, manners: Manners, method: &Method, path: &str) -> Response {
    let shown: String = path.chars().take(128).collect();
    let (code, detail) = match unrouted {
        Unrouted::Path => (Code::PathUnknown, format!("there is no path {shown}")),
        Unrouted::Method => (Code::MethodNotAllowed, format!("{shown} has no method {method}")),
    };
    match manners {
        // Its clients know one answer to whatever is not there.
        Manners::Coordinator => json(StatusCode::NOT_FOUND, &coordinator::ErrorBody::not_found()),
        Manners::SandboxApi => sandbox_api::unserved(matches!(unrouted, Unrouted::Path), method),
        Manners::Native => Fault::new(code, detail).into_response(),
        Manners::Original => {
            let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::NOT_FOUND);
            json(status, &ErrorBody { error: code.title().into() })
        }
    }
}
