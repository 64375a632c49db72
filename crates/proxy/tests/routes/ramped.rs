//! Requests of routes with a ramp: they go by the step that stands, and are counted while somebody wants to know.

use crate::{
    check,
    rig::{
        Rig, Worker, eventually,
        h2::{Call, Manner, Pair},
        http2::{Http2, request},
        ok,
        route::{by, put_route, to_url},
        service::{Dead, get, rig},
    },
};
use quorate_model::{
    Command, ErrorsSeen, OnErrors, OnErrorsThen, Ramp, RampAdvance, RampCommand, RampOrder, RampStep,
    RampSubject, RouteName, RouteParts,
    route::{Destination, Forwarding},
};
use quorate_proxy::Limits;

/// The step that the rig's clock, which goes by a millisecond with each entry, comes to last.
const SOON_MS: u64 = 2;

fn ramp(weights: [[u32; 2]; 2], on_errors: bool) -> Ramp {
    let step = |(after_ms, weights): (u64, [u32; 2])| RampStep { after_ms, weights: weights.to_vec() };
    let on =
        OnErrors { per_million: 100_000, min_requests: 10, window_ms: 60_000, then: OnErrorsThen::Pause };
    Ramp {
        steps: [(0, weights[0]), (SOON_MS, weights[1])].map(step).into(),
        on_errors: on_errors.then_some(on),
    }
}

fn ramped(destinations: Vec<Destination>, ramp: Ramp) -> RouteParts {
    by("/", Forwarding { destinations, ramp: Some(ramp), ..Forwarding::default() })
}

fn subject() -> RampSubject {
    RampSubject::Route(RouteName::parse("r").expect("a name"))
}

fn counted(rig: &Rig) -> Vec<Vec<ErrorsSeen>> {
    let counted = rig.proxy.as_ref().expect("it runs").ramps().counted();
    counted.into_iter().map(|one| one.seen).collect()
}

fn seen(destination: u16, failures: u64, requests: u64) -> ErrorsSeen {
    ErrorsSeen { destination, failures, requests }
}

fn advance(rig: &Rig) {
    let state = rig.view();
    let epoch = state.ramp(&subject()).expect("it stands").state.epoch;
    let entered = state.ramp(&subject()).expect("it stands").state.entered + 1;
    rig.apply(Command::Ramp(RampCommand::Advance(vec![RampAdvance { subject: subject(), epoch, entered }])));
}

fn order(rig: &Rig, order: RampOrder) {
    rig.apply(Command::Ramp(RampCommand::Order { subject: subject(), order, if_index: None }));
}

#[tokio::test]
async fn requests_go_by_the_step_that_stands() {
    let (old, new) = (Worker::answering(|_| ok("old")).await, Worker::answering(|_| ok("new")).await);
    let rig = rig().await;
    let own = vec![to_url(&old.url(), 1), to_url(&new.url(), 0)];
    put_route(&rig, "r", ramped(own, ramp([[1, 0], [0, 1]], false)));
    check(&rig.ask(&get("/")).await, 200, "old");
    // Its time has not come: an entry is a millisecond here.
    advance(&rig);
    check(&rig.ask(&get("/")).await, 200, "old");
    advance(&rig);
    check(&rig.ask(&get("/")).await, 200, "new");
    order(&rig, RampOrder::Abort);
    check(&rig.ask(&get("/")).await, 200, "old");
    assert_eq!(counted(&rig), Vec::<Vec<ErrorsSeen>>::new(), "nobody wants to know");
}

#[tokio::test]
async fn answers_and_failures_of_the_standing_step_are_counted() {
    let (good, dead) = (Worker::ok().await, Dead::new());
    let bad = Worker::answering(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into()).await;
    let rig = rig().await;
    let own = || vec![to_url(&good.url(), 1), to_url(&bad.url(), 0)];
    put_route(&rig, "r", ramped(own(), ramp([[1, 0], [0, 1]], true)));
    for _ in 0..3 {
        check(&rig.ask(&get("/")).await, 200, "ok");
    }
    assert_eq!(counted(&rig), [[seen(0, 0, 3)]]);
    order(&rig, RampOrder::Pause);
    assert_eq!(counted(&rig), Vec::<Vec<ErrorsSeen>>::new(), "a ramp that stands still is not watched");
    // Another one, all of whose requests go to the second from the beginning.
    put_route(&rig, "r", ramped(own(), ramp([[0, 1], [0, 2]], true)));
    for _ in 0..4 {
        assert_eq!(rig.ask(&get("/")).await.status, 500);
    }
    eventually("four failures are counted", || counted(&rig) == [[seen(1, 4, 4)]]).await;
    // Who gets no connection has failed, too.
    let own = vec![to_url(&good.url(), 1), to_url(&dead.url, 0)];
    put_route(&rig, "r", ramped(own, ramp([[0, 1], [0, 2]], true)));
    assert!(rig.ask(&get("/")).await.status >= 500);
    let failed = counted(&rig);
    let one = failed.first().and_then(|seen| seen.first()).expect("it is counted");
    assert!(one.destination == 1 && one.failures >= 1 && one.failures == one.requests, "{failed:?}");
}

/// What is behind the last slash is the code; `head`, `trailers` or `none` before it says where that stands.
fn said(path: &str) -> (String, String) {
    let mut words = path.rsplit('/').map(str::to_owned);
    let code = words.next().expect("a code");
    (words.next().expect("where it stands"), code)
}

/// Answers calls on HTTP/1.1.
async fn calls_by_http1() -> Worker {
    Worker::answering(|heard| {
        let path = heard.line().split(' ').nth(1).expect("a path").to_owned();
        let (place, code) = said(&path);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n";
        match &*place {
            "head" => format!("{head}grpc-status: {code}\r\nContent-Length: 0\r\n\r\n"),
            "trailers" => {
                format!(
                    "{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\ngrpc-status: {code}\r\n\r\n"
                )
            }
            _ => format!("{head}Content-Length: 3\r\n\r\nabc"),
        }
    })
    .await
}

/// The same on HTTP/2.
async fn call_by_http2(mut call: Call) {
    let (place, code) = said(call.request.uri().path());
    let code: http::HeaderValue = code.parse().expect("a value");
    let mut head = http::Response::builder().header("content-type", "application/grpc");
    if place == "head" {
        head = head.header("grpc-status", code.clone());
    }
    let head = head.body(()).expect("valid");
    let mut body = call.respond.send_response(head, place == "head").expect("somebody listens");
    match &*place {
        "head" => {}
        "trailers" => {
            body.send_data("abc".into(), false).expect("somebody listens");
            let trailers = [(http::HeaderName::from_static("grpc-status"), code)].into_iter().collect();
            body.send_trailers(trailers).expect("somebody listens");
        }
        _ => body.send_data("abc".into(), true).expect("somebody listens"),
    }
}

/// Calls that HTTP calls a success fail by their code, wherever it stands, and count once.
async fn count_calls(rig: &Rig, url: &str) {
    let mut client = Http2::connect(rig.addr).await;
    // Two ramps after one another: what fails, and what does not.
    for (round, (codes, fails)) in
        (1..).zip([(["2", "4", "12", "13", "14", "15"], true), (["0", "1", "3", "5", "8", "16"], false)])
    {
        let own = vec![to_url("http://127.0.0.1:9", 0), to_url(url, round)];
        put_route(rig, "r", ramped(own, ramp([[0, 1], [0, round + 1]], true)));
        let paths =
            codes.iter().flat_map(|code| ["head", "trailers"].map(|place| format!("/{place}/{code}")));
        let paths: Vec<_> = paths.chain(fails.then(|| "/none/0".to_owned())).collect();
        for path in &paths {
            let call =
                request("POST", path).header("content-type", "application/grpc").header("te", "trailers");
            assert_eq!(client.ask(call.body(()).expect("valid")).await.status, 200, "{path}");
        }
        let all = paths.len() as u64;
        let expected = seen(1, if fails { all } else { 0 }, all);
        eventually("all are counted", || counted(rig) == [[expected]]).await;
    }
    // Whatever is no call counts by its status.
    let before = counted(rig)[0][0];
    let plain = client.ask(request("POST", "/head/13").body(()).expect("valid")).await;
    assert_eq!(plain.status, 200);
    let after = seen(1, before.failures, before.requests + 1);
    eventually("it is counted", || counted(rig) == [[after]]).await;
}

/// Scenario: the new version fails each call with INTERNAL, behind 200. A ramp that looks at HTTP alone gives it all.
#[tokio::test]
async fn calls_count_by_their_code() {
    let worker = calls_by_http1().await;
    count_calls(&rig().await, &worker.url()).await;
    let pair = Pair::serving(Limits::default(), Manner::default(), call_by_http2).await;
    count_calls(&pair.rig, &format!("https://localhost:{}", pair.worker.addr.port())).await;
}
