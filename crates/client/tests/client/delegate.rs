//! Heartbeats by way of a delegate: whose go together, and what happens where they don't.

use crate::{
    group::{candidate, eventually, heartbeats, ids, member, router, started},
    support::{Router, Say, Seen, problem},
};
use quorate_client::{HeartbeatWay, WhenSilent, WorkerHandle, WorkerState};
use serde_json::{Value, json};

#[tokio::test]
async fn a_whole_group_is_heard_in_one_call_an_interval() {
    let (router, _) = router().await;
    let delegate = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let members = [started(member(&router, "m1")).await, started(member(&router, "m2")).await];
    let all = ids(&["d", "m1", "m2"]);
    // Three calls in a row that name all of them, and between them nothing.
    eventually("the group comes together", || {
        heartbeats(&router).windows(3).any(|three| three.iter().all(|beat| *beat == all))
    })
    .await;
    let on_behalf = HeartbeatWay::OnBehalf { epoch: 5 };
    eventually("it has the role", || *delegate.heartbeat_ways().borrow() == on_behalf).await;
    for member in &members {
        let way = HeartbeatWay::ByDelegate { worker: "d".into(), epoch: 5 };
        eventually("it goes by the delegate", || *member.heartbeat_ways().borrow() == way).await;
        assert_eq!(member.state(), WorkerState::Registered { epoch: member_epoch(member) });
    }
    let call = router.seen().into_iter().find(|seen| seen.line == "POST /v1/heartbeats").expect("one");
    assert_eq!(
        (&call.body["on_behalf"], &call.body["worker"], &call.body["epoch"]),
        (&json!(true), &json!("d"), &json!(5))
    );
    let puts: Vec<_> = router.seen().into_iter().filter(|seen| seen.line.starts_with("PUT")).collect();
    assert_eq!(
        (&puts[0].body["wants_delegate"], &puts[1].body["wants_delegate"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(puts[1].body["labels"], json!({"group": "g"}));
}

fn member_epoch(member: &WorkerHandle) -> u64 {
    match member.state() {
        WorkerState::Registered { epoch } => epoch,
        other => panic!("{other:?}"),
    }
}

/// Every so often each of them is heard by the routers themselves, while all goes well.
#[tokio::test]
async fn a_member_beats_directly_now_and_then() {
    let (router, group) = router().await;
    group.lock().expect("sound").interval = Some("400ms");
    let _delegate = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let _member = started(member(&router, "m1")).await;
    let both = ids(&["d", "m1"]);
    eventually("a direct one between calls", || {
        let beats = heartbeats(&router);
        let first = beats.windows(3).position(|three| three.iter().all(|beat| *beat == both));
        first.is_some_and(|at| beats[at..].iter().any(Option::is_none))
    })
    .await;
}

#[tokio::test]
async fn a_delegate_that_was_succeeded_tells_its_members_and_becomes_one() {
    let (router, group) = router().await;
    let first = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let second = started(candidate(&router, "e", WhenSilent::Wait)).await;
    let _member = started(member(&router, "m1")).await;
    let all = ids(&["d", "e", "m1"]);
    eventually("the group comes together", || heartbeats(&router).contains(&all)).await;
    group.lock().expect("sound").delegate = Some(("e".into(), 9));
    let by = |seen: &Seen, id: &str| seen.line == "POST /v1/heartbeats" && seen.body["worker"] == id;
    eventually("the next one speaks for all", || {
        let seen = router.seen();
        seen.iter().any(|seen| {
            by(seen, "e") && seen.body["workers"] == json!(["d", "e", "m1"]) && seen.body["epoch"] == 9
        })
    })
    .await;
    let on_behalf = HeartbeatWay::OnBehalf { epoch: 9 };
    eventually("it has the role", || *second.heartbeat_ways().borrow() == on_behalf).await;
    eventually("the first goes by the second", || {
        *first.heartbeat_ways().borrow() == HeartbeatWay::ByDelegate { worker: "e".into(), epoch: 9 }
    })
    .await;
    let seen = router.seen();
    let refused = seen.iter().rposition(|seen| by(seen, "d")).expect("it spoke once");
    let heard = seen.iter().position(|seen| by(seen, "e")).expect("it spoke");
    assert!(refused < heard, "one that was refused speaks for nobody any more");
}

/// What it does, how, and whether it is asked again.
type Case = (&'static str, fn() -> Say, bool);

/// What a delegate that is none does, and whether it is asked again after the direct heartbeat that must follow.
#[tokio::test]
async fn whatever_a_delegate_does_instead_the_heartbeat_goes_to_the_routers_at_once() {
    let not_now = || problem(503, "delegate_cut_off");
    let wrong = || {
        Say::Answer(200, json!({"worker": "m1", "epoch": 5, "lease": 1, "sequence": 99, "again_in_ms": 100}))
    };
    let cases: [Case; 7] = [
        ("silence", || Say::Silence, false),
        ("a broken connection", || Say::Hangup, false),
        ("its role is over", || problem(409, "delegate_stale"), false),
        ("it can't just now", not_now, true),
        ("another program", || Say::Answer(404, Value::Null), false),
        ("a yes to everything", || Say::Answer(200, json!({"ok": true})), false),
        ("an answer to another heartbeat", wrong, false),
    ];
    let mut running = Vec::new();
    for (what, says, again) in cases {
        running.push((
            what,
            tokio_task(async move {
                let (router, group) = router().await;
                let delegate = Router::start(move |_| says()).await;
                {
                    let mut group = group.lock().expect("sound");
                    group.delegate = Some(("x".into(), 5));
                    group.stranger = Some(delegate.url.to_string());
                }
                let worker = started(member(&router, "m1")).await;
                let direct = || {
                    router
                        .seen()
                        .into_iter()
                        .filter(|seen| seen.line.ends_with("/heartbeat"))
                        .collect::<Vec<_>>()
                };
                eventually(what, || direct().len() >= 4).await;
                let sequence = |seen: &Seen| seen.body["sequence"].as_u64().expect("a number");
                let tried: Vec<_> = delegate.seen().iter().map(sequence).filter(|n| *n < 5).collect();
                let heard: Vec<_> = direct().iter().take(4).map(sequence).collect();
                let expected = if again { vec![2, 4, 6, 8] } else { vec![2, 3, 4, 5] };
                assert_eq!((tried[0], &heard), (1, &expected), "{what}");
                assert_eq!(tried.len() > 1, again, "{what}: {tried:?}");
                assert_eq!(*worker.heartbeat_ways().borrow(), HeartbeatWay::Direct);
                // The direct one follows with no pause between.
                let pause = direct()[0].at - delegate.seen()[0].at;
                assert!(pause.as_millis() < 600, "{what}: {pause:?}");
            }),
        ));
    }
    for (what, task) in running {
        task.await.unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

/// The worst that a delegate can do is to take a heartbeat and to keep it.
#[tokio::test]
async fn a_heartbeat_that_is_swallowed_goes_to_the_routers_within_the_same_interval() {
    let (router, group) = router().await;
    let delegate = Router::start(|_| Say::Silence).await;
    {
        let mut group = group.lock().expect("sound");
        group.interval = Some("3s");
        group.delegate = Some(("x".into(), 5));
        group.stranger = Some(delegate.url.to_string());
    }
    let _worker = started(member(&router, "m1")).await;
    eventually("a direct one", || router.count("POST /v1/workers/m1/heartbeat") >= 1).await;
    let pause = router.seen()[1].at - delegate.seen()[0].at;
    assert!(pause.as_millis() < 3_000, "{pause:?}");
}

#[expect(clippy::disallowed_methods, reason = "a test of a library that runs on tokio itself")]
fn tokio_task(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(future)
}
