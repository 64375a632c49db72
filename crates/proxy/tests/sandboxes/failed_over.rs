//! What a sandbox said and what its policy allows is over when the base gets the request.

use super::*;
use quorate_model::policy::{Backoff, Retries, RetryBudget};

/// A sandbox of two workers that answer 503, whose policy tries again after that.
async fn with_retries(rig: &Rig, retries: Retries) -> Worker {
    let bad = Worker::answering(|_| broken()).await;
    for id in ["b1", "b2"] {
        offer_version(rig, id, &bad.url(), ("s", "2"));
    }
    rig.policy("s", ServicePolicy { retries: Some(retries), ..ServicePolicy::default() });
    put_sandbox(rig, "k1", vec![on_5xx(rule("s@2"))]);
    bad
}

fn twice() -> Retries {
    // Enough for all of a test's requests, and no time that it would notice.
    let budget = RetryBudget { percent: 100, min_per_second: 100 };
    let backoff = Backoff { initial_ms: 1, max_ms: 1 };
    Retries { max: 2, on: vec![503], budget, backoff, ..Retries::default() }
}

/// An earlier answer of the sandbox's was held for the case that there is no other; the base's failure was told as that.
#[tokio::test]
async fn a_base_that_fails_is_not_told_as_the_sandboxs_answer() {
    let (rig, dead) = (rig().await, Dead::new());
    put_route(&rig, "base", by("/", forward(vec![to_url(&dead.url, 1)])));
    let bad = with_retries(&rig, twice()).await;
    let answer = rig.ask(&keyed("GET", "/x")).await;
    assert_eq!((answer.status, bad.heard().len()), (502, 2), "{}", answer.head);
}

/// The sandbox's policy repeats a POST; the base's does not, and gets it once.
#[tokio::test]
async fn what_is_repeated_is_for_the_base_to_say() {
    let (rig, fatal) = (rig().await, fatal().await);
    rig.offer("w1", &fatal.url(), &["notes"]);
    rig.offer("w2", &fatal.url(), &["notes"]);
    let bad = with_retries(&rig, Retries { non_idempotent: true, ..twice() }).await;
    let asked = |method| keyed(method, "/api/service/notes/x");
    for (method, attempts) in [("POST", 1), ("GET", 2)] {
        let (before, of_bad) = (fatal.connections(), bad.heard().len());
        let answer = rig.ask(&asked(method)).await;
        assert!(answer.status >= 500, "{}", answer.head);
        assert_eq!(bad.heard().len() - of_bad, 2, "{method}");
        assert_eq!(fatal.connections() - before, attempts, "{method}");
    }
}
