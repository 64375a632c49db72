//! Where a routing key leads, among 100 sandboxes and 100,000 of three rules each, and what a request pays that has none.
//! The goal is under 1.5 microseconds among 100,000, and at most twice what it takes among 100.

#![expect(clippy::unwrap_used, reason = "a benchmark that can not be set up has to stop")]

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quorate_model::{
    BootId, Command, Entry, LogIndex, LogTime, Origin, Proposal, RoutingKey, SandboxParts, SandboxRule,
    route::{Destination, Target},
};
use quorate_routing::{Decision, RequestHead, decide, pick::next_random, sandbox::key::KeyForms};
use quorate_state::State;

const REQUESTS: usize = 4_096;
const COUNTS: [u64; 2] = [100, 100_000];

fn main() {
    divan::main();
}

fn key(nth: u64) -> String {
    format!("feature-{:016x}-{nth}", nth.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Three rules each: the first two ask for something, the last one is for all that is below `/api`. `round` is the time
/// that the sandbox was set.
fn put(nth: u64, round: u64) -> Command {
    let rule = |path: &str| SandboxRule {
        path_prefixes: vec![path.into()],
        destinations: vec![Destination {
            target: Target::parse(
                "target",
                &format!("http://10.{}.{}.{}:80", round & 255, nth >> 8 & 255, nth & 255),
            )
            .unwrap(),
            weight: 100,
        }],
        ..SandboxRule::default()
    };
    let json = vec![("content-type".into(), "application/json".into())];
    let rules = vec![SandboxRule { headers: json, ..rule("/api") }, rule("/admin"), rule("/api")];
    let sandbox = Box::new(SandboxParts { rules, ttl: None }.validate().unwrap());
    Command::PutSandbox { key: RoutingKey::parse(&key(nth)).unwrap(), sandbox, if_index: None }
}

fn entry(index: u64, command: Command) -> Entry {
    let origin = Origin { boot: BootId(1), sequence: index };
    Entry { at: LogTime(1), proposals: vec![Proposal { origin, command }] }
}

fn view(count: u64) -> State {
    let mut state = State::new();
    for nth in 0..count {
        state.apply(LogIndex(nth + 1), &entry(nth + 1, put(nth, 0)));
    }
    assert_eq!(state.sandboxes().len() as u64, count);
    state
}

/// The headers of an ordinary API call, with these in front.
fn headers(first: &[(&str, &str)]) -> HeaderMap {
    let usual = [
        ("host", "router.example:8080"),
        ("user-agent", "workspace-sdk/2.1"),
        ("accept", "application/json"),
        ("content-type", "text/plain"),
        ("content-length", "271"),
        ("authorization", "Bearer abcdefghijklmnopqrstuvwxyz"),
        ("x-workspace-id", "550e8400-e29b-41d4-a716-000000000001"),
    ];
    let field = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    first.iter().chain(&usual).map(field).collect()
}

/// The key is taken and the rule is found. Figures are per 4,096; the item rate is per request.
fn run(bencher: Bencher<'_, '_>, count: u64, form: impl Fn(&str) -> (String, String)) {
    let (view, forms, method, mut random) = (view(count), KeyForms::default(), Method::POST, 1);
    let drawn = (0..REQUESTS).map(|_| next_random(&mut random) % count);
    let requests: Vec<_> = drawn
        .map(|nth| {
            let (name, value) = form(&key(nth));
            headers(&[(&name, &value)])
        })
        .collect();
    bencher.counter(REQUESTS).bench_local(|| {
        requests
            .iter()
            .filter(|headers| {
                let found = forms.find(black_box(headers), "");
                let key = found.key.as_ref().map(|key| &*key.text);
                let head = RequestHead { key, ..RequestHead::of(&method, "/api/v1/jobs/17", headers) };
                matches!(black_box(decide(&view, &head)), Decision::Sandbox(met) if met.nth == 2)
            })
            .count()
    });
}

#[divan::bench(args = COUNTS)]
fn by_header(bencher: Bencher<'_, '_>, count: u64) {
    run(bencher, count, |key| ("x-route-key".into(), key.into()));
}

#[divan::bench(args = COUNTS)]
fn by_baggage(bencher: Bencher<'_, '_>, count: u64) {
    run(bencher, count, |key| ("baggage".into(), format!("user=7,region=eu,route-key={key}")));
}

/// One change in a table of this size, as all nodes apply it while requests read the version before it.
#[divan::bench(args = COUNTS)]
fn change(bencher: Bencher<'_, '_>, count: u64) {
    let (mut published, mut index) = (view(count), count);
    let next = move || {
        index += 1;
        let command = put(index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count, index);
        (LogIndex(index), entry(index, command))
    };
    bencher.with_inputs(next).bench_local_values(|(index, entry)| {
        let mut state = published.clone();
        let applied = state.apply(index, &entry);
        published = state;
        applied
    });
}

/// Looking for a key where there is none.
#[divan::bench]
fn without_key(bencher: Bencher<'_, '_>) {
    look(bencher, &headers(&[]));
}

/// The same for a traced request, whose lists have to be read.
#[divan::bench]
fn without_key_and_traced(bencher: Bencher<'_, '_>) {
    let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    look(
        bencher,
        &headers(&[trace, ("tracestate", "rojo=00f067aa0ba902b7"), ("baggage", "user=7,region=eu")]),
    );
}

fn look(bencher: Bencher<'_, '_>, headers: &HeaderMap) {
    let forms = KeyForms::default();
    bencher.counter(REQUESTS).bench_local(|| {
        (0..REQUESTS).filter(|_| black_box(&forms).find(black_box(headers), "a=b").key.is_none()).count()
    });
}

/// A sandbox that nobody has: what a key costs that leads nowhere.
#[divan::bench]
fn unknown_key(bencher: Bencher<'_, '_>) {
    let (view, method, headers) = (view(100_000), Method::POST, headers(&[]));
    bencher.counter(REQUESTS).bench_local(|| {
        (0..REQUESTS)
            .filter(|_| {
                let key = Some(black_box("feature-of-nobody"));
                let head = RequestHead { key, ..RequestHead::of(&method, "/api/v1/jobs/17", &headers) };
                matches!(black_box(decide(&view, &head)), Decision::PartitionCountUnknown(_))
            })
            .count()
    });
}
