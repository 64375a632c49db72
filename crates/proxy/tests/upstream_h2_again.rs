//! A partition's owner that speaks HTTP/2 has failed a request: on what it is asked again.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use h2::Reason;
use quorate_proxy::Limits;
use rig::{
    eventually, get,
    h2::{Call, Manner, Pair, ask_at_once, post, serve},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// Which connection each call came on. Those on one before `well` are reset, without a word about the connection.
async fn resetting(limits: Limits, well: usize) -> (Pair, Arc<Mutex<Vec<usize>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let record = calls.clone();
    let pair = Pair::serving(limits, Manner::default(), move |mut call: Call| {
        record.lock().unwrap().push(call.connection);
        async move {
            let is_held = call.request.uri().path() == "/held";
            if is_held {
                return std::future::pending().await;
            }
            let (body, _) = call.body().await;
            if call.connection < well {
                call.respond.send_reset(Reason::INTERNAL_ERROR);
            } else {
                call.answer(body);
            }
        }
    })
    .await;
    (pair, calls)
}

#[tokio::test]
async fn an_owner_is_asked_again_on_a_new_connection() {
    let (pair, calls) = resetting(Limits::default(), 1).await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    assert_eq!(*calls.lock().unwrap(), [0, 1]);
    let (pair, calls) = resetting(Limits::default(), 1).await;
    assert_eq!(pair.rig.ask(&post("once")).await.status, 503);
    assert_eq!(*calls.lock().unwrap(), [0], "it could have been done twice");
}

/// What happened to one may have happened to all that there were.
#[tokio::test]
async fn an_old_connection_is_not_trusted_more_than_the_one_that_died() {
    let limits = Limits { worker_h2_streams_max: 2, ..Limits::default() };
    let (pair, calls) = resetting(limits, 2).await;
    let _held = ask_at_once(&pair.rig, 3, &get("/held", ""));
    eventually("two connections are open", || calls.lock().unwrap().len() == 3).await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    assert_eq!(calls.lock().unwrap()[3..], [1, 2]);
}

#[tokio::test]
async fn where_no_other_may_be_opened_the_one_that_is_there_has_to_do() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let limits = Limits { worker_h2_connections_max: 1, ..Limits::default() };
    let pair = Pair::serving(limits, Manner::default(), move |mut call: Call| {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            match is_first {
                true => call.respond.send_reset(Reason::INTERNAL_ERROR),
                false => call.answer("ok"),
            }
        }
    })
    .await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    assert_eq!((calls.load(Ordering::SeqCst), pair.worker.connections()), (2, 1));
}

/// The old connection is still there, and nobody waits for it.
#[tokio::test]
async fn whoever_wants_a_new_connection_is_told_that_there_is_none() {
    let pair = Pair::scripted(Limits::default(), |io, nth| async move {
        if nth > 0 {
            // It shakes hands and closes.
            return;
        }
        serve(io, nth, Manner::default(), |mut call| async move {
            call.respond.send_reset(Reason::INTERNAL_ERROR);
        })
        .await;
    })
    .await;
    let answer = pair.rig.ask(&get("/x", "")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("HTTP/2 with localhost"), "{}", answer.body);
}
