//! Rules of a sandbox that move, because others are put in before them or taken out.

use super::{Case, SEEN, destinations, key, minute, ramp};
use quorate_model::{
    Command, OnErrorsThen, RampCommand, RampErrors, RampOrder, RampPhase, RampSubject, Reply, SandboxParts,
    SandboxRule,
};

/// Scenario: somebody puts a rule in before those of others, as `sandboxes local` does. Cause: a ramp was known by its
/// rule's place alone, so the others' ramps began anew, those that had been aborted too.
#[test]
fn a_rule_that_moves_keeps_where_its_ramp_stood() {
    let mut case = Case::new();
    let rule = |prefix: &str, then| SandboxRule {
        path_prefixes: vec![prefix.into()],
        destinations: destinations(),
        ramp: Some(ramp(then)),
        ..SandboxRule::default()
    };
    let sandbox = |rules| Box::new(SandboxParts { rules, ttl: None }.validate().expect("valid"));
    let put = |rules| Command::PutSandbox { key: key(), sandbox: sandbox(rules), if_index: None };
    // All of one ramp: only what else they say tells which is which.
    let (failed, paused, goes_on) =
        (rule("/a", None), rule("/b", None), rule("/c", Some(OnErrorsThen::Abort)));
    let own = SandboxRule { ramp: None, ..rule("/own", None) };
    case.at(0).run(put(vec![failed.clone(), paused.clone(), goes_on.clone()]));
    let subject = |rule| RampSubject::Rule { key: key(), rule };
    let order =
        |rule, order| Command::Ramp(RampCommand::Order { subject: subject(rule), order, if_index: None });
    case.run(order(0, RampOrder::Abort));
    case.at(1).run(order(1, RampOrder::Pause));
    let state = |case: &Case, rule| case.0.state.ramp(&subject(rule)).map(|ramping| ramping.state);
    let phases = |case: &Case, places: [u16; 3]| places.map(|nth| state(case, nth).expect("a ramp").phase);
    let stood = phases(&case, [0, 1, 2]);
    assert!(matches!(stood[0], RampPhase::Aborted { .. }) && matches!(stood[1], RampPhase::Paused { .. }));
    let late = state(&case, 2).expect("a ramp").epoch;

    // Before all of them, as `local` does it.
    case.at(2).run(put(vec![own.clone(), failed.clone(), paused.clone(), goes_on.clone()]));
    assert_eq!(phases(&case, [1, 2, 3]), stood);
    assert_eq!(state(&case, 0), None);
    // A word about what stood at this place before is not about what stands there now.
    let errors = RampErrors { subject: subject(2), epoch: late, entered: 1, seen: SEEN };
    assert_eq!(case.run(Command::Ramp(RampCommand::Errors(errors))), Reply::Unchanged);
    // Steps come when they were to come.
    let over = |case: &Case, at| -> Vec<_> { case.0.state.sandboxes().ramps().over(minute(at)).collect() };
    assert_eq!(over(&case, 9), []);
    let due = over(&case, 10);
    assert_eq!(due.iter().map(|one| one.subject.clone()).collect::<Vec<_>>(), [subject(3)]);
    assert_eq!(case.at(10).advance(due), Reply::Done);

    // It is taken out again, one has another condition now, and the order is another.
    let elsewhere = SandboxRule { path_prefixes: vec!["/a2".into()], ..failed.clone() };
    let went_on = state(&case, 3).expect("a ramp");
    case.at(11).run(put(vec![goes_on.clone(), paused.clone(), elsewhere]));
    assert_eq!(phases(&case, [2, 1, 0]), [stood[0], stood[1], went_on.phase]);
    assert_eq!(state(&case, 0).map(|state| state.entered), Some(2));

    // What is new begins: no ramp goes on in two rules.
    case.at(12).run(put(vec![goes_on.clone(), paused, failed, goes_on]));
    let begun = state(&case, 3).expect("a ramp");
    assert_eq!((begun.entered, begun.phase), (1, RampPhase::Running { since: minute(12) }));
    assert_eq!(phases(&case, [2, 1, 0]), [stood[0], stood[1], went_on.phase]);
}
