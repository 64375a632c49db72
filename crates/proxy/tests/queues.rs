//! Requests that wait for a connection to a worker, and connections that are counted.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_model::{Protocol, ServicePolicy, policy::EndpointLimits};
use quorate_proxy::Limits;
use quorate_rt::time::timeout;
use rig::{
    Client, PATIENCE, Rig, Worker, config, eventually,
    h2::{Call, Manner, serve},
    ok, service,
    service::get,
};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// With one connection to a worker, on which there is one request at a time.
fn one_at_a_time(spoken: Protocol) -> (Limits, ServicePolicy) {
    let limits =
        EndpointLimits { connections_max: Some(1), pending_max: Some(8), ..EndpointLimits::default() };
    match spoken {
        Protocol::Http1 => (Limits::default(), ServicePolicy { limits, ..ServicePolicy::default() }),
        Protocol::H2c | Protocol::H2 => (
            Limits { worker_h2_connections_max: 1, worker_h2_streams_max: 1, ..Limits::default() },
            ServicePolicy { protocol: Some(spoken), ..ServicePolicy::default() },
        ),
    }
}

/// Answers nothing until it is told to go; then one request after the other. Records their paths.
async fn gated(spoken: Protocol) -> (Worker, watch::Sender<bool>, Arc<Mutex<Vec<String>>>) {
    let (go, told) = watch::channel(false);
    let heard = Arc::new(Mutex::new(Vec::<String>::new()));
    let record = heard.clone();
    let worker = Worker::scripted(move |tcp, nth| {
        let (mut told, record) = (told.clone(), record.clone());
        async move {
            if spoken == Protocol::Http1 {
                let mut client = Client::of(tcp);
                while let Some((head, _)) = client.message().await {
                    record.lock().unwrap().push(head.split(' ').nth(1).unwrap().to_owned());
                    told.wait_for(|go| *go).await.unwrap();
                    client.send(ok("ok").as_bytes()).await.unwrap();
                }
                return;
            }
            serve(tcp, nth, Manner::default(), move |mut call: Call| {
                let (mut told, record) = (told.clone(), record.clone());
                async move {
                    record.lock().unwrap().push(call.request.uri().path().to_owned());
                    told.wait_for(|go| *go).await.unwrap();
                    call.answer("ok");
                }
            })
            .await;
        }
    })
    .await;
    (worker, go, heard)
}

#[tokio::test]
async fn whoever_waits_longest_has_the_next_connection() {
    for spoken in [Protocol::Http1, Protocol::H2c] {
        let (worker, go, heard) = gated(spoken).await;
        let (limits, policy) = one_at_a_time(spoken);
        let rig = Rig::start(quorate_proxy::Config { limits, ..config() }, Some(12)).await;
        rig.offer("w1", &worker.url(), &["s"]);
        rig.policy("s", policy);
        let mut clients = Vec::new();
        let paths = ["/a", "/b", "/c", "/d", "/e"];
        for (before, path) in (0..).zip(paths) {
            let mut client = rig.client().await;
            client.send(get(&format!("/api/service/s{path}")).as_bytes()).await.unwrap();
            eventually("it waits", || rig.in_flight("w1") == before + 1).await;
            clients.push(client);
            if before == 0 {
                eventually("the first one is asked", || heard.lock().unwrap().len() == 1).await;
            }
        }
        go.send_replace(true);
        for client in &mut clients {
            assert_eq!(timeout(PATIENCE, client.answer("GET")).await.expect("in time").status, 200);
        }
        assert_eq!(*heard.lock().unwrap(), paths, "{spoken:?}");
        assert_eq!(worker.connections(), 1, "{spoken:?}");
    }
}

/// Answers one request on each connection, and dies with the next.
async fn forgetful() -> Worker {
    Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        client.message().await;
        let _ = client.send(ok("ok").as_bytes()).await;
        client.message().await;
    })
    .await
}

/// Under a bound, whoever dials anew for one that has died has its room, and it is counted as one connection.
#[tokio::test]
async fn a_connection_that_replaces_a_dead_one_is_counted_once() {
    let worker = forgetful().await;
    let rig = service::rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.policy("s", one_at_a_time(Protocol::Http1).1);
    let used = |how: &str| rig.metric(&format!("quorate_proxy_upstream_connections_total{{use=\"{how}\"}}"));
    let mut client = rig.client().await;
    for nth in 0..4 {
        let answer = client.ask(&get("/api/service/s/x")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{nth}");
        // Each after the first meets the one before, which dies with it.
        let counted =
            (used("opened"), used("reused"), used("failed"), rig.metric("quorate_proxy_retries_total"));
        assert_eq!(counted, (nth + 1, nth, 0, nth), "{nth}");
        assert_eq!(worker.connections() as u64, nth + 1);
    }
    assert_eq!(rig.metric("quorate_proxy_failovers_total"), 0);
}
