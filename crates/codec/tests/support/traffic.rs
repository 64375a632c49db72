//! What came with routes, at the fourth level.

use super::*;
use http::{HeaderValue, Method};
use quorate_model::{
    Ailment, Config, ConfigMode, HealthChange, Hold, KeyspaceConfig, Route, RouteName, RouteParts, Scheme,
    ServicePolicy, StoredPolicy, StoredRoute, Verdict,
    policy::{
        Backoff, Balancing, Breaker, EndpointLimits, HealthCheck, HealthProbe, KeySource, Outlier, Protocol,
        Retries, RetryBudget,
    },
    route::{
        Action, Cors, Destination, Forwarding, HeaderEdits, HostMatch, Mirror, OriginMatch, PathMatch,
        PathRewrite, Pattern, Redirect, Rewrite, RouteMatch, Target, Timeouts, ValueMatch,
    },
};

pub fn route_name(text: &str) -> RouteName {
    RouteName::parse(text).expect("valid")
}

fn service(text: &str) -> Target {
    Target::Service(services::service(text))
}

fn url(protocol: Option<Protocol>) -> Target {
    Target::Url { address: Address::parse("https://b.example:8443/base").expect("valid"), protocol }
}

fn retries() -> Retries {
    Retries {
        max: 2,
        on: vec![502, 503],
        backoff: Backoff { initial_ms: 50, max_ms: 2_000 },
        non_idempotent: true,
        budget: RetryBudget { percent: 10, min_per_second: 5 },
    }
}

fn edits() -> HeaderEdits {
    let pair = |name: &str, value| (name.into(), HeaderValue::from_static(value));
    HeaderEdits {
        set: vec![pair("x-env", "prod, \"eu\"")],
        add: vec![pair("via", "1.1 edge")],
        remove: vec!["server".into(), "x-old".into()],
    }
}

/// Says everything that a route can say.
fn everything() -> RouteParts {
    let pattern = |text| Pattern::parse("f", text).expect("compiles");
    let matches = RouteMatch {
        host: HostMatch::parse("*.example.com").ok(),
        path: PathMatch::prefix("/v1").expect("valid"),
        methods: vec![Method::GET, Method::POST, Method::from_bytes(b"PURGE").expect("valid")],
        headers: vec![
            ("x-user".into(), ValueMatch::exact("f", "a b").expect("valid")),
            ("x-tier".into(), ValueMatch::Regex(pattern("gold|silver"))),
        ],
        query: vec![("debug".into(), ValueMatch::Present)],
    };
    let cors = Cors {
        allowed_origins: ["https://a.example", "https://*.b.example:8443"]
            .map(|text| OriginMatch::parse("f", text).expect("valid"))
            .into(),
        allowed_methods: vec![Method::GET],
        allowed_headers: vec!["x-a".into()],
        exposed_headers: vec!["x-b".into()],
        allow_credentials: true,
        max_age_seconds: Some(600),
    };
    let keyspace = Target::Keyspace(keyspace("default"));
    let forwarding = Forwarding {
        destinations: vec![
            Destination { target: service("chat"), weight: 90 },
            Destination { target: url(Some(Protocol::H2)), weight: 10 },
            Destination { target: keyspace, weight: 0 },
        ],
        sticky: KeySource::cookie("sid").ok(),
        balancing: Some(Balancing::ConsistentHash),
        hash_on: KeySource::header("x-user").ok(),
        timeouts: Timeouts { total_ms: Some(30_000), idle_ms: Some(60_000), per_try_ms: Some(5_000) },
        retries: Some(retries()),
        cors: Some(cors),
        rewrite: Rewrite {
            path: PathRewrite::prefix("f", "/").ok(),
            host: Rewrite::host("inner.example:80").ok(),
        },
        request_headers: edits(),
        response_headers: edits(),
        mirror: Mirror::new(url(None), 12_500).ok(),
    };
    RouteParts { matches, action: Action::from(forwarding), priority: -7 }
}

/// Says as little as a route can.
fn least() -> RouteParts {
    let destinations = vec![Destination { target: service("echo"), weight: Destination::WEIGHT_DEFAULT }];
    let forwarding = Forwarding { destinations, ..Forwarding::default() };
    RouteParts { action: Action::from(forwarding), ..RouteParts::default() }
}

fn redirect() -> RouteParts {
    let redirect = Redirect {
        status: 308,
        scheme: Some(Scheme::Https),
        host: Redirect::host("www.example.com").ok(),
        port: Some(8443),
        path: PathRewrite::full("f", "/moved").ok(),
    };
    let matches =
        RouteMatch { path: PathMatch::regex("/old/[0-9]+").expect("valid"), ..RouteMatch::default() };
    RouteParts { matches, action: Action::Redirect(redirect), priority: 0 }
}

fn grpc() -> RouteParts {
    let path = PathMatch::grpc("pkg.Greeter", Some("Hello")).expect("valid");
    let host = HostMatch::parse("grpc.example.com").ok();
    RouteParts { matches: RouteMatch { path, host, ..RouteMatch::default() }, ..least() }
}

fn route(name: &str, parts: RouteParts) -> Route {
    parts.validate(route_name(name)).expect("valid")
}

/// By name.
pub fn stored_routes() -> Vec<StoredRoute> {
    let stored = |(nth, (name, parts)): (usize, (&str, RouteParts))| {
        let created = LogIndex(30 + nth as u64);
        StoredRoute { route: route(name, parts), created, changed: LogIndex(40) }
    };
    let routes = [("all", everything()), ("echo", least()), ("grpc", grpc()), ("old", redirect())];
    routes.into_iter().enumerate().map(stored).collect()
}

fn shared_routes() -> Vec<Arc<StoredRoute>> {
    stored_routes().into_iter().map(Arc::new).collect()
}

/// Says everything that a policy can say.
fn policy() -> ServicePolicy {
    let hold = Hold::new(Duration::from_secs(5), 64).ok();
    let plain = ServicePolicy::new(hold, Some(Duration::from_secs(3))).expect("valid");
    let probe = HealthProbe::Grpc { service: "pkg.Greeter".into() };
    ServicePolicy {
        protocol: Some(Protocol::H2c),
        balancing: Some(Balancing::ConsistentHash),
        hash_on: KeySource::path_segment(2).ok(),
        health: Some(HealthCheck { probe, interval_ms: 2_000, timeout_ms: 500, unhealthy: 4, healthy: 1 }),
        retries: Some(retries()),
        breaker: Some(Breaker { failures: 7, open_ms: 9_000, successes: 3, trials: 2, shared: true }),
        outlier: Some(Outlier {
            failures: 6,
            ejection_ms: 10_000,
            ejection_ms_max: 90_000,
            ejected_percent_max: 40,
            panic_percent: 30,
        }),
        limits: EndpointLimits {
            connections_max: Some(100),
            pending_max: Some(200),
            in_flight_max: Some(300),
        },
        slow_start_ms: Some(30_000),
        prefer_zone: true,
        ..plain
    }
    .validate()
    .expect("valid")
}

/// The last is plain: policies of both kinds stand beside each other.
fn policies() -> Vec<StoredPolicy> {
    let of = |name, policy| StoredPolicy { service: services::service(name), policy, changed: LogIndex(39) };
    let zone = ServicePolicy { prefer_zone: true, ..ServicePolicy::default() };
    let plain = ServicePolicy::new(None, Some(Duration::from_secs(3))).expect("valid");
    vec![of("chat", policy()), of("echo", zone), of("plain", plain)]
}

fn config() -> Config {
    let keyspace_config = KeyspaceConfig {
        partitions: PartitionCount::new(12).ok(),
        source: KeyspaceSource::Kafka,
        hold: Hold::new(Duration::from_secs(5), 64).ok(),
    };
    let bare = KeyspaceConfig { partitions: None, source: KeyspaceSource::Static, hold: None };
    let routes = stored_routes().into_iter().map(|stored| (stored.route.name().clone(), Some(stored.route)));
    let services = policies().into_iter().map(|stored| (stored.service, Some(stored.policy)));
    Config {
        sandboxes: Default::default(),
        routes: routes.chain([(route_name("gone"), None)]).collect(),
        services: services.chain([(services::service("gone"), None)]).collect(),
        keyspaces: [(keyspace("default"), keyspace_config), (keyspace("other"), bare)].into(),
    }
}

fn health_changes() -> Vec<HealthChange> {
    let change = |worker: &str, verdict| HealthChange {
        service: services::service("chat"),
        worker: worker_id(worker),
        incarnation: Epoch(10),
        verdict,
    };
    vec![change("w0", Verdict::Unhealthy), change("w1", Verdict::Healthy)]
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let if_index = Some(LogIndex(3));
    let put = |parts| Command::PutRoute { route: Box::new(route("r", parts)), if_index };
    let configure = |config, mode| Command::Configure { config: Box::new(config), mode, if_index };
    let begin =
        RestoreStep::Begin { keyspaces: keyspace_records(), policies: policies(), last_epoch: Epoch(30) };
    vec![
        ("put-route", put(everything())),
        ("put-route-least", put(least())),
        ("put-route-redirect", put(redirect())),
        ("delete-route", Command::DeleteRoute { name: route_name("r"), if_index: None }),
        (
            "put-service-traffic",
            Command::PutService { name: services::service("chat"), policy: policy(), if_index },
        ),
        ("configure", configure(config(), ConfigMode::Replace)),
        ("configure-nothing", configure(Config::default(), ConfigMode::Merge)),
        ("change-health", Command::ChangeHealth(health_changes())),
        ("restore-begin-traffic", restore(begin)),
        ("restore-routes", restore(RestoreStep::Routes { batch: 3, routes: stored_routes() })),
    ]
}

/// With everything that came with routes.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let restoring = RestoringParts {
        id: RestoreId(0xbac),
        touched: LogTime(1_790_000_000_001),
        batches: 4,
        last_epoch: Epoch(30),
        keyspaces: keyspace_records(),
        policies: policies(),
        routes: shared_routes(),
        sandboxes: Vec::new(),
        objects: Vec::new(),
        workers: Vec::new(),
    };
    let ailment = |worker: &str| Ailment {
        service: services::service("chat"),
        worker: worker_id(worker),
        incarnation: Epoch(10),
        since: LogTime(1_790_000_000_000),
    };
    let replies = replies().into_iter().skip(19).take(4).enumerate();
    let replies = replies.map(|(i, (_, reply))| (i as u64, LogIndex(30), reply)).collect();
    let parts = Parts {
        level: FeatureLevel::FOURTH,
        windows: vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }],
        policies: policies(),
        routes: shared_routes(),
        ailments: vec![ailment("w0"), ailment("w1")],
        config_changed: LogIndex(40),
        restoring: Some(restoring),
        workers: parts.workers.into_iter().take(1).collect(),
        ..parts
    };
    (meta, parts)
}
