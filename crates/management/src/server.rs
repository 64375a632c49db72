//! The router, and serving it.

use crate::{
    cluster::Cluster,
    coordinator, document, frame,
    front::{Front, Fronted},
    native, original,
    places::Places,
    probes, sandbox_api,
};
use axum::{Router, body::Body, middleware};
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use quorate_model::{OwnAddresses, Ttl};
use quorate_routing::{local::Local, sandbox::key::KeyForms};
use quorate_rt::{
    http::{ServeLimits, serve as serve_hyper},
    net::TcpListener,
    published::Published,
    shutdown::Shutdown,
};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

/// Renders the node's metrics as text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the node says once.
#[derive(Clone)]
pub struct Config {
    /// The lease of workers that name none.
    pub default_ttl: Ttl,
    /// The lease of workers that register with the coordinator's dialect, which can name none.
    pub coordinator_ttl: Ttl,
    /// Where nobody may register: this node answers there.
    pub own: OwnAddresses,
    /// Where clients connect to this node's WebSocket gateway, as a URL; `None`: it has none.
    pub gateway: Option<String>,
    /// Where requests say their routing keys, for `/v1/explain`.
    pub key_forms: Arc<KeyForms>,
    /// What this node alone was told, for the same.
    pub local: Arc<Published<Local>>,
    /// What `/metrics` answers.
    pub metrics: RenderMetrics,
    /// And of which content type it is.
    pub metrics_type: &'static str,
    /// Fires when the node is about to end: whoever waits then is answered, and watches end.
    pub ending: Shutdown,
    /// After so long without a change a watch shows that it lives; see [`KEEP_ALIVE`].
    pub keep_alive: Duration,
}

/// Shorter than the idle timeouts of proxies, which begin at 30 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub cluster: Arc<dyn Cluster>,
    pub config: Arc<Config>,
    /// The OpenAPI document, rendered once.
    pub document: Bytes,
    pub places: Arc<Places>,
}

impl App {
    fn new(cluster: Arc<dyn Cluster>, config: Config, document: Bytes) -> Self {
        let places = Arc::new(Places::new(config.ending.clone()));
        Self { cluster, config: Arc::new(config), document, places }
    }
}

/// Everything that the management listener serves.
pub fn router(cluster: Arc<dyn Cluster>, config: Config) -> Router {
    let (routes, document) = documented().split_for_parts();
    let document = Bytes::from(document::render(&document));
    let app = App::new(cluster, config, document);
    let routes = routes.nest("/api", original::routes().into());
    framed(routes, app)
}

/// Only the dialects of the routers that Quorate replaces, for nodes that also serve them where they route.
pub fn original_router(cluster: Arc<dyn Cluster>, config: Config) -> Router {
    let app = App::new(cluster, config, Bytes::new());
    let coordinator = Router::from(coordinator::routes());
    framed(Router::from(original::routes()).nest("/api", original::routes().into()).merge(coordinator), app)
}

/// The OpenAPI document, as `/openapi.json` answers it.
pub fn openapi() -> String {
    document::render(&documented().into_openapi())
}

/// Routes and their documentation are declared together, so neither can be without the other.
fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::head())
        .merge(native::routes())
        .merge(original::routes())
        .merge(coordinator::routes())
        .merge(sandbox_api::routes())
        .merge(probes::routes())
}

fn framed(routes: Router<App>, app: App) -> Router {
    routes
        .fallback(frame::no_such_path)
        .method_not_allowed_fallback(frame::no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), frame::around))
        .with_state(app)
}

/// Serves `router` until `shutdown`, then lets open requests finish within `limits.drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: ServeLimits, shutdown: Shutdown) {
    let service = router.map_request(|request: Request<Incoming>| request.map(Body::new));
    serve_hyper(listener, TowerToHyperService::new(service), limits, shutdown).await;
}

/// The same, with `front` in front of it.
pub async fn serve_behind(
    front: Front,
    router: Router,
    listener: TcpListener,
    limits: ServeLimits,
    shutdown: Shutdown,
) {
    serve_hyper(listener, Fronted { router, front }, limits, shutdown).await;
}
