//! What becomes of a request that a route is for, on Views made by applying log entries.

use crate::{Asked, asked, route};
use http::HeaderMap;
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, KeyspaceName, KeyspaceSource, LogIndex, LogTime, Origin,
    Partition, PartitionCount, PartitionRange, Proposal, RouteName, ServiceName, ServiceOffer, Ttl, WorkerId,
    policy::KeySource,
    route::{Action, Cors, Destination, Forwarding, Mirror, OriginMatch, RouteParts, Target},
    worker::RegistrationParts,
};
use quorate_routing::{
    Decision, decide,
    route::{Aim, Outcome, cors},
};
use quorate_state::State;
use std::{sync::Arc, time::Duration};

pub(crate) fn apply(state: &mut State, command: Command) {
    let index = LogIndex(state.index().0 + 1);
    let origin = Origin { boot: BootId(1), sequence: index.0 };
    let applied =
        state.apply(index, &Entry { at: LogTime(index.0), proposals: vec![Proposal { origin, command }] });
    assert!(!matches!(applied.replies[0], quorate_model::Reply::Refused(_)), "{applied:?}");
}

pub(crate) fn put(state: &mut State, name: &str, parts: RouteParts) {
    let route = parts.validate(RouteName::parse(name).unwrap()).unwrap();
    apply(state, Command::PutRoute { route: Box::new(route), if_index: None });
}

/// Twelve partitions, all of them `w1`'s, which also offers `upload`.
pub(crate) fn cluster() -> State {
    let mut state = State::new();
    let partitions = PartitionCount::new(12).ok();
    apply(
        &mut state,
        Command::FormCluster { cluster: ClusterId(1), partitions, source: KeyspaceSource::Kafka },
    );
    let mut parts = RegistrationParts::new(
        WorkerId::parse("w1").unwrap(),
        Address::parse("http://w1:80").unwrap(),
        Ttl::new(Duration::from_secs(30)).unwrap(),
    );
    parts.partitions = (0..12).map(Partition).collect();
    let name = ServiceName::parse("upload").unwrap();
    parts.services = vec![ServiceOffer { name, version: "1".into(), url: None }];
    let registration = parts.validate().unwrap();
    apply(
        &mut state,
        Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index: None },
    );
    state
}

/// A worker of services, each with its version.
pub(crate) fn register(state: &mut State, id: &str, services: &[(&str, &str)]) {
    let mut parts = RegistrationParts::new(
        WorkerId::parse(id).unwrap(),
        Address::parse(&format!("http://{id}:80")).unwrap(),
        Ttl::new(Duration::from_secs(30)).unwrap(),
    );
    let offer = |(name, version): &(&str, &str)| ServiceOffer {
        name: ServiceName::parse(name).unwrap(),
        version: (*version).into(),
        url: None,
    };
    parts.services = services.iter().map(offer).collect();
    let registration = parts.validate().unwrap();
    apply(state, Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index: None });
}

pub(crate) fn forwarding(parts: &mut RouteParts) -> &mut Forwarding {
    match &mut parts.action {
        Action::Forward(forwarding) => Arc::make_mut(forwarding),
        Action::Redirect(_) => panic!("it redirects"),
    }
}

pub(crate) fn to(target: &str, weight: u32) -> Destination {
    let target = match target.split_once(' ').unwrap() {
        ("service", name) => Target::Service(ServiceName::parse(name).unwrap()),
        ("url", url) => Target::Url { address: Address::parse(url).unwrap(), protocol: None },
        ("keyspace", name) => Target::Keyspace(KeyspaceName::parse(name).unwrap()),
        other => panic!("{other:?}"),
    };
    Destination { target, weight }
}

/// Where a request goes.
fn goes(state: &State, request: &Asked) -> String {
    match decide(state, &request.head()) {
        Decision::Route(routed) => match &routed.outcome {
            Outcome::Redirect(to) => format!("{} {}", to.status, to.location),
            Outcome::Preflight(_) => "preflight".into(),
            Outcome::Forward(sent) => match &sent.aim {
                Aim::Service(name, service) => format!("service {name} {}", service.is_some()),
                Aim::Url(address, _) => format!("url {address}"),
                Aim::Owner(name, Ok(forward)) => format!("keyspace {name}: {}", forward.worker.id()),
                Aim::Owner(name, Err(why)) => format!("keyspace {name}: {why:?}"),
                Aim::Version(name, version, _) => format!("service {name}@{version}"),
                Aim::Nobody => "nobody".into(),
            },
        },
        other => format!("{other:?}"),
    }
}

#[test]
fn a_destination_is_a_service_an_address_or_a_keyspace() {
    let mut state = cluster();
    for (name, target) in
        [("s", "service upload"), ("n", "service none"), ("u", "url http://h:1"), ("k", "keyspace default")]
    {
        let mut parts = route(name, &format!("prefix=/{name}"));
        forwarding(&mut parts).destinations = vec![to(target, 1)];
        put(&mut state, name, parts);
    }
    for (path, expected) in [
        ("/s", "service upload true"),
        ("/n", "service none false"),
        ("/u", "url http://h:1"),
        ("/k/workspaces/w", "keyspace default: w1"),
        ("/k", "keyspace default: NoWorkspace"),
    ] {
        assert_eq!(goes(&state, &asked(&format!("GET r{path}"))), expected);
    }
    assert!(goes(&state, &asked("GET r/api/service/upload/x")).starts_with("Service("));
    assert!(goes(&state, &asked("GET r/v1/workspaces/w")).starts_with("Forward("));
}

/// Two nodes that have heard the same log in other pieces send a key to the same place.
#[test]
fn a_key_goes_to_one_destination_on_all_nodes() {
    let build = |others: usize| {
        let mut state = cluster();
        for nth in 0..others {
            put(&mut state, &format!("o{nth}"), route("o", &format!("prefix=/other/{nth}")));
        }
        let mut parts = route("r", "prefix=/s");
        let split = forwarding(&mut parts);
        split.destinations = vec![to("url http://a:1", 70), to("url http://b:1", 30)];
        split.sticky = Some(KeySource::Trace);
        put(&mut state, "r", parts);
        state
    };
    let (one, other) = (build(0), build(300));
    let mut seen = [0; 2];
    for nth in 1..=2_000_u32 {
        let trace = format!("GET r/s/{nth} traceparent:00-{nth:032x}-00f067aa0ba902b7-01");
        let first = goes(&one, &asked(&trace));
        assert_eq!(first, goes(&other, &asked(&trace)), "{trace}");
        let elsewhere = format!("GET r/s traceparent:00-{nth:032x}-aaaaaaaaaaaaaaaa-00 x:y");
        assert_eq!(first, goes(&one, &asked(&elsewhere)), "the trace decides and nothing else");
        seen[usize::from(first == "url http://b:1")] += 1;
    }
    assert!((520..680).contains(&seen[1]), "{seen:?}");
}

#[test]
fn a_share_of_requests_is_mirrored() {
    let mut state = cluster();
    let mut parts = route("r", "prefix=/m");
    forwarding(&mut parts).mirror = Some(Mirror::new(to("url http://m:1", 1).target, 250_000).unwrap());
    put(&mut state, "r", parts);
    let (request, mut entropy) = (asked("GET r/m"), 3);
    let mirrored = (0..20_000).filter(|_| {
        let head = quorate_routing::RequestHead {
            entropy: quorate_routing::pick::next_random(&mut entropy),
            ..request.head()
        };
        match decide(&state, &head) {
            Decision::Route(routed) => {
                matches!(routed.outcome, Outcome::Forward(sent) if sent.mirror.is_some())
            }
            _ => false,
        }
    });
    let count = mirrored.count();
    assert!((4_700..5_300).contains(&count), "{count}");
}

fn cors_of(origins: &[&str]) -> Cors {
    let origins = origins.iter().map(|origin| OriginMatch::parse("f", origin).unwrap());
    Cors { allowed_origins: origins.collect(), ..Cors::default() }
}

#[test]
fn a_preflight_is_answered_for_the_request_that_it_is_about() {
    let mut state = cluster();
    let with = |words: &str| {
        let mut parts = route("c", words);
        forwarding(&mut parts).cors = Some(cors_of(&["https://a"]));
        parts
    };
    put(&mut state, "put", with("prefix=/c method=PUT"));
    put(&mut state, "plain", route("plain", "prefix=/c/plain"));
    put(&mut state, "tenant", with("prefix=/t h:x-tenant=1"));
    put(&mut state, "options", route("o", "prefix=/o method=OPTIONS"));
    let asks = |path: &str, method: &str| {
        let request = format!("OPTIONS r{path} origin:https://a access-control-request-method:{method}");
        goes(&state, &asked(&request))
    };
    assert_eq!(asks("/c/x", "PUT"), "preflight");
    assert_eq!(asks("/c/x", "GET"), "preflight", "no route is for a GET: nobody is allowed one");
    assert_eq!(asks("/elsewhere", "GET"), "Preflight", "no route at all: as everywhere else");
    assert_eq!(
        asks("/c/plain", "PUT"),
        "Preflight",
        "that route has no answer, and the one behind it has no say"
    );
    assert_eq!(asks("/t", "GET"), "preflight", "a preflight never has the request's headers");
    assert_eq!(asks("/o", "GET"), "service o false");
    assert_eq!(goes(&state, &asked("OPTIONS r/c/x")), "Preflight");
}

#[test]
fn what_a_browser_is_told() {
    let headers = |origin: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("origin", origin.parse().unwrap());
        headers
    };
    let any = cors_of(&["*"]);
    assert_eq!(cors::allowed_origin(&any, &headers("https://x")).unwrap(), "*");
    let mut answer = HeaderMap::new();
    cors::answer(&any, cors::allowed_origin(&any, &headers("https://x")).as_ref(), &mut answer);
    assert_eq!(
        (answer.get("vary"), answer["access-control-allow-origin"].as_bytes()),
        (None, b"*".as_slice())
    );
    let some = cors_of(&["https://a", "https://*.b.test"]);
    for (origin, allowed) in [
        ("https://a", true),
        ("HTTPS://A", true),
        ("https://x.b.test", true),
        ("https://b.test", false),
        ("null", false),
    ] {
        assert_eq!(cors::allowed_origin(&some, &headers(origin)).is_some(), allowed, "{origin}");
    }
    let mut two = headers("https://a");
    two.append("origin", "https://a".parse().unwrap());
    assert_eq!(cors::allowed_origin(&some, &two), None, "two origins are none");
}
