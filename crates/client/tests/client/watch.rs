//! How a watch survives the node that tells it.

use crate::support::{Router, Say, problem};
use quorate_client::{
    Error, Operator,
    operator::{Step, Watched},
};

fn operator(routers: &[&Router]) -> Operator {
    Operator::new(routers.iter().map(|router| router.url.clone()).collect(), None).expect("valid")
}

fn workers() -> Watched {
    Watched { kinds: vec!["worker".into()], ..Watched::default() }
}

/// The next `count` steps, in short.
async fn steps(routers: &[&Router], count: usize) -> Vec<String> {
    let operator = operator(routers);
    let mut watch = operator.watch(workers()).await.expect("it opens");
    let mut steps = Vec::new();
    while steps.len() < count {
        steps.push(match watch.next().await.expect("a step") {
            Step::Event(event) => format!("{} {}", event.kind, event.id.unwrap_or("-".into())),
            Step::Lost { .. } => "lost".into(),
            Step::Regained { .. } => "regained".into(),
            Step::Stale { since, .. } => format!("stale for {since}"),
            Step::Fresh { .. } => "fresh".into(),
        });
    }
    steps
}

#[tokio::test]
async fn it_goes_on_behind_what_it_handed_out_and_begins_anew_where_it_has_to() {
    let router = Router::start(|seen| match seen.line.as_str() {
        "GET /v1/watch?kinds=worker" => Say::Events(
            "event: reset\ndata: {}\n\nevent: synced\nid: 2\ndata: {}\n\nevent: worker\nid: 3.0\ndata: {}\n\n",
        ),
        // Cut off within an event: half of one is none.
        "GET /v1/watch?from=3.0&kinds=worker" => {
            Say::Events("event: worker\nid: 3\ndata: {}\n\n: keep-alive\nid: 7\n\nevent: worker\nid: 8\nda")
        }
        "GET /v1/watch?from=7&kinds=worker" => Say::Events("event: reset\nid:\ndata: {}\n\n"),
        other => panic!("{other}"),
    })
    .await;
    let expected = [
        "reset -",
        "synced 2",
        "worker 3.0",
        "lost",
        "regained",
        "worker 3",
        "lost",
        "regained",
        "reset -",
        "lost",
        "regained",
        "reset -",
        "synced 2",
    ];
    assert_eq!(steps(&[&router], expected.len()).await, expected);
}

#[tokio::test]
async fn it_goes_on_at_another_node() {
    let mut opened = 0;
    let first = Router::start(move |_| {
        opened += 1;
        if opened == 1 {
            Say::Events("event: synced\nid: 2\ndata: {}\n\n")
        } else {
            problem(503, "shutting_down")
        }
    })
    .await;
    let second = Router::start(|seen| {
        assert_eq!(seen.line, "GET /v1/watch?from=2&kinds=worker");
        Say::Events("event: worker\nid: 3\ndata: {}\n\n")
    })
    .await;
    assert_eq!(steps(&[&first, &second], 4).await, ["synced 2", "lost", "regained", "worker 3"]);
}

/// Whoever looks on is told once that nobody answers, however often it is tried, and once that somebody does.
#[tokio::test]
async fn a_loss_is_told_once_and_so_is_its_end() {
    let mut opened = 0;
    let router = Router::start(move |_| {
        opened += 1;
        match opened {
            1 => Say::Events("event: synced\nid: 2\ndata: {}\n\n"),
            2 => problem(503, "shutting_down"),
            // It breaks off before it has said anything.
            3 => Say::Events("retry: 1000\n\n"),
            4 => Say::Hangup,
            _ => Say::Events("retry: 1000\n\nevent: synced\nid: 2\ndata: {}\n\n"),
        }
    })
    .await;
    assert_eq!(steps(&[&router], 4).await, ["synced 2", "lost", "regained", "synced 2"]);
}

#[tokio::test]
async fn a_node_that_hears_no_leader_is_told_of_once_and_so_is_the_end_of_that() {
    let router = Router::start(|_| {
        Say::Events(
            "event: synced\nid: 2\ndata: {}\n\n: keep-alive\nid: 2\n\n: keep-alive, stale for 12 s\nid: 2\n\n\
             : keep-alive, stale for 27 s\nid: 2\n\n: keep-alive\nid: 2\n\n: keep-alive, stale for 3 s\nid: 2\n\n\
             event: worker\nid: 3\ndata: {}\n\n",
        )
    })
    .await;
    let expected = ["synced 2", "stale for 12 s", "fresh", "stale for 3 s", "fresh", "worker 3", "lost"];
    assert_eq!(steps(&[&router], expected.len()).await, expected);
}

#[tokio::test]
async fn what_can_not_be_watched_is_an_error_at_once() {
    let router = Router::start(|_| problem(400, "invalid_request")).await;
    let error = operator(&[&router]).watch(workers()).await.err().expect("refused");
    assert_eq!(error.problem().map(|p| p.code.as_str()), Some("invalid_request"));
    let nobody = Operator::new(vec!["http://127.0.0.1:1".parse().expect("a URL")], None).expect("valid");
    assert!(matches!(nobody.watch(workers()).await.err(), Some(Error::Unreachable(_))));
}
