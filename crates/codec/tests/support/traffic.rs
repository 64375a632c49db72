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
    RouteParts { matches, action: Action::Forward(Box::new(forwarding)), priority: -7 }
}

/// Says as little as a route can.
fn least() -> RouteParts {
    let destinations = vec![Destination { target: service("echo"), weight: Destination::WEIGHT_DEFAULT }];
    let forwarding = Forwarding { destinations, ..Forwarding::default() };
    RouteParts { action: Action::Forward(Box::new(forwarding)), ..RouteParts::default() }
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
        workers: Vec::new(),
    };
    let ailment = |worker: &str| Ailment {
        service: services::service("chat"),
        worker: worker_id(worker),
        incarnation: Epoch(10),
        since: LogTime(1_790_000_000_000),
    };
    let replies = replies().into_iter().skip(19).enumerate();
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

fn words() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,10}[a-z0-9]"
}

fn keys() -> impl Strategy<Value = KeySource> {
    prop_oneof![
        words().prop_map(|name| KeySource::header(&name).expect("valid")),
        "[A-Za-z_]{1,9}".prop_map(|name| KeySource::cookie(&name).expect("valid")),
        "[ -~é日]{1,9}".prop_map(|name| KeySource::query(&name).expect("valid")),
        (1u64..=64).prop_map(|nth| KeySource::path_segment(nth).expect("valid")),
        Just(KeySource::Trace),
        Just(KeySource::SourceIp),
    ]
}

/// A balancing, and a key where it needs one.
fn balancings() -> impl Strategy<Value = (Option<Balancing>, Option<KeySource>)> {
    (option::of(prop::sample::select(Balancing::ALL.to_vec())), keys()).prop_map(|(balancing, key)| {
        (balancing, (balancing == Some(Balancing::ConsistentHash)).then_some(key))
    })
}

fn protocols() -> impl Strategy<Value = Option<Protocol>> {
    option::of(prop::sample::select(Protocol::ALL.to_vec()))
}

/// Those that say twice that they repeat anything, and whose answers are in no order.
fn any_retries() -> impl Strategy<Value = Retries> {
    let on = collection::vec(400u16..600, 0..4);
    (0u8..=10, on, 1u32..60_000, 0u8..=100, 0u32..=100_000).prop_map(
        |(max, on, initial_ms, percent, min_per_second)| Retries {
            max,
            on,
            backoff: Backoff { initial_ms, max_ms: 60_000 },
            non_idempotent: true,
            budget: RetryBudget { percent, min_per_second },
        },
    )
}

fn any_policy() -> impl Strategy<Value = ServicePolicy> {
    let probe = prop_oneof![
        Just(HealthProbe::Tcp),
        Just(HealthProbe::Http { path: "/up".into() }),
        "[a-z.]{0,9}".prop_map(|service| HealthProbe::Grpc { service: service.into() }),
    ];
    let health = (probe, 100u32..3_600_000, 1u8..=100, 1u8..=100).prop_map(
        |(probe, interval_ms, unhealthy, healthy)| HealthCheck {
            probe,
            interval_ms,
            timeout_ms: 100,
            unhealthy,
            healthy,
        },
    );
    let breaker = (1u32..=10_000, 100u32..=3_600_000, any::<bool>())
        .prop_map(|(failures, open_ms, shared)| Breaker { failures, open_ms, shared, ..Breaker::default() });
    let outlier =
        (1u32..=10_000, 100u32..=3_600_000, 0u8..=100).prop_map(|(failures, ejection_ms, most)| Outlier {
            failures,
            ejection_ms,
            ejection_ms_max: 3_600_000,
            ejected_percent_max: most,
            panic_percent: most,
        });
    let limit = || option::of(1u32..=1_000_000);
    let limits = (limit(), limit(), limit()).prop_map(|(connections_max, pending_max, in_flight_max)| {
        EndpointLimits { connections_max, pending_max, in_flight_max }
    });
    let plain =
        (option::of(1_000u64..=10_000), option::of(10u32..=3_600_000)).prop_map(|(wait, timeout_ms)| {
            let hold = wait.and_then(|ms| Hold::new(Duration::from_millis(ms), 10).ok());
            ServicePolicy { hold, timeout_ms, ..ServicePolicy::default() }
        });
    let rest =
        (option::of(breaker), option::of(outlier), limits, option::of(1u32..=3_600_000), any::<bool>());
    (plain, protocols(), balancings(), option::of(health), option::of(any_retries()), rest).prop_map(
        |(plain, protocol, (balancing, hash_on), health, retries, rest)| {
            let (breaker, outlier, limits, slow_start_ms, prefer_zone) = rest;
            let policy = ServicePolicy {
                protocol,
                balancing,
                hash_on,
                health,
                retries,
                breaker,
                outlier,
                limits,
                slow_start_ms,
                prefer_zone,
                ..plain
            };
            policy.validate().expect("valid")
        },
    )
}

fn paths() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        Just(PathMatch::Any),
        "/[a-z0-9/%*-]{0,12}".prop_map(|path| PathMatch::exact(&path).expect("valid")),
        "/[a-z/]{0,6}(/\\*){0,2}/?".prop_map(|path| PathMatch::prefix(&path).expect("valid")),
        "/[a-z]{1,4}(\\[0-9\\]\\+)?".prop_map(|text| PathMatch::regex(&text).expect("valid")),
        ("[A-Za-z.]{1,9}", option::of("[A-Za-z]{1,9}")).prop_map(|(service, method)| PathMatch::grpc(
            &service,
            method.as_deref()
        )
        .expect("valid")),
    ]
}

fn values() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        Just(ValueMatch::Present),
        "[ -~é日]{0,12}".prop_map(|text| ValueMatch::exact("f", &text).expect("valid")),
        "[a-z]{0,4}(a|b)?".prop_map(|text| ValueMatch::Regex(Pattern::parse("f", &text).expect("valid"))),
    ]
}

fn methods() -> impl Strategy<Value = Vec<Method>> {
    let method = "[A-Z]{1,9}".prop_map(|name| Method::from_bytes(name.as_bytes()).expect("valid"));
    collection::vec(method, 0..3)
}

fn matches() -> impl Strategy<Value = RouteMatch> {
    let host = ("(\\*\\.)?", words())
        .prop_map(|(wild, host)| HostMatch::parse(&format!("{wild}{host}.example")).expect("valid"));
    let headers = collection::vec((words().prop_map(Box::from), values()), 0..3);
    let query = collection::vec(("[ -~é]{1,9}".prop_map(Box::from), values()), 0..3);
    (option::of(host), paths(), methods(), headers, query)
        .prop_map(|(host, path, methods, headers, query)| RouteMatch { host, path, methods, headers, query })
}

fn header_edits() -> impl Strategy<Value = HeaderEdits> {
    let value = "[ -~é]{0,12}".prop_map(|text| HeaderEdits::value("f", &text).expect("valid"));
    let pairs = || {
        let name = words().prop_map(|word| format!("x-{word}").into());
        collection::vec((name, value.clone()), 0..3)
    };
    let remove = collection::vec(words().prop_map(|word| format!("x-{word}").into()), 0..3);
    (pairs(), pairs(), remove).prop_map(|(set, add, remove)| HeaderEdits { set, add, remove })
}

fn any_cors() -> impl Strategy<Value = Cors> {
    let origin = prop_oneof![
        Just(OriginMatch::Any),
        ("(\\*\\.)?", words(), option::of(1u16..)).prop_map(|(wild, host, port)| {
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            OriginMatch::parse("f", &format!("https://{wild}{host}{port}")).expect("valid")
        }),
    ];
    let names = || collection::vec("[A-Za-z]{1,9}".prop_map(Box::from), 0..3);
    let age = option::of(any::<u32>());
    (collection::vec(origin, 0..3), methods(), names(), names(), age).prop_map(
        |(allowed_origins, allowed_methods, allowed_headers, exposed_headers, max_age_seconds)| Cors {
            allow_credentials: !allowed_origins.contains(&OriginMatch::Any),
            allowed_origins,
            allowed_methods,
            allowed_headers,
            exposed_headers,
            max_age_seconds,
        },
    )
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        words().prop_map(|name| service(&name)),
        (addresses(), protocols()).prop_map(|(address, protocol)| Target::Url { address, protocol }),
    ]
}

fn actions() -> impl Strategy<Value = Action> {
    let any_target = prop_oneof![targets(), keyspaces().prop_map(Target::Keyspace)];
    let destinations = collection::vec(
        (any_target, 1u32..=1_000_000).prop_map(|(target, weight)| Destination { target, weight }),
        1..4,
    );
    let ms = || option::of(10u32..=3_600_000);
    let timeouts = (ms(), ms(), ms()).prop_map(|(total_ms, idle_ms, per_try_ms)| Timeouts {
        total_ms,
        idle_ms,
        per_try_ms,
    });
    let full = || "/[a-z/*]{0,9}".prop_map(|path| PathRewrite::full("f", &path).expect("valid"));
    let rewrite = (option::of(full()), option::of(words()))
        .prop_map(|(path, host)| Rewrite { path, host: host.map(Into::into) });
    let mirror =
        (targets(), 0u32..=1_000_000).prop_map(|(target, share)| Mirror::new(target, share).expect("valid"));
    let how = (destinations, option::of(keys()), balancings(), timeouts, option::of(any_retries()));
    let what = (option::of(any_cors()), rewrite, header_edits(), header_edits(), option::of(mirror));
    let forward = (how, what).prop_map(|(how, what)| {
        let (destinations, sticky, (balancing, hash_on), timeouts, retries) = how;
        let (cors, rewrite, request_headers, response_headers, mirror) = what;
        Action::Forward(Box::new(Forwarding {
            destinations,
            sticky,
            balancing,
            hash_on,
            timeouts,
            retries,
            cors,
            rewrite,
            request_headers,
            response_headers,
            mirror,
        }))
    });
    let status = prop::sample::select(vec![301u16, 302, 303, 307, 308]);
    let scheme = option::of(prop_oneof![Just(Scheme::Http), Just(Scheme::Https)]);
    let redirect = (status, scheme, words(), option::of(1u16..), option::of(full())).prop_map(
        |(status, scheme, host, port, path)| {
            Action::Redirect(Redirect { status, scheme, host: Some(host.into()), port, path })
        },
    );
    prop_oneof![3 => forward, 1 => redirect]
}

pub fn any_route() -> impl Strategy<Value = Route> {
    let name = name_strategy().prop_map(|name| route_name(&name));
    (name, matches(), actions(), any::<i32>()).prop_map(|(name, matches, action, priority)| {
        RouteParts { matches, action, priority }.validate(name).expect("valid")
    })
}

pub fn any_stored_route() -> impl Strategy<Value = Arc<StoredRoute>> {
    (any_route(), any::<(u64, u64)>()).prop_map(|(route, (created, changed))| {
        Arc::new(StoredRoute { route, created: LogIndex(created), changed: LogIndex(changed) })
    })
}

pub fn any_stored_policy() -> impl Strategy<Value = StoredPolicy> {
    (words(), any_policy(), any::<u64>()).prop_map(|(name, policy, changed)| StoredPolicy {
        service: services::service(&name),
        policy,
        changed: LogIndex(changed),
    })
}

fn any_config() -> impl Strategy<Value = Config> {
    let routes = collection::vec((any_route(), any::<bool>()), 0..3);
    let services = collection::btree_map(words(), option::of(any_policy()), 0..3);
    let keyspaces = collection::btree_map(keyspaces(), (option::of(counts()), sources()), 0..3);
    (routes, services, keyspaces).prop_map(|(routes, services, keyspaces)| Config {
        routes: routes
            .into_iter()
            .map(|(route, stays)| (route.name().clone(), stays.then_some(route)))
            .collect(),
        services: services.into_iter().map(|(name, policy)| (services::service(&name), policy)).collect(),
        keyspaces: keyspaces
            .into_iter()
            .map(|(name, (partitions, source))| (name, KeyspaceConfig { partitions, source, hold: None }))
            .collect(),
    })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let modes = prop_oneof![Just(ConfigMode::Merge), Just(ConfigMode::Replace)];
    let verdicts = prop_oneof![Just(Verdict::Healthy), Just(Verdict::Unhealthy)];
    let change =
        (words(), ids(), any::<u64>(), verdicts).prop_map(|(service, worker, incarnation, verdict)| {
            HealthChange {
                service: services::service(&service),
                worker,
                incarnation: Epoch(incarnation),
                verdict,
            }
        });
    let stored = collection::vec(any_stored_route().prop_map(Arc::unwrap_or_clone), 0..3);
    let policies = collection::vec(any_stored_policy(), 0..3);
    prop_oneof![
        (any_route(), indexes())
            .prop_map(|(route, if_index)| Command::PutRoute { route: Box::new(route), if_index }),
        (name_strategy(), indexes())
            .prop_map(|(name, if_index)| Command::DeleteRoute { name: route_name(&name), if_index }),
        (words(), any_policy(), indexes()).prop_map(|(name, policy, if_index)| {
            Command::PutService { name: services::service(&name), policy, if_index }
        }),
        (any_config(), modes, indexes()).prop_map(|(config, mode, if_index)| Command::Configure {
            config: Box::new(config),
            mode,
            if_index
        }),
        collection::vec(change, 0..4).prop_map(Command::ChangeHealth),
        (any::<u32>(), stored).prop_map(|(batch, routes)| restore(RestoreStep::Routes { batch, routes })),
        policies.prop_map(|policies| {
            restore(RestoreStep::Begin { keyspaces: keyspace_records(), policies, last_epoch: Epoch(1) })
        }),
    ]
}
