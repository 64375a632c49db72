//! Ramps: shares that change at one index, never backwards, and never because of a word that is late.

#[path = "ramps/back.rs"]
mod back;
#[path = "ramps/moving.rs"]
mod moving;
mod support;

use quorate_model::{
    Command, Config, ConfigMode, Epoch, ErrorsSeen, FeatureLevel, LogIndex, LogTime, OnErrors, OnErrorsThen,
    Ramp, RampAdvance, RampCause, RampCommand, RampErrors, RampOrder, RampPhase, RampState, RampStep,
    RampSubject, Refusal, Reply, RestoreId, RestoreStep, Route, RouteName, RouteParts, RoutingKey,
    SandboxParts, SandboxRule, StoredRoute,
    route::{Action, Destination, Forwarding, Target},
};
use quorate_state::State;
use std::sync::Arc;
use support::Scene;

fn name() -> RouteName {
    RouteName::parse("web").expect("a name")
}

fn of_route() -> RampSubject {
    RampSubject::Route(name())
}

fn key() -> RoutingKey {
    RoutingKey::parse("dev").expect("a key")
}

fn destinations() -> Vec<Destination> {
    let to = |(name, weight)| Destination { target: Target::parse("t", name).expect("a target"), weight };
    [("old", 100), ("new", 0)].map(to).into()
}

/// 5, 50 and 100 percent, after 0, 10 and 60 minutes.
fn ramp(then: Option<OnErrorsThen>) -> Ramp {
    let step = |(minutes, of_new): (u64, u32)| RampStep {
        after_ms: minutes * 60_000,
        weights: vec![100 - of_new, of_new],
    };
    let on_errors = |then| OnErrors { per_million: 50_000, min_requests: 100, window_ms: 60_000, then };
    Ramp { steps: [(0, 5), (10, 50), (60, 100)].map(step).into(), on_errors: then.map(on_errors) }
}

fn route(ramp: Option<Ramp>, priority: i32) -> Route {
    let forwarding = Forwarding { destinations: destinations(), ramp, ..Forwarding::default() };
    let action = Action::from(forwarding);
    RouteParts { action, priority, ..RouteParts::default() }.validate(name()).expect("valid")
}

struct Case(Scene);

impl Case {
    fn new() -> Self {
        let mut case = Self(Scene::formed());
        case.run(Command::RaiseLevel { to: FeatureLevel::SIXTH });
        case
    }

    fn run(&mut self, command: Command) -> Reply {
        self.0.apply(vec![(None, command)]).replies.remove(0)
    }

    fn put(&mut self, route: Route) -> Reply {
        self.run(Command::PutRoute { route: Box::new(route), if_index: None })
    }

    fn order(&mut self, order: RampOrder) -> Reply {
        self.run(Command::Ramp(RampCommand::Order { subject: of_route(), order, if_index: None }))
    }

    fn advance(&mut self, advances: Vec<RampAdvance>) -> Reply {
        self.run(Command::Ramp(RampCommand::Advance(advances)))
    }

    /// What the leader proposes at this minute.
    fn over(&self, minutes: u64) -> Vec<RampAdvance> {
        self.0.state.routes().ramps().over(minute(minutes)).collect()
    }

    fn at(&mut self, minutes: u64) -> &mut Self {
        self.0.at = minute(minutes);
        self
    }

    fn stored(&self) -> &Arc<StoredRoute> {
        self.0.state.routes().get("web").expect("it stands")
    }

    fn state(&self) -> RampState {
        self.stored().ramp_state().expect("it has a ramp")
    }

    /// The share of the new one.
    fn share(&self) -> u32 {
        self.stored().destinations()[1].weight
    }

    fn fail(&mut self, entered: u16, epoch: LogIndex) -> Reply {
        self.run(Command::Ramp(RampCommand::Errors(RampErrors {
            subject: of_route(),
            epoch,
            entered,
            seen: SEEN,
        })))
    }
}

const SEEN: ErrorsSeen = ErrorsSeen { destination: 1, failures: 60, requests: 200 };

/// Log time begins a little before.
fn minute(minutes: u64) -> LogTime {
    LogTime(1_000_000_000 + minutes * 60_000)
}

#[test]
fn each_step_stands_from_its_entry_on() {
    let mut case = Case::new();
    assert_eq!(case.at(0).put(route(Some(ramp(None)), 0)), Reply::Done);
    assert_eq!(case.share(), 5);
    assert_eq!(case.over(9), []);
    let due = case.over(10);
    assert_eq!(due.len(), 1);
    // Whoever proposes early, by a clock of his own, changes nothing.
    assert_eq!(case.at(9).advance(due.clone()), Reply::Unchanged);
    let before = case.stored().changed;
    assert_eq!(case.at(10).advance(due.clone()), Reply::Done);
    assert_eq!(case.share(), 50);
    assert!(case.stored().changed > before && case.stored().created < before.max(case.stored().changed));
    // A second leader's word about the same step.
    assert_eq!(case.advance(due), Reply::Unchanged);
    assert_eq!(case.over(59), []);
    let last = case.over(60);
    assert_eq!(case.at(60).advance(last), Reply::Done);
    assert_eq!((case.share(), case.over(1_000)), (100, vec![]));
}

/// Scenario: there is no leader for a day. The half stands for its fifty minutes all the same.
#[test]
fn a_step_that_comes_late_skips_none() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    let due = case.over(24 * 60);
    assert_eq!(due.len(), 1, "one step, however late");
    case.at(24 * 60).advance(due);
    assert_eq!((case.share(), case.over(24 * 60 + 49)), (50, vec![]));
    assert_eq!(case.over(24 * 60 + 50).len(), 1);
}

#[test]
fn a_pause_stops_the_clock_and_a_late_step_is_void() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    let due = case.over(10);
    assert_eq!(case.at(4).order(RampOrder::Pause), Reply::Done);
    assert_eq!(case.order(RampOrder::Pause), Reply::Unchanged);
    assert_eq!((case.over(1_000), case.share()), (vec![], 5));
    // Proposed before the pause, carried out after it.
    assert_eq!(case.at(11).advance(due), Reply::Unchanged);
    assert_eq!(case.at(100).order(RampOrder::Resume), Reply::Done);
    assert_eq!(case.over(105), []);
    let due = case.over(106);
    assert_eq!(case.at(106).advance(due), Reply::Done);
    assert_eq!(case.share(), 50);
}

#[test]
fn an_abort_goes_back_to_the_own_weights_and_ends_it() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    let due = case.over(10);
    case.at(10).advance(due);
    assert_eq!(case.order(RampOrder::Abort), Reply::Done);
    assert_eq!((case.share(), case.over(1_000)), (0, vec![]));
    assert_eq!(case.order(RampOrder::Abort), Reply::Unchanged);
    let over = || Reply::Refused(Refusal::RampOver { subject: of_route() });
    assert_eq!(case.order(RampOrder::Resume), over());
    assert_eq!(case.order(RampOrder::Pause), over());
    // The same document does not begin it anew, another ramp does.
    assert_eq!(case.put(route(Some(ramp(None)), 0)), Reply::Unchanged);
    assert_eq!(case.put(route(Some(ramp(Some(OnErrorsThen::Pause))), 0)), Reply::Done);
    assert_eq!((case.share(), case.state().entered), (5, 1));
}

#[test]
fn what_else_a_route_says_does_not_begin_its_ramp_anew() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    let due = case.over(10);
    case.at(10).advance(due);
    let stands = case.state();
    assert_eq!(case.put(route(Some(ramp(None)), 5)), Reply::Done);
    assert_eq!((case.state(), case.share()), (stands, 50));
    let mut other = route(Some(ramp(None)), 5);
    assert_eq!(case.put(other.clone()), Reply::Unchanged);
    // Weights of others mean others.
    let mut forwarding = (**other.forwarding().expect("it forwards")).clone();
    forwarding.destinations[0].weight = 90;
    let action = Action::from(forwarding);
    other = RouteParts { action, ..(*other).clone() }.validate(name()).expect("valid");
    assert_eq!(case.put(other), Reply::Done);
    assert_eq!((case.share(), case.state().epoch), (5, case.stored().changed));
    // Without a ramp nothing stands.
    case.put(route(None, 0));
    assert_eq!((case.share(), case.stored().ramp_state()), (0, None));
    let none = Reply::Refused(Refusal::NoRamp { subject: of_route() });
    assert_eq!(case.order(RampOrder::Pause), none);
}

#[test]
fn the_operators_word_honours_if_match_and_names_what_is_not_there() {
    let mut case = Case::new();
    let unknown = Reply::Refused(Refusal::UnknownRoute { name: name() });
    assert_eq!(case.order(RampOrder::Pause), unknown);
    case.at(0).put(route(Some(ramp(None)), 0));
    let changed = case.stored().changed;
    let order = |if_index| {
        let (subject, order) = (of_route(), RampOrder::Pause);
        Command::Ramp(RampCommand::Order { subject, order, if_index: Some(if_index) })
    };
    let stale = LogIndex(changed.0 - 1);
    let refused = Refusal::PreconditionFailed { current: changed, wanted: stale };
    assert_eq!(case.run(order(stale)), Reply::Refused(refused));
    assert_eq!(case.run(order(changed)), Reply::Done);
}

#[test]
fn too_many_failures_stop_the_step_that_they_were_counted_of() {
    for (then, share) in [(OnErrorsThen::Pause, 50), (OnErrorsThen::Abort, 0)] {
        let mut case = Case::new();
        case.at(0).put(route(Some(ramp(Some(then))), 0));
        let epoch = case.state().epoch;
        let due = case.over(10);
        case.at(10).advance(due);
        assert_eq!(case.fail(1, epoch), Reply::Unchanged, "counted before the step");
        assert_eq!(case.fail(2, LogIndex(epoch.0 - 1)), Reply::Unchanged, "of another ramp");
        assert_eq!(case.fail(2, epoch), Reply::Done);
        assert_eq!(case.share(), share);
        let by = RampCause::Errors(SEEN);
        let stopped = match case.state().phase {
            RampPhase::Paused { by, .. } | RampPhase::Aborted { by, .. } => Some(by),
            RampPhase::Running { .. } => None,
        };
        assert_eq!(stopped, Some(by));
        assert_eq!(case.fail(2, epoch), Reply::Unchanged, "once");
        assert_eq!(case.over(1_000), []);
    }
}

#[test]
fn failures_stop_nothing_that_does_not_ask_for_it() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    let epoch = case.state().epoch;
    assert_eq!(case.fail(1, epoch), Reply::Unchanged);
    assert_eq!(case.0.state.routes().ramps().watched(), 0);
}

#[test]
fn a_snapshot_goes_on_where_it_was() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    case.at(4).order(RampOrder::Pause);
    case.at(5).order(RampOrder::Resume);
    let again = State::from_parts(case.0.state.parts()).expect("sound");
    assert_eq!(again.routes().get("web"), case.0.state.routes().get("web"));
    case.0.state = again;
    assert_eq!(case.over(10), []);
    let due = case.over(11);
    case.at(11).advance(due);
    assert_eq!(case.share(), 50);
}

#[test]
fn each_rule_of_a_sandbox_has_a_ramp_of_its_own() {
    let mut case = Case::new();
    let rule = |ramp, prefix: &str| SandboxRule {
        path_prefixes: vec![prefix.into()],
        destinations: destinations(),
        ramp,
        ..SandboxRule::default()
    };
    let sandbox = |rules| Box::new(SandboxParts { rules, ttl: None }.validate().expect("valid"));
    let put = |rules| Command::PutSandbox { key: key(), sandbox: sandbox(rules), if_index: None };
    let (plain, ramped) = (rule(None, "/a"), rule(Some(ramp(None)), "/b"));
    case.at(0).run(put(vec![plain.clone(), ramped.clone(), ramped.clone()]));
    let shares = |case: &Case| -> Vec<u32> {
        let compiled = case.0.state.sandboxes().get("dev").expect("it stands");
        compiled.rules().map(|rule| rule.route().destinations()[1].weight).collect()
    };
    assert_eq!(shares(&case), [0, 5, 5]);
    let order = |rule, order| {
        let subject = RampSubject::Rule { key: key(), rule };
        Command::Ramp(RampCommand::Order { subject, order, if_index: None })
    };
    assert_eq!(case.run(order(2, RampOrder::Pause)), Reply::Done);
    let none = |rule| Reply::Refused(Refusal::NoRamp { subject: RampSubject::Rule { key: key(), rule } });
    assert_eq!(case.run(order(0, RampOrder::Pause)), none(0));
    assert_eq!(case.run(order(3, RampOrder::Pause)), none(3));
    let due: Vec<_> = case.0.state.sandboxes().ramps().over(minute(10)).collect();
    assert_eq!(due.len(), 1);
    assert_eq!(case.at(10).advance(due), Reply::Done);
    assert_eq!(shares(&case), [0, 50, 5]);
    // What is set again goes on, whatever becomes of the others.
    let wider = rule(Some(ramp(None)), "/c");
    case.run(put(vec![plain, SandboxRule { sticky: None, ..ramped }, wider]));
    assert_eq!(shares(&case), [0, 50, 5], "where a rule is for does not matter to its ramp");
    assert!(case.over(1_000).is_empty(), "none of a route");
}

#[test]
fn a_restored_ramp_keeps_its_step_and_begins_it_anew() {
    let mut case = Case::new();
    case.at(0).put(route(Some(ramp(None)), 0));
    let due = case.over(10);
    case.at(10).advance(due);
    let backup = (**case.stored()).clone();
    let mut case = Case::new();
    let keyspaces = case.0.state.parts().keyspaces;
    let step = |step| Command::Restore { id: RestoreId(1), step };
    case.at(5_000).run(step(RestoreStep::Begin { keyspaces, policies: vec![], last_epoch: Epoch(1) }));
    case.run(step(RestoreStep::Routes { batch: 0, routes: vec![backup] }));
    assert_eq!(case.run(step(RestoreStep::Finish { batches: 1, workers: 0 })), Reply::Done);
    assert_eq!((case.share(), case.over(5_049)), (50, vec![]));
    assert_eq!(case.over(5_050).len(), 1);
}

#[test]
fn a_document_that_is_sent_again_changes_nothing() {
    let mut case = Case::new();
    let config = |route| Config { routes: [(name(), Some(route))].into(), ..Config::default() };
    let configure = |route| Command::Configure {
        config: Box::new(config(route)),
        mode: ConfigMode::Replace,
        if_index: None,
    };
    assert_eq!(configure(route(Some(ramp(None)), 0)).feature_level(), FeatureLevel::SIXTH);
    assert_eq!(configure(route(None, 0)).feature_level(), FeatureLevel::FOURTH);
    assert_eq!(case.at(0).run(configure(route(Some(ramp(None)), 0))), Reply::Done);
    let declared = case.0.state.parts().config_changed;
    let due = case.over(10);
    case.at(10).advance(due);
    assert_eq!(case.0.state.parts().config_changed, declared, "nobody declared anything");
    assert_eq!(case.run(configure(route(Some(ramp(None)), 0))), Reply::Unchanged);
    assert_eq!(case.share(), 50);
}
