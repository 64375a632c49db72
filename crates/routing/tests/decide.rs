//! Decisions on real Views, made by applying log entries.

#![expect(clippy::unwrap_used, reason = "fixtures: a test that can not be set up has to stop")]

use expect_test::{Expect, expect};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quorate_model::{
    Address, BootId, ClusterId, Command, Duty, Entry, Hold, KeyspaceName, KeyspaceSource, LeaseChange,
    LeaseEvent, LogIndex, LogTime, Origin, Partition, PartitionCount, PartitionRange, Proposal, ServiceName,
    ServiceOffer, ServicePolicy, Ttl, WorkerId, worker::RegistrationParts,
};
use quorate_routing::{
    Decision, RequestHead, decide,
    decide::Unserved,
    pick::{Ask, Candidate, Candidates, address},
    vacancy::{self, Vacancy},
    workspace::Workspace,
};
use quorate_state::State;
use std::time::Duration;

fn apply(state: &mut State, command: Command) {
    let index = LogIndex(state.index().0 + 1);
    let origin = Origin { boot: BootId(1), sequence: index.0 };
    let applied =
        state.apply(index, &Entry { at: LogTime(index.0), proposals: vec![Proposal { origin, command }] });
    assert!(!matches!(applied.replies[0], quorate_model::Reply::Refused(_)), "{applied:?}");
}

fn formed(partitions: Option<u32>) -> State {
    let mut state = State::new();
    let partitions = partitions.map(|n| PartitionCount::new(n).unwrap());
    apply(
        &mut state,
        Command::FormCluster { cluster: ClusterId(1), partitions, source: KeyspaceSource::Kafka },
    );
    state
}

fn register(state: &mut State, id: &str, partitions: &[i32]) {
    let mut parts = RegistrationParts::new(
        WorkerId::parse(id).unwrap(),
        Address::parse(&format!("http://{id}:80")).unwrap(),
        Ttl::new(Duration::from_secs(30)).unwrap(),
    );
    parts.partitions = partitions.iter().map(|p| Partition(*p)).collect();
    let registration = parts.validate().unwrap();
    apply(state, Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index: None });
}

fn lease(state: &mut State, id: &str, event: LeaseEvent) {
    let epoch = state.worker(id).unwrap().epoch;
    let id = WorkerId::parse(id).unwrap();
    apply(state, Command::ChangeLeases(vec![LeaseChange { id, epoch, event }]));
}

/// Three workers, twelve partitions: `live` has 0 to 3, `late` (suspect) 4 to 7, `dead` (expired) 8 to 10.
fn cluster() -> State {
    let mut state = formed(Some(12));
    register(&mut state, "live", &[0, 1, 2, 3]);
    register(&mut state, "late", &[4, 5, 6, 7]);
    register(&mut state, "dead", &[8, 9, 10]);
    lease(&mut state, "late", LeaseEvent::Suspected);
    lease(&mut state, "dead", LeaseEvent::Expired);
    state
}

fn show(decision: &Decision<'_, '_>) -> String {
    let said = |workspace: &Workspace<'_>| {
        let source = match workspace {
            Workspace::Any => "any",
            Workspace::Header(_) => "header",
            Workspace::Path(_) => "path",
        };
        format!("{} by {source}", String::from_utf8_lossy(workspace.id()))
    };
    match decision {
        Decision::Sandbox(met) => format!("rule {} of a sandbox", met.nth),
        Decision::Route(routed) => format!("route {}", routed.route.route.name()),
        Decision::AmbiguousPath(_) => "an ambiguous path".into(),
        Decision::Default(_) => "the default target".into(),
        Decision::Preflight => "answered here".into(),
        Decision::ServicePreflight => "answered here, for a service".into(),
        Decision::BadServicePath(bad) => format!("bad: {bad:?}"),
        Decision::NoService(path) => format!("no service {}", path.name),
        Decision::Service(path, service) => {
            let of = service
                .endpoints()
                .filter_map(|e| Candidate::of(e.worker(), e.offer(), None).map(|c| c.named(e)));
            let candidates = Candidates::new(of.collect());
            let shown: Vec<_> =
                candidates.iter().map(|c| format!("{} at {}", c.who.worker().id(), address(c.who))).collect();
            let picked = candidates.pick(Ask { entropy: 0, model: None }, |_| 0, |_| false);
            assert_eq!(picked.is_none(), shown.is_empty());
            format!("service {}, rest `{}`: {}", path.name, path.rest, shown.join(", "))
        }
        Decision::NoWorkspace => "no workspace".into(),
        Decision::PartitionCountUnknown(why) => format!("no partition count: {why:?}"),
        Decision::NoWorker { workspace, partition, why, .. } => match why {
            Unserved::Unowned => format!("{}, partition {partition}: unowned", said(workspace)),
            Unserved::OwnerGone(w) => {
                format!("{}, partition {partition}: {} is gone", said(workspace), w.id())
            }
            Unserved::OwnerOut(w) => {
                format!("{}, partition {partition}: {} is out of service", said(workspace), w.id())
            }
        },
        Decision::Forward(f) => {
            format!("{}, {}/{}: {}", said(&f.workspace), f.keyspace.name, f.partition, f.worker.id())
        }
    }
}

fn check(view: &State, request: &str, entropy: u64, expected: &Expect) {
    let mut words = request.split(' ');
    let method: Method = words.next().unwrap().parse().unwrap();
    let path = words.next().unwrap();
    let mut headers = HeaderMap::new();
    for header in words {
        let (name, value) = header.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let head = RequestHead { entropy, ..RequestHead::of(&method, path, &headers) };
    expected.assert_eq(&show(&decide(view, &head)));
}

#[test]
fn a_workspace_goes_to_the_owner_of_its_partition() {
    let view = cluster();
    check(&view, "GET /v1/workspaces/workspace-1/x", 0, &expect!["workspace-1 by path, default/2: live"]);
    check(
        &view,
        "POST /run X-Workspace-ID:test-workspace-123",
        0,
        &expect!["test-workspace-123 by header, default/1: live"],
    );
    check(
        &view,
        "GET / x-workspace-id:workspace-123",
        0,
        &expect!["workspace-123 by header, default/5: late"],
    );
}

#[test]
fn the_header_wins_over_the_path() {
    check(
        &cluster(),
        "GET /v1/workspaces/workspace-1/x X-Workspace-ID:workspace-123",
        0,
        &expect!["workspace-123 by header, default/5: late"],
    );
}

#[test]
fn the_first_of_two_headers_counts() {
    check(
        &cluster(),
        "GET / X-Workspace-ID:workspace-1 X-Workspace-ID:workspace-123",
        0,
        &expect!["workspace-1 by header, default/2: live"],
    );
}

#[test]
fn a_partition_without_a_live_owner_has_no_worker() {
    let view = cluster();
    check(
        &view,
        "GET / X-Workspace-ID:prod-workspace-123",
        0,
        &expect!["prod-workspace-123 by header, partition 8: dead is gone"],
    );
    check(
        &view,
        "GET /v1/workspaces/550e8400-e29b-41d4-a716-446655440000",
        0,
        &expect!["550e8400-e29b-41d4-a716-446655440000 by path, partition 11: unowned"],
    );
}

/// Whoever `any` draws, over a thousand requests.
fn drawn(view: &State) -> std::collections::BTreeMap<String, u32> {
    let headers = [(HeaderName::from_static("x-workspace-id"), HeaderValue::from_static("any"))];
    let headers: HeaderMap = headers.into_iter().collect();
    let mut drawn = std::collections::BTreeMap::new();
    for nth in 0..1_000u64 {
        let entropy = nth.wrapping_mul(0xd134_2543_de82_ef95);
        let head = RequestHead { entropy, ..RequestHead::of(&Method::GET, "/", &headers) };
        let who = match decide(view, &head) {
            Decision::Forward(forward) => forward.worker.id().to_string(),
            _ => "nobody".into(),
        };
        *drawn.entry(who).or_default() += 1;
    }
    drawn
}

#[test]
fn any_is_a_partition_by_chance() {
    let mut view = formed(Some(12));
    for (id, partition) in [("a", 0), ("b", 1), ("c", 2)] {
        register(&mut view, id, &(partition..12).step_by(3).collect::<Vec<_>>());
    }
    let drawn = drawn(&view);
    assert_eq!(drawn.values().sum::<u32>(), 1_000);
    assert!(["a", "b", "c"].iter().all(|id| (250..420).contains(&drawn[*id])), "{drawn:?}");
}

#[test]
fn any_prefers_a_live_owner_to_a_suspect_one_and_that_to_none() {
    let mut view = cluster();
    let served = drawn(&view);
    assert!(served["live"] > 900, "a third of the partitions, in eight draws: {served:?}");
    lease(&mut view, "live", LeaseEvent::Expired);
    let served = drawn(&view);
    assert!(
        served["late"] > 900 && !served.contains_key("live"),
        "a suspect one serves when no live one is left"
    );
    lease(&mut view, "late", LeaseEvent::Expired);
    assert_eq!(drawn(&view).into_iter().collect::<Vec<_>>(), [("nobody".to_owned(), 1_000)]);
}

#[test]
fn options_is_never_forwarded() {
    check(&cluster(), "OPTIONS /v1/workspaces/workspace-1/x", 0, &expect!["answered here"]);
    check(&State::new(), "OPTIONS *", 0, &expect!["answered here"]);
}

#[test]
fn a_missing_key_is_never_hashed() {
    let view = cluster();
    check(&view, "GET /", 0, &expect!["no workspace"]);
    check(&view, "GET /v1/workspaces/", 0, &expect!["no workspace"]);
    check(&view, "GET / X-Workspace-ID:", 0, &expect!["no workspace"]);
}

#[test]
fn an_unknown_partition_count_is_told_and_nothing_is_divided_by_it() {
    check(&State::new(), "GET / X-Workspace-ID:w", 0, &expect!["no partition count: NoCluster"]);
    check(&formed(None), "GET / X-Workspace-ID:w", 0, &expect!["no partition count: NotObserved"]);
    check(&formed(None), "GET / X-Workspace-ID:any", 0, &expect!["no partition count: NotObserved"]);
}

#[test]
fn a_missing_workspace_is_told_before_a_missing_count() {
    check(&State::new(), "GET /", 0, &expect!["no workspace"]);
}

fn duty(state: &mut State, id: &str, duty: Duty) {
    apply(state, Command::SetDuty { id: WorkerId::parse(id).unwrap(), duty, if_index: None });
}

fn weight(state: &mut State, id: &str, weight: u32) {
    let id = WorkerId::parse(id).unwrap();
    apply(state, Command::SetWeight { id, weight: Some(weight), if_index: None });
}

fn offer(state: &mut State, id: &str, url: Option<&str>) {
    let address = Address::parse(&format!("http://{id}:80")).unwrap();
    let mut parts = RegistrationParts::new(
        WorkerId::parse(id).unwrap(),
        address,
        Ttl::new(Duration::from_secs(30)).unwrap(),
    );
    let url = url.map(|url| Address::parse(url).unwrap());
    parts.services = vec![ServiceOffer { name: ServiceName::parse("s").unwrap(), version: "".into(), url }];
    let registration = parts.validate().unwrap();
    apply(state, Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index: None });
}

#[test]
fn a_service_comes_before_a_workspace() {
    let mut view = cluster();
    offer(&mut view, "w1", None);
    check(
        &view,
        "GET /api/service/s/a/b X-Workspace-ID:workspace-1",
        0,
        &expect!["service s, rest `/a/b`: w1 at http://w1:80"],
    );
    check(&view, "GET /api/service/x/workspaces/workspace-1", 0, &expect!["no service x"]);
    check(&view, "GET /api/service//a", 0, &expect!["bad: NoName"]);
    check(&view, "GET /api/service/s/../a", 0, &expect!["bad: DotSegment"]);
    check(&view, "OPTIONS /api/service/s/../a", 0, &expect!["answered here, for a service"]);
    check(
        &view,
        "GET /v1/workspaces/workspace-1/api/service/s",
        0,
        &expect!["workspace-1 by path, default/2: live"],
    );
    // Without a cluster there is no service either.
    check(&State::new(), "GET /api/service/s/a", 0, &expect!["no service s"]);
}

/// The live ones, those in reserve behind them, the suspect ones behind all; the others not at all.
#[test]
fn the_workers_of_a_service_have_ranks() {
    let mut view = formed(Some(12));
    for id in ["drained", "late", "live", "lost", "offline", "reserve"] {
        offer(&mut view, id, (id == "late").then_some("http://own.example/base"));
    }
    lease(&mut view, "late", LeaseEvent::Suspected);
    lease(&mut view, "lost", LeaseEvent::Expired);
    duty(&mut view, "drained", Duty::Draining);
    duty(&mut view, "offline", Duty::Offline);
    weight(&mut view, "reserve", 0);
    check(
        &view,
        "GET /api/service/s",
        0,
        &expect![
            "service s, rest ``: live at http://live:80, reserve at http://reserve:80, late at http://own.example/base"
        ],
    );
}

#[test]
fn a_draining_owner_is_as_good_as_none() {
    let mut view = cluster();
    duty(&mut view, "live", Duty::Draining);
    check(
        &view,
        "GET / X-Workspace-ID:workspace-1",
        0,
        &expect!["workspace-1 by header, partition 2: live is out of service"],
    );
    assert!(!drawn(&view).contains_key("live"), "nor is it drawn");
    duty(&mut view, "live", Duty::InService);
    check(&view, "GET / X-Workspace-ID:workspace-1", 0, &expect!["workspace-1 by header, default/2: live"]);
}

fn hold() -> Hold {
    Hold::new(Duration::from_secs(5), 10).unwrap()
}

#[test]
fn a_request_may_wait_for_the_next_owner_of_a_partition_where_the_keyspace_says_so() {
    let mut view = cluster();
    let vacancy = |view: &State| vacancy::of_partition(view.default_keyspace().unwrap(), 0);
    lease(&mut view, "live", LeaseEvent::Expired);
    let since = view.index();
    assert_eq!(vacancy(&view), None, "off by default");
    apply(
        &mut view,
        Command::PutKeyspace {
            name: KeyspaceName::default(),
            partitions: PartitionCount::new(12).ok(),
            source: KeyspaceSource::Static,
            hold: Some(hold()),
            if_index: None,
        },
    );
    assert_eq!(vacancy(&view), Some(Vacancy { since, hold: hold() }));
    let keyspace = view.default_keyspace().unwrap();
    assert_eq!(vacancy::of_partition(keyspace, 11), None, "it never had an owner");
    duty(&mut view, "live", Duty::Offline);
    assert_eq!(vacancy(&view), None, "nobody waits for who was taken offline");
    duty(&mut view, "live", Duty::Draining);
    assert!(vacancy(&view).is_some());
    register(&mut view, "next", &[0]);
    assert_eq!(vacancy(&view), None, "there is an owner");
}

#[test]
fn a_request_may_wait_for_a_service_that_lost_its_last_worker() {
    let mut view = formed(Some(12));
    let vacancy = |view: &State| vacancy::of_service(view.service("s").unwrap());
    let unregister = |view: &mut State, id: &str| {
        let id = WorkerId::parse(id).unwrap();
        apply(view, Command::UnregisterWorker { id, epoch: None, if_index: None });
    };
    let name = ServiceName::parse("s").unwrap();
    let policy = ServicePolicy::new(Some(hold()), None).unwrap();
    apply(&mut view, Command::PutService { name, policy, if_index: None });
    assert_eq!(vacancy(&view), None, "it never had a worker");
    offer(&mut view, "a", None);
    offer(&mut view, "b", None);
    lease(&mut view, "a", LeaseEvent::Expired);
    assert_eq!(vacancy(&view), None, "one is left");
    duty(&mut view, "b", Duty::Draining);
    assert_eq!(vacancy(&view), Some(Vacancy { since: view.index(), hold: hold() }));
    duty(&mut view, "b", Duty::Offline);
    assert!(vacancy(&view).is_some(), "the other one was lost");
    duty(&mut view, "a", Duty::Offline);
    assert_eq!(vacancy(&view), None, "all of them were taken offline");
    offer(&mut view, "c", None);
    unregister(&mut view, "c");
    assert!(vacancy(&view).is_some(), "the last one went by itself");
    offer(&mut view, "d", None);
    duty(&mut view, "d", Duty::Offline);
    for id in ["d", "a", "b"] {
        unregister(&mut view, id);
        assert_eq!(vacancy(&view), None, "they were taken offline before");
    }
}
