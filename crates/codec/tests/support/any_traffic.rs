//! Strategies for routes, policies, and the commands with them.

use super::{traffic::route_name, *};
use http::Method;
use quorate_model::{
    Config, ConfigMode, HealthChange, Hold, KeyspaceConfig, Route, RouteParts, Scheme, ServicePolicy,
    StoredPolicy, StoredRoute, Verdict,
    policy::{
        Backoff, Balancing, Breaker, EndpointLimits, HealthCheck, HealthProbe, KeySource, Outlier, Protocol,
        Retries, RetryBudget,
    },
    route::{
        Action, Cors, Destination, Forwarding, HeaderEdits, HostMatch, Mirror, OriginMatch, PathMatch,
        PathRewrite, Pattern, Redirect, Rewrite, RouteMatch, Target, Timeouts, ValueMatch,
    },
};

pub fn words() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,10}[a-z0-9]"
}

pub fn keys() -> impl Strategy<Value = KeySource> {
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
    let slow_start = (option::of(1u32..=3_600_000), any::<bool>(), option::of("[ -~é]{0,9}"));
    let rest = (option::of(breaker), option::of(outlier), limits, slow_start);
    (plain, protocols(), balancings(), option::of(health), option::of(any_retries()), rest).prop_map(
        |(plain, protocol, (balancing, hash_on), health, retries, rest)| {
            let (breaker, outlier, limits, (slow_start_ms, prefer_zone, version)) = rest;
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
                default_version: version.map(Into::into),
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
        "/[a-z/]{0,6}(/\\*)?/?".prop_map(|path| PathMatch::prefix(&path).expect("valid")),
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

pub fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        words().prop_map(|name| Target::Service(services::service(&name))),
        (addresses(), protocols()).prop_map(|(address, protocol)| Target::Url { address, protocol }),
        (words(), "[ -~é]{1,9}").prop_map(|(service, version)| Target::Version {
            service: services::service(&service),
            version: version.into(),
        }),
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
        Action::from(Forwarding {
            destinations,
            ramp: None,
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
        })
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
        Arc::new(StoredRoute { route, created: LogIndex(created), changed: LogIndex(changed), ramp: None })
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
    let sandboxes = collection::btree_map(sandboxes::any_key(), option::of(sandboxes::any_sandbox()), 0..3);
    (routes, sandboxes, services, keyspaces).prop_map(|(routes, sandboxes, services, keyspaces)| Config {
        sandboxes,
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
