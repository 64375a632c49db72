//! Requests of routes with a ramp: they go by the step that stands, and are counted while somebody wants to know.

use crate::{
    check,
    rig::{
        Rig, Worker, eventually, ok,
        route::{by, put_route, to_url},
        service::{Dead, get, rig},
    },
};
use quorate_model::{
    Command, ErrorsSeen, OnErrors, OnErrorsThen, Ramp, RampAdvance, RampCommand, RampOrder, RampStep,
    RampSubject, RouteName, RouteParts,
    route::{Destination, Forwarding},
};

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
