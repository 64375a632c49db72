//! What counts as a service that is there.

use crate::support::{Router, Say};
use quorate_client::detect::{Absent, Check, Detector};
use serde_json::Value;
use std::time::Duration;

/// Far more than an answer on loopback takes.
const LONG: Duration = Duration::from_secs(30);

async fn look(check: &Check, limit: Duration) -> Result<(), Absent> {
    Detector::new([check], limit).expect("it can look").look(check).await
}

fn health(router: &Router) -> Check {
    Check::Http(router.url.join("health").expect("a URL"))
}

#[tokio::test]
async fn a_service_that_says_it_is_well_is_there_and_each_look_is_a_new_connection() {
    let router = Router::start(|_| Say::Answer(204, Value::Null)).await;
    let check = health(&router);
    let detector = Detector::new([&check], LONG).expect("it can look");
    for _ in 0..2 {
        assert_eq!(detector.look(&check).await, Ok(()));
    }
    assert_eq!(router.lines(), ["GET /health", "GET /health"]);
}

#[tokio::test]
async fn one_that_says_otherwise_or_sends_elsewhere_is_not() {
    for status in [307, 404, 500, 503] {
        let router = Router::start(move |_| Say::Answer(status, Value::Null)).await;
        assert_eq!(look(&health(&router), LONG).await, Err(Absent::Unwell(status)));
        assert_eq!(router.lines().len(), 1);
    }
}

#[tokio::test]
async fn silence_is_waited_for_no_longer_than_the_limit() {
    let limit = Duration::from_millis(50);
    let router = Router::start(|_| Say::Silence).await;
    assert_eq!(look(&health(&router), limit).await, Err(Absent::Late(limit)));
}

#[tokio::test]
async fn for_a_port_it_is_enough_to_be_open() {
    let router = Router::start(|_| Say::Hangup).await;
    let check = Check::Tcp { host: "127.0.0.1".into(), port: router.url.port().expect("one of its own") };
    assert_eq!(look(&check, LONG).await, Ok(()));
    assert!(matches!(look(&health(&router), LONG).await, Err(Absent::Unreachable(_))), "HTTP is more");
    let nobody = Check::Tcp { host: "127.0.0.1".into(), port: 1 };
    assert!(matches!(look(&nobody, LONG).await, Err(Absent::Unreachable(_))));
}

#[test]
fn a_check_is_told_as_a_url() {
    let tcp = |host: &str| Check::Tcp { host: host.into(), port: 8_000 }.to_string();
    assert_eq!([tcp("upload"), tcp("::1")], ["tcp://upload:8000", "tcp://[::1]:8000"]);
}
