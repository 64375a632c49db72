//! Ramps of what is brought back by a rollback.

use super::*;

/// What comes back stands where it stood: a ramp that was aborted does not lead again to what had failed.
#[test]
fn a_route_that_is_brought_back_brings_where_its_ramp_stood() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    assert_eq!(case.order(RampOrder::Abort), Reply::Done);
    let (then, share) = (case.0.state.index(), case.share());
    case.at(1).put(route(None, 0));
    assert_eq!(case.run(Command::RollBack { to: then, if_index: None }), Reply::Done);
    assert!(matches!(case.state().phase, RampPhase::Aborted { .. }), "{:?}", case.state());
    assert_eq!(case.share(), share);
    // One that ran goes on at its step, under an epoch of its own.
    case.at(2).put(route(Some(ramp(None)), 1));
    let due = case.over(20);
    case.at(20).advance(due);
    let (then, stood) = (case.0.state.index(), case.state());
    case.put(route(None, 1));
    case.run(Command::RollBack { to: then, if_index: None });
    assert_eq!(case.state().entered, stood.entered);
    assert!(case.state().epoch > stood.epoch);
}

/// What becomes of a ramp is no document: where the document is what it was, there is nothing to bring back; and what comes
/// back stands where it stood when its document was in force last, not at the index that was asked for.
#[test]
fn what_was_said_to_a_ramp_since_is_not_undone() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    let running = case.0.state.index();
    assert!(matches!(case.state().phase, RampPhase::Running { .. }));
    case.order(RampOrder::Abort);
    assert_eq!(case.run(Command::RollBack { to: running, if_index: None }), Reply::Unchanged);
    assert!(matches!(case.state().phase, RampPhase::Aborted { .. }), "{:?}", case.state());
    case.at(1).put(route(None, 0));
    assert_eq!(case.run(Command::RollBack { to: running, if_index: None }), Reply::Done);
    assert!(matches!(case.state().phase, RampPhase::Aborted { .. }), "{:?}", case.state());
}

/// The same of a sandbox's rule, whether the sandbox was changed, taken away, or has ended meanwhile.
#[test]
fn a_sandbox_that_is_brought_back_brings_where_its_ramps_stood() {
    let rule = |ramp, prefix: &str| SandboxRule {
        destinations: destinations(),
        path_prefixes: vec![prefix.into()],
        ramp,
        ..SandboxRule::default()
    };
    let sandbox = |rules: Vec<SandboxRule>| {
        let sandbox = SandboxParts { rules, ttl: None }.validate().expect("valid");
        Command::PutSandbox { key: key(), sandbox: Box::new(sandbox), if_index: None }
    };
    let ramped = || rule(Some(ramp(None)), "/a");
    let state = |case: &Case, rule| {
        let subject = RampSubject::Rule { key: key(), rule };
        case.0.state.ramp(&subject).expect("it stands").state
    };
    let mut case = Case::new();
    case.at(0).run(sandbox(vec![rule(None, "/b"), ramped(), rule(Some(ramp(None)), "/c")]));
    for (order, rule) in [(RampOrder::Abort, 1), (RampOrder::Pause, 2)] {
        let subject = RampSubject::Rule { key: key(), rule };
        let order = RampCommand::Order { subject, order, if_index: None };
        assert_eq!(case.run(Command::Ramp(order)), Reply::Done);
    }
    let then = case.0.state.index();
    let stood = [state(&case, 1), state(&case, 2)];
    for gone in [
        sandbox(vec![rule(None, "/other")]),
        Command::DeleteSandbox { key: key(), if_index: None },
        // In the first rule's place stands another one with a ramp: it is none of theirs.
        sandbox(vec![rule(None, "/b"), rule(Some(ramp(Some(OnErrorsThen::Pause))), "/a")]),
    ] {
        assert_eq!(case.run(gone), Reply::Done);
        assert_eq!(case.run(Command::RollBack { to: then, if_index: None }), Reply::Done);
        for (rule, stood) in [(1, stood[0]), (2, stood[1])] {
            let now = state(&case, rule);
            assert_eq!((now.entered, now.phase), (stood.entered, stood.phase), "rule {rule}");
            assert!(now.epoch > stood.epoch, "what was counted for the other one is not this one's");
        }
    }
}
