use super::*;
use crate::Metrics;
use quorate_model::{Epoch, WorkerId};

#[test]
fn each_change_of_status_is_one_transition() {
    let all = [Status::Live, Status::Suspect, Status::Expired, Status::Departed];
    let mut table = String::new();
    for from in all {
        for to in all {
            let id = WorkerId::parse("w1").expect("valid");
            let event = Event::WorkerStatus { id, epoch: Epoch(1), from, to };
            let name = transition(&event).map_or("-", Label::as_str);
            table += &format!("{} -> {}: {name}\n", from.as_str(), to.as_str());
        }
    }
    expect_test::expect![[r#"
        live -> live: recovered
        live -> suspect: suspected
        live -> expired: expired
        live -> departed: departed
        suspect -> live: recovered
        suspect -> suspect: suspected
        suspect -> expired: expired
        suspect -> departed: departed
        expired -> live: revived
        expired -> suspect: revived
        expired -> expired: expired
        expired -> departed: departed
        departed -> live: revived
        departed -> suspect: revived
        departed -> expired: expired
        departed -> departed: departed
    "#]]
    .assert_eq(&table);
}

/// A key is in no log line: the rule's place and the entry lead to the sandbox.
#[test]
fn a_ramp_that_stopped_is_named_without_a_key() {
    let rule = RampSubject::Rule { key: quorate_model::RoutingKey::parse("k").expect("valid"), rule: 3 };
    assert_eq!(ramp_of(&rule), (None, Some(3)));
    let route = RampSubject::Route(quorate_model::RouteName::parse("r").expect("valid"));
    assert_eq!(ramp_of(&route), (Some("r"), None));
}

#[test]
fn applied_events_are_counted() {
    let metrics = Metrics::new();
    let id = WorkerId::parse("w1").expect("valid");
    let subject = quorate_model::RampSubject::Route(quorate_model::RouteName::parse("r").expect("valid"));
    let seen = ErrorsSeen { destination: 1, failures: 3, requests: 4 };
    applied(
        metrics.control(),
        LogIndex(7),
        &[
            Event::WorkerRegistered { id: id.clone(), epoch: Epoch(7) },
            Event::WorkerStatus { id, epoch: Epoch(7), from: Status::Suspect, to: Status::Expired },
            Event::RampFailed { subject, seen, aborts: false },
        ],
    );
    let text = metrics.render();
    assert!(text.contains("quorate_lease_transitions_total{event=\"registered\"} 1\n"), "{text}");
    assert!(text.contains("quorate_lease_transitions_total{event=\"expired\"} 1\n"), "{text}");
    assert!(text.contains("quorate_ramp_stops_total{result=\"paused\"} 1\n"), "{text}");
}
