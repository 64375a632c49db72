//! `decide` on a small and on a large View: under a microsecond each, and the large one at most twice the small.

#![expect(clippy::unwrap_used, reason = "a benchmark that can not be set up has to stop")]

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderValue, Method};
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, KeyspaceSource, LogIndex, LogTime, Origin, Partition,
    PartitionCount, PartitionRange, Proposal, ServiceName, ServiceOffer, Ttl, WorkerId,
    worker::RegistrationParts,
};
use quorate_routing::{
    Decision, RequestHead, decide,
    pick::{Ask, Candidate, Candidates},
};
use quorate_state::State;
use std::time::Duration;

const IDS: usize = 1_024;

fn main() {
    divan::main();
}

fn view(workers: u32, partitions: u32) -> State {
    let mut state = State::new();
    let count = Some(PartitionCount::new(partitions).unwrap());
    let form =
        Command::FormCluster { cluster: ClusterId(1), partitions: count, source: KeyspaceSource::Static };
    let registrations = (0..workers).map(|w| {
        let mut parts = RegistrationParts::new(
            WorkerId::parse(&format!("worker-{w}")).unwrap(),
            Address::parse(&format!("http://10.0.{}.{}:8081", w >> 8, w & 255)).unwrap(),
            Ttl::new(Duration::from_secs(30)).unwrap(),
        );
        parts.partitions =
            (0..partitions).filter(|p| p % workers == w).map(|p| Partition(p as i32)).collect();
        let name = ServiceName::parse("upload").unwrap();
        parts.services = vec![ServiceOffer { name, version: "1".into(), url: None }];
        let registration = parts.validate().unwrap();
        Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
    });
    for (i, command) in std::iter::once(form).chain(registrations).enumerate() {
        let index = LogIndex(i as u64 + 1);
        let origin = Origin { boot: BootId(1), sequence: index.0 };
        state.apply(index, &Entry { at: LogTime(1), proposals: vec![Proposal { origin, command }] });
    }
    state
}

/// The headers of an ordinary API call, with a workspace each.
fn requests() -> Vec<HeaderMap> {
    let request = |i: usize| {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "router.example:8080"),
            ("user-agent", "workspace-sdk/2.1"),
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("content-length", "271"),
            ("authorization", "Bearer abcdefghijklmnopqrstuvwxyz"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let id = format!("550e8400-e29b-41d4-a716-{i:012x}");
        headers.insert("x-workspace-id", HeaderValue::from_str(&id).unwrap());
        headers
    };
    (0..IDS).map(request).collect()
}

fn run(bencher: Bencher<'_, '_>, workers: u32, partitions: u32) {
    let (view, requests, method) = (view(workers, partitions), requests(), Method::POST);
    bencher.counter(IDS).bench_local(|| {
        requests
            .iter()
            .filter(|headers| {
                let head = RequestHead::of(&method, "/v1/jobs", headers);
                matches!(black_box(decide(&view, black_box(&head))), Decision::Forward(_))
            })
            .count()
    });
}

/// Figures are per 1,024 decisions; the item rate is per decision.
#[divan::bench]
fn header_3_workers_12_partitions(bencher: Bencher<'_, '_>) {
    run(bencher, 3, 12);
}

#[divan::bench]
fn header_10000_workers_1000_partitions(bencher: Bencher<'_, '_>) {
    run(bencher, 10_000, 1_000);
}

#[divan::bench]
fn path_3_workers_12_partitions(bencher: Bencher<'_, '_>) {
    let (view, method, headers) = (view(3, 12), Method::GET, HeaderMap::new());
    let paths: Vec<_> = (0..IDS).map(|i| format!("/v1/workspaces/ws-{i}/jobs/17/runs")).collect();
    bencher.counter(IDS).bench_local(|| {
        paths
            .iter()
            .filter(|path| {
                let head = RequestHead::of(&method, path, &headers);
                matches!(black_box(decide(&view, black_box(&head))), Decision::Forward(_))
            })
            .count()
    });
}

/// The candidates of the service that all workers offer, as a core keeps them.
fn candidates(view: &State) -> Candidates<usize> {
    let service = view.service("upload").unwrap();
    let of = service.endpoints().enumerate();
    let of = of.filter_map(|(nth, e)| Some(Candidate::of(e.worker(), e.offer(), None)?.named(nth)));
    Candidates::new(of.collect())
}

/// A decision for a service: the path, the View, and the choice among its workers.
fn choose(bencher: Bencher<'_, '_>, workers: u32) {
    let view = view(workers, 12);
    let (candidates, method, headers) = (candidates(&view), Method::GET, HeaderMap::new());
    let paths: Vec<_> = (0..IDS).map(|i| format!("/api/service/upload/files/{i}")).collect();
    bencher.counter(IDS).bench_local(|| {
        let picked = |(nth, path): (usize, &String)| {
            let head = RequestHead::of(&method, path, &headers);
            match black_box(decide(&view, black_box(&head))) {
                Decision::Service(..) => {
                    let ask = Ask { entropy: nth as u64, model: None };
                    candidates.pick(ask, |who| (who & 3) as u32, |_| false).map(|candidate| candidate.who)
                }
                _ => None,
            }
        };
        paths.iter().enumerate().filter_map(picked).sum::<usize>()
    });
}

#[divan::bench]
fn service_3_workers(bencher: Bencher<'_, '_>) {
    choose(bencher, 3);
}

#[divan::bench]
fn service_64_workers(bencher: Bencher<'_, '_>) {
    choose(bencher, 64);
}

#[divan::bench]
fn service_10000_workers(bencher: Bencher<'_, '_>) {
    choose(bencher, 10_000);
}

/// What a core does when a service of ten thousand workers has changed, or what they say of their load.
#[divan::bench]
fn candidates_of_10000_workers(bencher: Bencher<'_, '_>) {
    let view = view(10_000, 12);
    bencher.bench_local(|| black_box(candidates(&view)).len());
}
