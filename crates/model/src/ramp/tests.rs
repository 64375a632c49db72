use super::*;
use crate::{
    name::{RouteName, ServiceName},
    number::{LogIndex, LogTime},
    route::{Action, Forwarding, RouteParts, Target},
};

fn step(after_ms: u64, weights: &[u32]) -> RampStep {
    RampStep { after_ms, weights: weights.to_vec() }
}

fn ramp(steps: Vec<RampStep>) -> Ramp {
    Ramp { steps, on_errors: None }
}

fn two(own: [u32; 2]) -> Vec<Destination> {
    let to = |(name, weight)| Destination {
        target: Target::Service(ServiceName::parse(name).expect("a name")),
        weight,
    };
    [("old", own[0]), ("new", own[1])].map(to).into()
}

/// The fields that are wrong with a ramp of two destinations.
fn check(ramp: Ramp, expected: &[&str]) {
    let forwarding = Forwarding { destinations: two([100, 0]), ramp: Some(ramp), ..Forwarding::default() };
    let parts = RouteParts { action: Action::from(forwarding), ..RouteParts::default() };
    let wrong = parts.validate(RouteName::parse("r").expect("a name")).err().unwrap_or_default();
    assert_eq!(wrong.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), expected, "{wrong:?}");
}

#[test]
fn every_mistake_is_listed_by_its_place() {
    let good = || step(0, &[95, 5]);
    check(ramp(vec![good(), step(600_000, &[0, 100])]), &[]);
    check(ramp(vec![step(1, &[0, 1])]), &[]);
    check(ramp(vec![]), &["ramp.steps"]);
    let many = (0..=limit::RAMP_STEPS_MAX as u64).map(|at| step(at, &[1, 1])).collect();
    check(ramp(many), &["ramp.steps"]);
    check(ramp(vec![good(), step(0, &[1, 1])]), &["ramp.steps[1].after"]);
    check(ramp(vec![good(), step(limit::RAMP_MS_MAX, &[1, 1])]), &[]);
    check(ramp(vec![good(), step(limit::RAMP_MS_MAX + 1, &[1, 1])]), &["ramp.steps[1].after"]);
    check(
        ramp(vec![step(0, &[1]), step(5, &[0, 0]), step(4, &[1, limit::WEIGHT_MAX + 1])]),
        &[
            "ramp.steps[0].weights",
            "ramp.steps[1].weights",
            "ramp.steps[2].after",
            "ramp.steps[2].weights[1]",
        ],
    );
    let on = |per_million, min_requests, window_ms| {
        let then = OnErrorsThen::Pause;
        Ramp {
            on_errors: Some(OnErrors { per_million, min_requests, window_ms, then }),
            ..ramp(vec![good()])
        }
    };
    check(on(1, 1, 10_000), &[]);
    check(on(1_000_000, limit::RAMP_REQUESTS_MAX, 3_600_000), &[]);
    let errors = ["ramp.on_errors.percent", "ramp.on_errors.min_requests", "ramp.on_errors.window"];
    check(on(0, 0, 9_999), &errors);
    check(on(1_000_001, limit::RAMP_REQUESTS_MAX + 1, 3_600_001), &errors);
}

#[test]
fn those_grow_who_have_more_in_the_end() {
    let growing = |own, steps: &[&[u32]]| {
        let steps = (0..).zip(steps).map(|(at, weights)| step(at, weights)).collect();
        ramp(steps).growing(&two(own))
    };
    assert_eq!(growing([100, 0], &[&[95, 5], &[0, 100]]), [false, true]);
    // Whatever the destinations' own weights are: they may have been left as they are.
    assert_eq!(growing([100, 100], &[&[95, 5], &[50, 50]]), [false, true]);
    // Shares, not numbers.
    assert_eq!(growing([1, 1], &[&[10, 10], &[30, 20]]), [true, false]);
    assert_eq!(growing([100, 0], &[&[95, 5]]), [false, true]);
    assert_eq!(growing([100, 100], &[&[7, 7]]), [false, false]);
}

#[test]
fn so_many_failures_are_too_many() {
    let then = OnErrorsThen::Pause;
    let five = OnErrors { per_million: 50_000, min_requests: 100, window_ms: 60_000, then };
    for (failures, requests, expected) in [
        (99, 99, false),
        (4, 100, false),
        (5, 100, true),
        (100, 100, true),
        (49, 1_000, false),
        (0, 100, false),
    ] {
        assert_eq!(five.is_too_much(failures, requests), expected, "{failures} of {requests}");
    }
}

fn weights(ramp: &Ramp, state: RampState) -> Vec<u32> {
    let subject = RampSubject::Route(RouteName::parse("r").expect("a name"));
    let made = Ramping::new(subject, (ramp, &two([100, 0])), state);
    made.destinations.iter().map(|one| one.weight).collect()
}

#[test]
fn a_pause_stops_the_clock_and_an_abort_goes_back() {
    let this = ramp(vec![step(0, &[95, 5]), step(600, &[50, 50]), step(3_600, &[0, 100])]);
    let at = |ms: u64| LogTime(1_000_000 + ms);
    let begun = RampState::begin(&this, LogIndex(7), at(0));
    assert_eq!((begun.entered, begun.due(&this)), (1, Some(at(600))));
    assert_eq!(weights(&this, begun), [95, 5]);
    let ordered = |state: RampState, order, ms| state.ordered(order, &this, at(ms));
    let paused = ordered(begun, RampOrder::Pause, 250).expect("it runs");
    assert_eq!((paused.due(&this), weights(&this, paused)), (None, vec![95, 5]));
    assert_eq!(ordered(paused, RampOrder::Pause, 300), Some(paused), "the first pause counts");
    let resumed = ordered(paused, RampOrder::Resume, 10_000).expect("it is paused");
    assert_eq!(resumed.due(&this), Some(at(10_350)), "350 of 600 ms are left");
    // Late: the next step stands for its 3,000 ms all the same.
    let half = resumed.advanced(at(50_000));
    assert_eq!((weights(&this, half), half.due(&this)), (vec![50, 50], Some(at(53_000))));
    let done = half.advanced(at(53_000));
    assert!(done.is_done(&this) && done.due(&this).is_none());
    assert_eq!(weights(&this, done), [0, 100]);
    assert_eq!(ordered(done, RampOrder::Pause, 60_000), None);
    assert_eq!(ordered(done, RampOrder::Resume, 60_000), None);
    let aborted = ordered(done, RampOrder::Abort, 60_000).expect("back to where it was");
    assert_eq!(weights(&this, aborted), [100, 0]);
    assert_eq!(ordered(aborted, RampOrder::Abort, 70_000), Some(aborted));
    assert_eq!(ordered(aborted, RampOrder::Resume, 70_000), None);
}

#[test]
fn a_first_step_may_be_waited_for() {
    let this = ramp(vec![step(500, &[50, 50])]);
    let begun = RampState::begin(&this, LogIndex(7), LogTime(1_000));
    assert_eq!((begun.entered, begun.due(&this)), (0, Some(LogTime(1_500))));
    assert_eq!(weights(&this, begun), [100, 0], "their own, until then");
    assert!(begun.is_of(&this).is_ok() && begun.advanced(LogTime(1_500)).is_of(&this).is_ok());
    assert!(begun.advanced(LogTime(1)).advanced(LogTime(1)).is_of(&this).is_err(), "there is one step only");
    let at_once = ramp(vec![step(0, &[50, 50])]);
    assert!(begun.is_of(&at_once).is_err(), "that one had begun at once");
}

#[test]
fn a_restored_step_stands_anew_in_full() {
    let this = ramp(vec![step(0, &[95, 5]), step(600, &[0, 100])]);
    let begun = RampState::begin(&this, LogIndex(7), LogTime(0));
    let restored = begun.restored(LogIndex(90), LogTime(5_000_000));
    assert_eq!((restored.epoch, restored.due(&this)), (LogIndex(90), Some(LogTime(5_000_600))));
    let paused = begun.ordered(RampOrder::Pause, &this, LogTime(100)).expect("it runs");
    assert_eq!(paused.restored(LogIndex(90), LogTime(5_000_000)).phase, paused.phase);
}
