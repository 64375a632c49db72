//! Decisions on real Views, made by applying log entries.

#![expect(clippy::unwrap_used, reason = "fixtures: a test that can not be set up has to stop")]

use expect_test::{Expect, expect};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, KeyspaceSource, LeaseChange, LeaseEvent, LogIndex, LogTime,
    Origin, Partition, PartitionCount, PartitionRange, Proposal, Ttl, WorkerId, worker::RegistrationParts,
};
use quorate_routing::{Decision, RequestHead, decide, decide::Unserved, workspace::Workspace};
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
        Decision::Preflight => "answered here".into(),
        Decision::NoWorkspace => "no workspace".into(),
        Decision::PartitionCountUnknown(why) => format!("no partition count: {why:?}"),
        Decision::NoWorker { workspace, partition, why } => match why {
            Unserved::Unowned => format!("{}, partition {partition}: unowned", said(workspace)),
            Unserved::OwnerGone(w) => {
                format!("{}, partition {partition}: {} is gone", said(workspace), w.id())
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
    let head = RequestHead { method: &method, path, headers: &headers, entropy };
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
        let head = RequestHead { method: &Method::GET, path: "/", headers: &headers, entropy };
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
